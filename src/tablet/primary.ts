/**
 * Primary: the loop around the primary core. It waits, never decides; the order of its lines is the
 * protocol: durable on every member, then applied, then answered.
 *
 * Limits  COMMANDS_WAITING_MAX answers wait at once; beyond, `tooManyInFlight`.
 */
import { assert, must } from "../base/assert.js"
import { asFailure, Failure, fail, isFailure } from "../base/failures.js"
import type { Family } from "../base/families.js"
import { rowKeyOf } from "../base/ids.js"
import type { Epoch, Position, RowKey } from "../base/ids.js"
import type { DeviceRow, PayloadPlace } from "../device/index.js"
import { mapBounded } from "../life/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { KeyRange } from "../base/key-range.js"
import type { Log } from "../seams/telemetry/contract.js"
import type { Command, Tablet, TabletRow, TabletView } from "./contract.js"
import { EncodedBatch, type Member } from "./member.js"
import {
  answerWhenDurable,
  committedLayer,
  PayloadNeeded,
  PrimaryCore,
  type AnswerRule,
  type Batch,
} from "./primary-core.js"

export const COMMANDS_WAITING_MAX = 10_000
/** A decision that keeps needing payloads that keep changing is given back to the caller. */
const PAYLOAD_READS_MAX = 8
const MEMBERS_AT_ONCE = 32

const isFull = (failure: Failure): boolean => isFailure(failure, "deviceFull")

type Payloads = Map<RowKey, { readonly row: TabletRow; readonly bytes: Uint8Array }>

export class Primary implements Tablet {
  private readonly core: PrimaryCore
  private readonly reader: Member
  readonly committed: CommittedView
  private flushing: Promise<void> | undefined
  private state: "serving" | "halted" | "stopped" = "serving"

  constructor(
    private readonly members: readonly Member[],
    epoch: Epoch,
    recovered: Position,
    private readonly clock: Clock,
    private readonly output: Log,
    answerRule: AnswerRule = answerWhenDurable,
  ) {
    const reader = must(members[0], "a tablet has members")
    this.reader = reader
    this.committed = new CommittedView(members, reader)
    this.core = new PrimaryCore(reader.tabletId, epoch, recovered, committedLayer(this.committed), answerRule)
  }

  get committedPosition(): Position {
    return this.core.committed
  }

  get isServing(): boolean {
    return this.state === "serving"
  }

  get commandsWaiting(): number {
    return this.core.backlog
  }

  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined {
    return this.reader.warm(family, keys)
  }

  async run<Result>(command: Command<Result>): Promise<Result> {
    for (const member of this.members) {
      const room = member.device.roomForWrites()
      if (room) await room
    }
    for (const [family, key] of command.touches) {
      const warm = this.reader.warm(family, [key])
      if (warm) await warm
    }
    const payloads: Payloads = new Map()
    for (let reads = 0; reads <= PAYLOAD_READS_MAX; reads += 1) {
      const outcome = this.decide(command, payloads)
      if (!(outcome instanceof PayloadNeeded)) return outcome
      const bytes = await this.payload(outcome.family, outcome.key, outcome.row)
      if (bytes) payloads.set(outcome.key, { row: outcome.row, bytes })
    }
    throw fail("conflict")
  }

  private decide<Result>(command: Command<Result>, payloads: Payloads): Promise<Result> | PayloadNeeded {
    if (this.state === "stopped") throw fail("stopping")
    if (this.state === "halted") throw fail("deviceFailed", { message: "the metadata log failed; writes are halted" })
    if (this.core.backlog >= COMMANDS_WAITING_MAX) throw fail("tooManyInFlight")
    let needed: PayloadNeeded | undefined
    const answer = new Promise<Result>((resolve, reject) => {
      try {
        this.core.decide(command, this.clock.wallMs(), payloads, { resolve, reject })
      } catch (error) {
        assert(error instanceof PayloadNeeded, "decide only throws what it needs")
        needed = error
      }
    })
    if (needed) return needed
    this.flushing ??= this.flush()
    return answer
  }

  /** Logs batch after batch until nothing is pending. One batch is in flight; the next one gathers meanwhile. */
  private async flush(): Promise<void> {
    await Promise.resolve()
    for (let batch = this.core.takeBatch(); batch; batch = this.core.takeBatch()) {
      try {
        await this.commit(batch)
      } catch (error) {
        this.halt(error)
        break
      }
    }
    this.flushing = undefined
  }

