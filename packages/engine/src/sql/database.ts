/**
 * Database: what the SQL engine asks of a transactional database, statement by statement. One implementation speaks to
 * PostgreSQL (`postgres/`), one simulates it.
 *
 * Promises  Each call but `snapshot` and `health` is one statement: it takes effect as a whole or not at all, and
 *           everything that it returns is of one moment. A session that throws `ConnectionLost` is over; a commit under
 *           way may still take effect later.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import type { BucketId, RowKey, StoreId } from "@hayloft/base/ids.js"
import type { Folding } from "@hayloft/base/rows/key-range.js"
import type { DatabaseHealth } from "../format/nodes/database-health.js"
import type { Counters } from "../format/records.js"
import type { Usage } from "../format/objects/usage.js"

/** A family as the database stores it: an object's head is a column of its current row. */
export type StoredFamily = Exclude<Family, "heads">

/** Which family a row's bytes belong to: `head` is the object's head, `value` everything else. */
export type Column = "value" | "head"

export interface StoredKey {
  readonly family: StoredFamily
  readonly key: RowKey
}

/** Identifies one content of a row, forever: no later row, with this key or another, gets the same version. */
type Version = bigint

export interface StoredRow {
  readonly key: RowKey
  readonly version: Version
  readonly value: Uint8Array | undefined
  readonly head: Uint8Array | undefined
  /** The inline payload; "elsewhere": there is one, and it was not fetched. */
  readonly payload: Uint8Array | "elsewhere" | undefined
}

export interface StoredRange {
  readonly family: StoredFamily
  /** Only rows that have this column. */
  readonly column: Column
  readonly start: RowKey
  readonly end: RowKey
  readonly reverse: boolean
  /** Only the first row of each common prefix; not in reverse. */
  readonly folding?: Folding | undefined
  readonly max: number
}

/** One of the connections of a process that commit. */
export interface LaneId {
  readonly incarnation: number
  readonly lane: number
}

export interface LaneState {
  /** Increases by one with each statement of the lane that commits. */
  readonly number: bigint
  /** The generation of buckets and identities; it increases with each change of one, by any process. */
  readonly generation: bigint
  /** The incarnation is over: the lane cannot commit any more. */
  readonly isEnded: boolean
}

export interface NodeProcess {
  readonly node: string
  /** At random: another process of the node has another one. */
  readonly process: string
}

interface LiveIncarnation extends NodeProcess {
  readonly incarnation: number
  /** The numbers of its lanes, in their order. A thread has none. */
  readonly numbers: readonly bigint[]
  /** The incarnation of the process of which this is a thread; undefined: it is that of a process. */
  readonly parent?: number | undefined
}

/** The database was rolled back: only coordination goes on until a reconciliation. */
interface StoredHalt {
  /** See `format/halt-note.ts`. */
  readonly note: Uint8Array
  /** Grows each time that a process halts the store. */
  readonly number: number
}

/** All incarnations that have not ended, and the highest number ever assigned. A thread has ended once its process has. */
export interface IncarnationList {
  readonly live: readonly LiveIncarnation[]
  readonly highest: number
  readonly halt: StoredHalt | undefined
  /** How many halts have ended: numbers that were seen before the last end are not compared any more. */
  readonly reconciliations: number
}

export interface FetchRequest {
  readonly lane: LaneId
  readonly keys: readonly StoredKey[]
  readonly ranges: readonly StoredRange[]
  /** Buckets whose counters are wanted. */
  readonly counters: readonly BucketId[]
  /** Counts: rows with these keys, or all. */
  readonly usage: readonly RowKey[] | "all"
  /** Decisions need a commit timestamp. */
  readonly wantsTimestamps?: true
}

/** Bounds of free commit timestamps, in microseconds since 1970. */
export interface Timestamps {
  /** The clock of the database. */
  readonly clockUs: number
  /** The greatest timestamp of all commits that the statement shows, or up to which later commits are closed. */
  readonly latestUs: number
}

export interface Fetched {
  /** It is undefined if the database does not know the lane. */
  readonly lane: LaneState | undefined
  /** In the order of the keys; undefined: absent. */
  readonly rows: readonly (StoredRow | undefined)[]
  readonly ranges: readonly (readonly StoredRow[])[]
  readonly counters: readonly Counters[]
  /** The usage rows that are present. */
  readonly usage: ReadonlyMap<RowKey, Usage>
  /** They are undefined if they were not requested. */
  readonly timestamps: Timestamps | undefined
}

/** A row that must still have this version. */
export interface ExpectedRow extends StoredKey {
  readonly version: Version
}

export interface NewRow extends StoredKey {
  readonly value: Uint8Array | undefined
  readonly head: Uint8Array | undefined
  readonly payload: Uint8Array | undefined
}

export interface ReplacedRow extends NewRow {
  readonly before: Version
  /** The payload stays as it is. */
  readonly keepsPayload: boolean
}

