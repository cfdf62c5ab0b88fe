/**
 * Primary core: orders commands, keeps the two views of a tablet, and decides when an answer may be sent. Pure: no
 * waiting, no seam.
 *
 * Head is everything appended, seen by decisions; committed is what readers see. Group commit pipelines: a result of
 * batch n+1 that depends on batch n must not be revealed if n fails. So each answer is held until the last entry that
 * it appended or saw is committed.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { parsePosition } from "@hayloft/base/ids.js"
import type { Epoch, Position, RowKey, TabletId } from "@hayloft/base/ids.js"
import { RowsNeeded } from "@hayloft/base/rows/rows-needed.js"
import { MIB } from "@hayloft/base/limits.js"
import { decodeTimestamps, TIMESTAMPS_ROW } from "../format/commit-timestamps.js"
import { entryBytes, type Entry, type EntryWrite } from "../format/device/entry.js"
import type { Openings } from "../format/openings.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { getThrough, MemoryLayer, rangeThrough, type Layer, type Layered } from "../device/index.js"
import { decisionIdOf } from "../format/row-key.js"
import { countedWrites, type Command, type DecisionView, type Incarnations } from "../metadata/index.js"
import type { TabletPayload, TabletRow } from "./contract.js"
import { openingsIn, openingWrite } from "./openings-core.js"
import { CommitTimestamps } from "./timestamps-core.js"

/** A row that a decision wrote and that is not yet committed. */
interface HeadRow extends TabletRow {
  readonly position: Position
}

/** An answer waiting for its position. */
interface Held {
  readonly waitsFor: Position
  /** Sends the answer. */
  release(): void
  /** Rejects the answer: the entries that it depends on were lost. */
  refuse(failure: Failure): void
}

/** Receiver of an answer. */
interface Settle<Result> {
  resolve(result: Result): void
  reject(failure: unknown): void
}

/** A decision's result, or the reason of its refusal. */
class Answer<Result> implements Held {
  constructor(
    readonly waitsFor: Position,
    private readonly settle: Settle<Result>,
    private readonly result: Result,
    private readonly refusal: Failure | undefined,
  ) {}

  release(): void {
    if (this.refusal) this.settle.reject(this.refusal)
    else this.settle.resolve(this.result)
  }

  refuse(failure: Failure): void {
    this.settle.reject(failure)
  }
}

/** Entry appended by a decision; its configuration epoch is added when it is taken into a batch. */
interface Appended extends Omit<Entry, "tabletId" | "epoch"> {
  readonly commitUs: number
}

export interface Batch {
  readonly entries: readonly Entry[]
  readonly last: Position
  /** The greatest commit timestamp of these entries and all before. */
  readonly lastUs: number
}

/**
 * Size up to which entries are logged together: a log accepts batches of 16 MiB, and a larger write only delays others.
 */
export const BATCH_BYTES_MAX = 4 * MIB

/** How many of the entries fit into one batch: at least one. */
export function batchLength(entries: readonly Pick<Appended, "writes">[]): number {
  let lengthBytes = 0
  const over = entries.findIndex(({ writes }, i) => (lengthBytes += entryBytes(writes)) > BATCH_BYTES_MAX && i > 0)
  return over < 0 ? entries.length : over
}

/** An answer may be sent once what its decision wrote and what it saw is durable. */
const answerAt = (appended: Position, saw: Position): Position => (appended > saw ? appended : saw)

/** Thrown inside a decision: it needs this payload in memory first. */
export class PayloadNeeded extends Error {
  constructor(
    readonly family: Family,
    readonly key: RowKey,
    readonly row: TabletRow,
  ) {
    super("payload needed")
  }
}

const NOTHING = parsePosition(0)

export class PrimaryCore {
  private headPosition: Position
  private committedTo: Position
  private readonly head = new MemoryLayer<HeadRow>()
  private readonly layers: readonly Layer<TabletRow>[]
  private pending: Appended[] = []
  private uncommitted: Entry[] = []
  private held: Held[] = []
  private readonly timestamps: CommitTimestamps
  /** The processes before this one. */
  private readonly earlier: Openings
  /** An entry of this process has noted its opening. */
  private isOpeningNoted = false
  /** All entries with a commit timestamp up to this one are committed, and no other one will get such. */
  private closedUs: number

