/**
 * Shared control record: the record of a store whose metadata is in a database. Every node changes it by
 * compare-and-swap, and reads it at intervals.
 *
 * Promises  A change is decided on the record in effect, and has taken effect for all nodes once it resolves. While the
 *           store is halted because the database was rolled back, the newest record that a node has read wins. A node that
 *           cannot reach the database keeps the record that it last read. Layout tables are read once each.
 * Limits    SHARED_RECORD_LIMITS.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Incarnation } from "@hayloft/base/ids.js"
import { changeControl, controlRow, layoutTable } from "@hayloft/engine/coordination/index.js"
import {
  encodeControlRecord,
  parseControlRecord,
  type ControlLayout,
  type ControlRecord,
} from "@hayloft/engine/format/device/control-record.js"
import { InOrder, type BackgroundService } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { ChangeListener, DecideChange, RecordManager } from "../control/record-manager.js"
import type { SharedMetadata } from "../metadata/database.js"

export const SHARED_RECORD_LIMITS = {
  /** Queued changes of this node. */
  changesWaitingMax: 256,
  /** Changes that other nodes may win before one of this node is refused. */
  racesMax: 100,
  readEveryMs: 2_000,
} as const

const NO_TABLE = new Uint8Array(0)

const isSameLayout = (a: ControlLayout, b: ControlLayout): boolean =>
  a.version === b.version && a.table === b.table && a.devices.join() === b.devices.join()

type LayoutTables = ReadonlyMap<number, Uint8Array>

const layoutsOf = ({ layout, previousLayout }: ControlRecord): readonly ControlLayout[] =>
  previousLayout === undefined ? [layout] : [layout, previousLayout]

const withLayouts = (record: ControlRecord, change: (layout: ControlLayout) => ControlLayout): ControlRecord => {
  const { layout, previousLayout } = record
  return { ...record, layout: change(layout), previousLayout: previousLayout && change(previousLayout) }
}

/** Encodes what the row keeps of a record: the tables have rows of their own, which never change. */
const encodeRow = (record: ControlRecord): Uint8Array =>
  encodeControlRecord(withLayouts(record, layout => ({ ...layout, table: NO_TABLE })))

const tablesOf = (record: ControlRecord): LayoutTables =>
  new Map(layoutsOf(record).map(({ version, table }) => [version, table]))

/** The command that replaces one record by the next; the first one if `before` is undefined. */
function replacing(before: ControlRecord | undefined, after: ControlRecord) {
  const [old, now] = [before ? tablesOf(before) : new Map<number, Uint8Array>(), tablesOf(after)]
  return changeControl({
    before: before?.generation ?? 0,
    generation: after.generation,
    record: encodeRow(after),
    layouts: {
      put: [...now].filter(([version]) => !old.has(version)),
      drop: [...old.keys()].filter(version => !now.has(version)),
    },
  })
}

/** Replaces the record in effect; undefined: there is none. Throws `conflict` if another one has taken effect. */
export const replaceSharedRecord = (
  metadata: Metadata,
  before: ControlRecord | undefined,
  next: ControlRecord,
): Promise<void> => metadata.run(replacing(before, next))

/** Writes the first record of a store. Throws `conflict` if there is one. */
export const writeFirstRecord = (metadata: Metadata, record: ControlRecord): Promise<void> =>
  metadata.run(replacing(undefined, record))

/**
 * The record in effect; undefined if there is none. Reads only layout tables that are not `known`. Throws
 * `corruptRecord`.
 */
export async function readSharedRecord(metadata: Metadata, known?: ControlRecord): Promise<ControlRecord | undefined> {
  for (;;) {
    const row = await metadata.ask(controlRow())
    if (row === undefined) return undefined
    if (row.generation === known?.generation) return known
    const record = parseControlRecord(row.record)
    const tables = new Map(known ? tablesOf(known) : [])
    for (const { version } of layoutsOf(record)) {
      const table = tables.get(version) ?? (await metadata.ask(layoutTable(version)))
      if (table !== undefined) tables.set(version, table)
    }
    // A table that is gone was dropped by a later change, which the next turn reads.
    if (layoutsOf(record).some(({ version }) => !tables.has(version))) continue
    const before = known === undefined ? [] : layoutsOf(known)
    // The same object for the same layout: what was computed from it stays known.
    return withLayouts(record, layout => {
      const complete = { ...layout, table: tables.get(layout.version) ?? NO_TABLE }
      return before.find(each => isSameLayout(each, complete)) ?? complete
    })
  }
}

/**
 * Puts a record back into a database that was rolled back to an earlier one, unless that has a newer one. Returns the
 * record in effect; undefined if there is none. Of several nodes that do this at the same time, the newest record wins.
 */