export interface CommitRequest {
  readonly lane: LaneId
  /** The state under which the batch was decided: the lane is advanced from exactly this number. */
  readonly from: Pick<LaneState, "number" | "generation">
  /** The version of all rows that the batch writes. */
  readonly version: Version
  /** The least and the greatest commit timestamp of the batch: the lane must not be closed for the least. */
  readonly firstUs: number
  readonly lastUs: number
  /** The batch changes rows of buckets or identities: the generation increases in every lane. */
  readonly raisesGeneration: boolean
  /**
   * The batch changes objects and relies on others, or guards the absence of an object: what changes or makes those later must
   * get a later timestamp. So all other lanes are closed for the batch's.
   */
  readonly closesLanes: boolean
  /** Rows that were read and are not written, each once, in the order of families and keys. So are all others. */
  readonly expected: readonly ExpectedRow[]
  readonly replaced: readonly ReplacedRow[]
  readonly deleted: readonly ExpectedRow[]
  /** They must be absent. */
  readonly added: readonly NewRow[]
  readonly counts: readonly { readonly bucketId: BucketId; readonly change: Counters }[]
  readonly droppedCounters: readonly BucketId[]
  /** The amounts added to counts, in the order of keys. */
  readonly usage: readonly AddedUsage[]
  /** They must be absent. */
  readonly newUsage: readonly NewUsage[]
  readonly droppedUsage: readonly RowKey[]
}

export interface NewUsage {
  readonly key: RowKey
  readonly usage: Usage
}

/**
 * The row must be present, with at most this much before. Without a limit a row that is absent stays so: it is lost, and
 * what shrinks or is not limited goes on until it is counted again.
 */
export interface AddedUsage extends NewUsage {
  readonly bytesBeforeMax: number | undefined
  readonly objectsBeforeMax: number | undefined
}

export const hasLimit = ({ bytesBeforeMax, objectsBeforeMax }: AddedUsage): boolean =>
  bytesBeforeMax !== undefined || objectsBeforeMax !== undefined

/** Everything is committed; or something was not as expected, and nothing is. */
export type CommitOutcome = "committed" | "conflict"

/** How far `Session.resolve` advances a number: what is left modulo this is what the commit itself did. */
export const RESOLVE_JUMP = 1_000n

export interface Session {
  /** The store whose rows the database keeps; undefined: it is empty. */
  storeId(): Promise<StoreId | undefined>
  /** Makes an empty database that of this store; returns the store that it belongs to. */
  claim(storeId: StoreId): Promise<StoreId>
  fetch(request: FetchRequest): Promise<Fetched>
  /** Runs work that only reads: all its fetches return what was there at one moment. */
  snapshot<T>(work: (fetch: (request: FetchRequest) => Promise<Fetched>) => Promise<T>): Promise<T>
  /** Throws `OutcomeUnknown` if the database reports a commit that it does not vouch for. */
  makeChanges(request: CommitRequest): Promise<CommitOutcome>
  /**
   * Resolves the outcome of a commit: waits for it if it is still running, advances the lane's number by
   * `RESOLVE_JUMP`, so that it cannot take effect later, and returns the state before. Undefined: the database does not know the lane.
   */
  resolve(lane: LaneId): Promise<LaneState | undefined>
  /**
   * Begins a new incarnation of a node, ends the earlier ones, and returns its number, which is above `above` too.
   * Undefined: another incarnation has begun since `highest` was the highest one.
   */
  begin(own: NodeProcess, lanes: number, highest: number, above?: number): Promise<number | undefined>
  /**
   * Begins an incarnation for a thread of a process, whose lanes commit for it, and returns its number. Undefined: the
   * incarnation of the process has ended.
   */
  beginThread(parent: number): Promise<number | undefined>
  /**
   * Halts the store and ends all incarnations: each process begins another one, above `above`, which finds the halt.
   * The note of a halt stays the first one. False, and nothing happens: the list is out of date.
   */
  halt(note: Uint8Array, above: number, list: Pick<IncarnationList, "highest" | "reconciliations">): Promise<boolean>
  /** Ends the halt of this number. False, and nothing happens: there is none, or the store was halted again. */
  resume(halt: number): Promise<boolean>
  /**
   * Closes a moment, or the present one if that is earlier, and returns it: nothing commits with a timestamp up to it any
   * more. It waits for commits under way. Throws `TryAgain` if an incarnation begins at the same time.
   */
  closeTo(us: number): Promise<number>
  /** Commits of incarnations that begin from now on have later timestamps than this one. */
  skipTimestamps(upToUs: number): Promise<void>
  /** Incarnations that begin from now on have higher numbers than this one. */
  skipIncarnations(upTo: number): Promise<void>
  /** Ends an incarnation: once this resolves, nothing of it takes effect any more. */
  end(incarnation: number): Promise<void>
  incarnations(): Promise<IncarnationList>
  /**
   * Adds up the counters of incarnations that have ended, at most so many rows, in one row for each bucket. Sums stay as
   * they are, also if several processes do it at the same time. Returns how many rows it added up.
   */
  foldCounters(rowsMax: number): Promise<number>
  /** The clock of the database, in milliseconds since 1970. */
  clockMs(): Promise<number>
  /**
   * Returns what the database says about itself: several statements that only read, each for at most a second. Anything
   * that it does not answer, or not to this role, is undefined.
   */
  health(): Promise<DatabaseHealth>
  readonly isOpen: boolean
  close(): Promise<void>
}

export interface Database {
  /** Creates the schema, or brings it to this program's version. Throws `ConnectionLost`, `conflict` if it is newer. */
  migrate(): Promise<void>
  /** Throws `ConnectionLost`. */
  connect(): Promise<Session>
}

/** The connection is gone. A statement under way may have taken effect, or may yet. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost"
}

/** A commit was reported with a warning: it may not survive a failover. */
export class OutcomeUnknown extends Error {
  override readonly name = "OutcomeUnknown"
}

/** Nothing happened; the same statement may succeed later (deadlock, serialization failure, lock timeout). */
export class TryAgain extends Error {
  override readonly name = "TryAgain"
}