  constructor(
    private readonly tabletId: TabletId,
    private epochNow: Epoch,
    recovered: Position,
    committed: Layer<TabletRow>,
    private readonly incarnations: Incarnations,
    /** The random id of this process. Absent: its history is not told from that of another one. */
    private readonly opening?: number,
  ) {
    this.headPosition = recovered
    this.committedTo = recovered
    this.layers = [this.head, committed]
    const reserved = getThrough(this.layers, "clock", TIMESTAMPS_ROW)
    this.closedUs = reserved ? decodeTimestamps(reserved.value) : 0
    this.timestamps = new CommitTimestamps(this.closedUs)
    this.earlier = this.notedOpenings()
  }

  private notedOpenings(): Openings {
    return openingsIn({ get: (family, key) => getThrough(this.layers, family, key) })
  }

  get committed(): Position {
    return this.committedTo
  }

  get lastTimestamp(): number {
    return this.timestamps.last
  }

  /** Entries are logged under this configuration from the next batch on. */
  get epoch(): Epoch {
    return this.epochNow
  }

  /** A change of the configuration has taken effect; an older one changes nothing. */
  raiseEpoch(epoch: Epoch): void {
    if (epoch > this.epochNow) this.epochNow = epoch
  }

  /** Answers and entries that wait. */
  get backlog(): number {
    return this.held.length
  }

  /**
   * Makes one decision. The answer is sent to `settle` now or when its position is committed. Throws `PayloadNeeded` or
   * `RowsNeeded` (nothing happened) when a payload or rows must be read first.
   */
  decide<Result>(
    command: Pick<Command<Result>, "decide">,
    nowMs: number,
    payloads: ReadonlyMap<RowKey, { readonly row: TabletRow; readonly bytes: Uint8Array }>,
    settle: Settle<Result>,
  ): void {
    const { incarnations } = this
    const view = new HeadView(this.layers, payloads)
    const position = parsePosition(this.headPosition + 1)
    try {
      const commitUs = this.timestamps.next(nowMs)
      const time = { nowMs, commitUs, position, id: decisionIdOf(position), incarnations }
      const decision = command.decide(view, time)
      const { result, writes: own } = decision
      const counted = countedWrites(view, decision)
      const writes = counted.length === 0 ? own : [...own, ...counted]
      if (writes.length > 0) this.append(writes, position, commitUs)
      const appended = writes.length > 0 ? position : NOTHING
      this.hold(new Answer(answerAt(appended, view.saw), settle, result, undefined))
    } catch (error) {
      if (error instanceof PayloadNeeded || error instanceof RowsNeeded) throw error
      const refusal = asFailure(error)
      const waitsFor = answerAt(NOTHING, view.saw)
      this.hold(new Answer(waitsFor, settle, undefined, refusal))
    }
  }

  private append(decided: readonly EntryWrite[], position: Position, commitUs: number): void {
    const reservation = this.timestamps.use(commitUs)
    const writes = reservation ? [...decided, reservation] : decided
    this.headPosition = position
    this.push(writes, position, commitUs)
  }

  private push(decided: readonly EntryWrite[], position: Position, commitUs: number): void {
    const { opening } = this
    const writes =
      !this.isOpeningNoted && opening !== undefined
        ? [...decided, openingWrite(this.earlier, opening, parsePosition(position - 1))]
        : decided
    this.isOpeningNoted = true
    this.pending.push({ position, writes, commitUs })
    for (const { family, key, value, payload } of writes) {
      const inMemory: TabletPayload | undefined = payload && { in: "memory", bytes: payload }
      this.head.set(family, key, { value: value ?? DELETED, payload: inMemory, position })
    }
  }

  /** The moment, or the present one. Throws `invalidArgument` if it is in the future. */
  momentOf(us: number | undefined, nowMs: number): number {
    const latest = this.timestamps.latest(nowMs)
    if (us !== undefined && us > latest)
      throw fail("invalidArgument", { message: "the moment is in the future", us, latest })
    return us ?? latest
  }

  /** Returns true if everything up to the moment is committed, and nothing else will get such a commit timestamp. */
  isClosed(us: number): boolean {
    return us <= this.closedUs
  }