export async function restoreSharedRecord(
  metadata: Metadata,
  newest: ControlRecord,
): Promise<ControlRecord | undefined> {
  for (let races = 0; races < SHARED_RECORD_LIMITS.racesMax; races += 1) {
    const found = await readSharedRecord(metadata)
    if (found === undefined || found.generation >= newest.generation) return found
    try {
      // With its own generation: of two records with one generation, neither would be the newer one.
      await metadata.run(replacing(found, newest))
      return newest
    } catch (error) {
      if (!isFailure(error, "conflict")) throw error
    }
  }
  throw fail("tooManyInFlight", { message: "other nodes change the control record all the time" })
}

export class SharedRecordManager implements RecordManager, BackgroundService {
  readonly name = "control record"
  private current: ControlRecord
  /** The incarnation that read the record last, and how often the metadata had been reconciled. */
  private readBy: Incarnation
  private readIn: number
  private readonly turn = new InOrder()
  private waiting = 0
  private isStopped = false
  private readonly listeners = new Set<ChangeListener>()

  constructor(
    private readonly metadata: Metadata & Pick<SharedMetadata, "halt">,
    private readonly clock: Clock,
    private readonly log: Log,
    record: ControlRecord,
  ) {
    this.current = record
    this.readIn = metadata.incarnations.reconciliations ?? 0
    this.readBy = metadata.incarnations.own
  }

  get record(): ControlRecord {
    return this.current
  }

  onChange(listener: ChangeListener): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** `decide` is called again if another node has changed the record meanwhile. */
  async change(name: string, decide: DecideChange): Promise<ControlRecord> {
    if (this.waiting >= SHARED_RECORD_LIMITS.changesWaitingMax) {
      throw fail("tooManyInFlight", { message: "too many changes of the control record are under way", change: name })
    }
    this.waiting += 1
    try {
      return await this.turn.run(() => this.make(name, decide))
    } finally {
      this.waiting -= 1
    }
  }

  /** The record is where the rows are, which are lost without it and it without them. */
  async spread(): Promise<ControlRecord> {
    return this.current
  }

  /**
   * Returns undefined if the record was read by the present incarnation. Another one begins after a long silence, in
   * which the layout may have changed twice: blocks must not be written before it is read again.
   */
  ready(): Promise<void> | undefined {
    return this.readBy === this.metadata.incarnations.own ? undefined : this.refresh()
  }

  /** Reads the record now; listeners have been called when it resolves. */
  async refresh(): Promise<void> {
    await this.turn.run(() => this.read())
  }

  /** Keeps up with the changes of other nodes. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.clock.sleep(SHARED_RECORD_LIMITS.readEveryMs, signal)
      if (signal.aborted) return
      await this.refresh().catch((error: unknown) => {
        this.log.debug("control_record_unknown", { error: String(error) })
      })
    }
  }

  async stop(): Promise<void> {
    this.isStopped = true
    await this.turn.ended()
  }

  private async make(name: string, decide: DecideChange): Promise<ControlRecord> {
    for (let races = 0; races < SHARED_RECORD_LIMITS.racesMax; races += 1) {
      if (this.isStopped) throw fail("stopping", { change: name })
      if (this.isOfLostTime) await this.read()
      const wanted = decide(this.current)
      if (wanted === undefined || wanted === this.current) return this.current
      const next = { ...wanted, generation: this.current.generation + 1 }
      try {
        await this.metadata.run(replacing(this.current, next))
      } catch (error) {
        if (isFailure(error, "conflict")) {
          await this.read()
          continue
        }
        throw error
      }
      this.publish(next)
      return next
    }
    throw fail("tooManyInFlight", { message: "other nodes change the control record all the time", change: name })
  }

  /** The store was reconciled since the record was read: another one may be in effect, with any generation. */
  private get isOfLostTime(): boolean {
    return (this.metadata.incarnations.reconciliations ?? 0) > this.readIn
  }

  private async read(): Promise<void> {
    const { own, reconciliations = 0 } = this.metadata.incarnations
    const { isOfLostTime } = this
    const found = isOfLostTime ? await readSharedRecord(this.metadata) : await this.readNewest()
    if (found === undefined) throw fail("corruptRecord", { message: "the database has lost the control record" })
    // An older one is that of a database that was rolled back, and in effect only once it was reconciled with others.
    if (found.generation > this.current.generation || isOfLostTime) this.publish(found)
    this.readIn = reconciliations
    this.readBy = own
  }

  /** While the store is halted, the newest record that a node knows is put back into the database. */
  private async readNewest(): Promise<ControlRecord | undefined> {
    const { metadata, current } = this
    const found = await readSharedRecord(metadata, current)
    const isBehind = found !== undefined && found.generation < current.generation
    return isBehind && metadata.halt !== undefined ? restoreSharedRecord(metadata, current) : found
  }

  private publish(record: ControlRecord): void {
    const before = this.current
    this.current = record
    for (const listener of this.listeners) listener(record, before)
  }
}
