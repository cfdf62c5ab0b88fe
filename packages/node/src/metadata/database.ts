/** Says where a node's metadata is: what a node asks of it, and of a database that keeps it in place of the devices. */
import type { Incarnation, StoreId } from "@hayloft/base/ids.js"
import type { RowCipher } from "@hayloft/base/encryption/row-cipher.js"
import type { ControlRow, ConversionRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { DatabaseHealth, ReportedDatabase } from "@hayloft/engine/format/nodes/database-health.js"
import type { DatabaseMark } from "@hayloft/engine/format/device/database-mark.js"
import type { Halt, LiveIncarnations, Metadata, SeenIncarnations } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"

export interface MetadataDatabase {
  /** The store whose metadata it keeps; undefined: it is empty. */
  storeId(): Promise<StoreId | undefined>
  /** Makes an empty database that of this store; returns the store that it belongs to. */
  claim(storeId: StoreId): Promise<StoreId>
  /** The store's control record, also before any incarnation has begun; undefined: there is none. */
  control(): Promise<ControlRow | undefined>
  /** Returns where the metadata of a converted store is, also before any incarnation has begun. */
  conversion(): Promise<ConversionRow | undefined>
  /** The highest incarnation that has begun. */
  highestIncarnation(): Promise<Incarnation>
  /** Commits of incarnations that begin from now on have later timestamps than this one. */
  skipTimestamps(upToUs: number): Promise<void>
  /** Incarnations that begin from now on have higher numbers than this one. */
  skipIncarnations(upTo: number): Promise<void>
  /**
   * Begins an incarnation of the node of this name, which ends its earlier ones. Halts the store if the database has
   * lost something that devices of the node have seen (`marks`). Throws `metadataElsewhere` unless the database keeps the
   * metadata, or this process moves it there or away (`moves`).
   */
  open(
    seams: { readonly clock: Clock; readonly random: Random; readonly log: Log },
    node: string,
    marks: readonly SeenMark[],
    moves?: boolean,
  ): Promise<SharedMetadata>
}

/** The facts that a device attests of the database. */
export interface SeenMark extends DatabaseMark {
  /** The device has a newer control record than the database. */
  readonly hasNewerRecord: boolean
}

/** The metadata of a node, as its status sees it. */
export interface EngineMetadata extends Metadata {
  /** The reason why no command is accepted now; undefined: they are. */
  readonly trouble: string | undefined
  /** The database had no space for the last change. False for metadata on devices: they are full themselves. */
  readonly isDatabaseFull: boolean
  readonly commandsWaiting: number
  readonly commandsWaitingMax: number
}

/** Metadata that other processes use at the same time. */
export interface SharedMetadata extends EngineMetadata {
  /** From now on rows are encrypted, but those of coordination. Call it before any other row is read or written. */
  sealRows(cipher: RowCipher): void
  /** Keeps up with the other processes until the signal fires. */
  keepUp(signal: AbortSignal): Promise<void>
  /** Reads now which incarnations have not ended; false: the database did not answer, and what is known stays. */
  learn(): Promise<boolean>
  /** The incarnations that have not ended, as last read. */
  readonly live: LiveIncarnations
  /** The same with those of threads, for the threads of this process. */
  readonly seenIncarnations: SeenIncarnations
  /** Begins an incarnation for a thread of this process, which is over once that of the process (`process`) is. */
  beginThread(): Promise<{ readonly thread: Incarnation; readonly process: Incarnation }>
  /** Ends the incarnation of a thread that asks for nothing any more: once this resolves, nothing of it takes effect. */
  endThread(thread: Incarnation): Promise<void>
  /** The state of the database as this process has seen it, for the next start. */
  readonly mark: DatabaseMark
  /** The database has lost commits: only rows of coordination are read and written, except by `duringHalt`. */
  readonly halt: Halt | undefined
  readonly duringHalt: Pick<Metadata, "run" | "ask">
  /** Ends the halt of this number; false if the store was halted again since. */
  resume(halt: number): Promise<boolean>
  /** Returns true if the incarnation commits nothing any more, also while the store is halted. */
  hasEnded(incarnation: Incarnation): boolean
  /** Ends an incarnation of another process: once this resolves, nothing of it takes effect any more. */
  endIncarnation(incarnation: Incarnation): Promise<void>
  /** Adds up counters of incarnations that have ended, at most so many rows, and returns how many. Sums do not change. */
  foldCounters(rowsMax: number): Promise<number>
  /** How fast the database has answered commits and reads of this process lately. */
  readonly responseTimes: Pick<ReportedDatabase, "commits" | "reads">
  /** Compares the clocks of this process and of the database. Throws `databaseUnreachable`. */
  compareClocks(): Promise<NonNullable<ReportedDatabase["clock"]>>
  /** Returns what the database reports about itself. Throws `databaseUnreachable`. */
  databaseHealth(): Promise<DatabaseHealth>
  stop(): Promise<void>
}