  private async commit(batch: Batch): Promise<void> {
    const encoded = new EncodedBatch(batch.entries)
    const logged = await mapBounded(this.members, MEMBERS_AT_ONCE, member =>
      member.log(encoded).catch((error: unknown) => asFailure(error)),
    )
    const failures = logged.filter(outcome => outcome instanceof Failure)
    const [first] = failures
    if (first) return this.logFailed(first, failures.length === logged.length && failures.every(isFull))
    for (const outcome of logged) if (!(outcome instanceof Failure)) outcome.apply()
    this.core.commit(batch)
  }

  /** A log without room has begun nothing (see `CommitLog`): where that holds for all of them, nothing happened. */
  private logFailed(failure: Failure, nothingLogged: boolean): void {
    if (!nothingLogged) throw failure
    this.output.warn("no room for the metadata log; writes are refused", { error: String(failure) })
    this.core.abandon(failure)
  }

  private halt(error: unknown): void {
    this.state = "halted"
    this.output.error("the metadata log failed; writes are halted until a restart", { error: String(error) })
    this.core.abandon()
  }

  async payload(family: Family, key: RowKey, row: TabletRow): Promise<Uint8Array | undefined> {
    const { payload } = row
    if (!payload || payload.in === "memory") return payload?.bytes
    const problems: Failure[] = []
    const bytes = await readPlace(this.committed.memberOf(row), family, key, payload, problems)
    if (bytes) return bytes
    // A checkpoint has moved the payload while we read it, or the row changed, or the place is damaged.
    if (!isSame(this.committed.get(family, key), row)) return undefined
    for (const member of this.members) {
      const again = this.committed.of(member, family, key)
      if (!again?.payload || !isSame(again, row)) continue
      const found = await readPlace(member, family, key, again.payload, problems)
      if (found) return found
    }
    throw problems[0] ?? fail("corruptRow", { family, reason: "the inline payload is not at its place" })
  }

  /** Refuses new commands and waits for those under way. */
  async stop(): Promise<void> {
    if (this.state === "serving") this.state = "stopped"
    while (this.flushing) await this.flushing
  }
}

const isSame = (a: TabletRow | undefined, b: TabletRow): boolean =>
  a !== undefined && Buffer.compare(a.value, b.value) === 0

/** The payload at a member's place; undefined where it is not there. Damage goes to `problems`. */
async function readPlace(
  member: Member,
  family: Family,
  key: RowKey,
  place: PayloadPlace,
  problems: Failure[],
): Promise<Uint8Array | undefined> {
  try {
    return await member.readPayload(family, key, place)
  } catch (error) {
    if (!isFailure(error, "corruptNeedle", "deviceFailed")) throw error
    problems.push(error)
    return undefined
  }
}

/** Committed rows from the first member; what is corrupt there is read from another. */
class CommittedView implements TabletView {
  /** Whose places a row holds, where it is not the first member. */
  private readonly origins = new WeakMap<TabletRow, Member>()

  constructor(
    private readonly members: readonly Member[],
    private readonly first: Member,
  ) {}

  /** The member whose device the row's payload lies on. */
  memberOf(row: TabletRow): Member {
    return this.origins.get(row) ?? this.first
  }

  get(family: Family, key: RowKey): TabletRow | undefined {
    let corrupt: unknown
    for (const member of this.members) {
      try {
        const row = member.get(family, key)
        return row && this.comingFrom(member, row)
      } catch (error) {
        if (!isFailure(error, "corruptRow")) throw error
        corrupt = error
      }
    }
    throw corrupt
  }

  /** One member's own row; undefined where it is corrupt. */
  of(member: Member, family: Family, key: RowKey): DeviceRow | undefined {
    try {
      return member.get(family, key)
    } catch (error) {
      if (!isFailure(error, "corruptRow")) throw error
      return undefined
    }
  }

  *range(family: Family, range: KeyRange): Generator<readonly [RowKey, TabletRow]> {
    let left = range
    let corrupt: unknown
    for (const member of this.members) {
      let last: RowKey | undefined
      try {
        for (const pair of member.range(family, left)) {
          last = pair[0]
          this.comingFrom(member, pair[1])
          yield pair
        }
        return
      } catch (error) {
        if (!isFailure(error, "corruptRow")) throw error
        corrupt = error
      }
      if (last !== undefined)
        left = range.reverse ? { ...left, end: last } : { ...left, start: rowKeyOf(`${last}\x00`) }
    }
    throw corrupt
  }

  private comingFrom(member: Member, row: DeviceRow): DeviceRow {
    if (member !== this.first && row.payload) this.origins.set(row, member)
    return row
  }
}