  /** From now on no decision gets a commit timestamp up to this one; the answer is sent once all that have one are committed. */
  closeTo(us: number, settle: Settle<number>): void {
    const reservation = this.timestamps.use(us)
    if (reservation) {
      this.headPosition = parsePosition(this.headPosition + 1)
      this.push([reservation], this.headPosition, this.timestamps.last)
    }
    this.hold(new Answer(this.headPosition, settle, us, undefined))
  }

  private hold(answer: Held): void {
    if (answer.waitsFor <= this.committedTo) answer.release()
    else this.held.push(answer)
  }

  /** The decisions since the last batch, as far as they fit into one, to be logged on every replica. */
  takeBatch(): Batch | undefined {
    const { tabletId, epoch } = this
    const appended = this.pending.splice(0, batchLength(this.pending))
    const entries = appended.map(({ position, writes }): Entry => ({ tabletId, epoch, position, writes }))
    const last = entries.at(-1)
    if (!last) return undefined
    this.uncommitted.push(...entries)
    return { entries, last: last.position, lastUs: must(appended.at(-1), "the batch has entries").commitUs }
  }

  /** The batch is durable on every replica and applied. Sends the answers that waited for it. */
  commit(batch: Batch): void {
    assert(batch.last > this.committedTo, "commits go forward")
    this.committedTo = batch.last
    this.closedUs = batch.lastUs
    for (const { position, writes } of batch.entries) {
      for (const { family, key } of writes) {
        if (this.head.get(family, key)?.row?.position === position) this.head.drop(family, key)
      }
    }
    this.uncommitted = this.uncommitted.filter(entry => entry.position > batch.last)
    const ready = this.held.filter(held => held.waitsFor <= batch.last)
    this.held = this.held.filter(held => held.waitsFor > batch.last)
    for (const held of ready) held.release()
  }

  /**
   * Uncommitted entries will not be committed: head is rebuilt from committed, and waiting answers are rejected. The
   * default is for a log that failed: it is unknown which entries it contains.
   */
  abandon(failure: Failure = fail("indeterminate")): void {
    for (const { writes } of [...this.uncommitted, ...this.pending]) {
      for (const { family, key } of writes) this.head.drop(family, key)
    }
    this.headPosition = this.committedTo
    this.timestamps.forgetReservation()
    this.isOpeningNoted = this.notedOpenings().some(({ id }) => id === this.opening)
    this.uncommitted = []
    this.pending = []
    const held = this.held
    this.held = []
    for (const answer of held) answer.refuse(failure)
  }
}

/** A row deleted at head: distinguished from a live one by identity. */
const DELETED = new Uint8Array(0)

class HeadView implements DecisionView {
  /** The last uncommitted entry that this view has shown. */
  saw: Position = NOTHING

  constructor(
    private readonly layers: readonly Layer<TabletRow>[],
    private readonly payloads: ReadonlyMap<RowKey, { readonly row: TabletRow; readonly bytes: Uint8Array }>,
  ) {}

  get(family: Family, key: RowKey): TabletRow | undefined {
    return this.see(getThrough(this.layers, family, key))
  }

  *range(family: Family, range: KeyRange): Generator<readonly [RowKey, TabletRow]> {
    for (const [key, row] of rangeThrough(this.layers, family, range)) {
      const seen = this.see(row)
      if (seen) yield [key, seen]
    }
  }

  private see(row: TabletRow | HeadRow | undefined): TabletRow | undefined {
    if (row && "position" in row && row.position > this.saw) this.saw = row.position
    return row?.value === DELETED ? undefined : row
  }

  payload(family: Family, key: RowKey, row: TabletRow): Uint8Array | undefined {
    if (!row.payload) return undefined
    if (row.payload.in === "memory") return row.payload.bytes
    const known = this.payloads.get(key)
    if (known && Buffer.compare(known.row.value, row.value) === 0) return known.bytes
    throw new PayloadNeeded(family, key, row)
  }
}

/** A layer that shows committed rows of one replica under the tablet's own keys. */
export function committedLayer(rows: {
  get(family: Family, key: RowKey): TabletRow | undefined
  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, TabletRow]>
}): Layer<TabletRow> {
  return {
    get: (family, key) => {
      const row = rows.get(family, key)
      return row && { row }
    },
    *range(family, range): Generator<readonly [RowKey, Layered<TabletRow>]> {
      for (const [key, row] of rows.range(family, range)) yield [key, { row }]
    },
  }
}
