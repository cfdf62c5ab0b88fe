/**
 * Write turns: while accounts compete, how many blocks are written at the same time, and whose is next.
 *
 * A device writes all that has been appended to it together, and what comes next waits for that. So the blocks of hundreds
 * of bodies of one account were one long write, behind which the few of another waited, and commits on the same disk too.
 *
 * Promises  While one account or address writes alone, nothing waits. While several do, the next block is one of that
 *           with the fewest under way; within it the first come.
 * Limits    The caller's `writesMax`, for `CONTENDED_MS` after blocks of two have come.
 */
import { Places, type Party } from "@hayloft/base/places-core.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

const CONTENDED_MS = 1_000
const UNLIMITED = { inFlightMax: Infinity, inFlightReserve: 0, reserveOfEach: 0, waitingMax: Infinity }

export class WriteTurns {
  /** A place is a block that is being written. */
  private readonly places = new Places<() => void>(UNLIMITED)
  /** Whose the latest block was, and until when several compete. */
  private latest: string | undefined
  private contendedUntilMs = -Infinity

  constructor(private readonly clock: Pick<Clock, "monotonicMs">) {}

  /** Blocks that wait. */
  get waiting(): number {
    return this.places.queued
  }

  /** Resolves when a block may be written; undefined: now. `leave` follows. */
  take(party: Party, writesMax: number): Promise<void> | undefined {
    const nowMs = this.clock.monotonicMs()
    const name = party.account ?? party.address
    if (this.latest !== undefined && name !== this.latest) this.contendedUntilMs = nowMs + CONTENDED_MS
    this.latest = name
    this.places.setPlaces(nowMs < this.contendedUntilMs ? writesMax : Infinity)
    this.admit()
    return this.places.enter(party) ? undefined : new Promise(go => void this.places.wait(go, party))
  }

  /** A block has been written, or has failed. */
  leave(party: Party): void {
    this.places.leave(party)
    if (this.clock.monotonicMs() >= this.contendedUntilMs) this.places.setPlaces(Infinity)
    this.admit()
  }

  private admit(): void {
    for (let go = this.places.admit(); go !== undefined; go = this.places.admit()) go()
  }
}
