/**
 * Places for the bytes of remotes: some for all, and fewer for each, so that a slow remote leaves places to the others.
 *
 * Limits    `REMOTE_LIMITS`: reads that wait for a place, and how long; the least rate of a remote.
 */
import { fail } from "../base/failures.js"
import { Slots } from "../life/index.js"
import type { Clock } from "../seams/clock/contract.js"
import { REMOTE_LIMITS } from "./limits.js"

const WHAT = "reads of remote buckets"

export class RemoteSlots {
  private readonly all: Slots
  /** As many as the operator's file has stores. */
  private readonly ofRemotes = new Map<string, Slots>()

  constructor(
    private readonly clock: Clock,
    max: number,
    private readonly ofRemoteMax: number,
  ) {
    const { fetchesWaitingMax, fetchWaitMs } = REMOTE_LIMITS
    this.all = new Slots(clock, max, fetchesWaitingMax, fetchWaitMs, WHAT)
  }

  isFull(store: string): boolean {
    return this.all.isFull || this.of(store).isFull
  }

  /** Waits for a place of the remote first: what waits for a slow remote holds no place of the others. */
  async take(store: string): Promise<() => void> {
    const giveBackOwn = await this.of(store).take()
    try {
      const giveBack = await this.all.take()
      return () => {
        giveBack()
        giveBackOwn()
      }
    } catch (error) {
      giveBackOwn()
      throw error
    }
  }

  private of(store: string): Slots {
    const found = this.ofRemotes.get(store)
    if (found !== undefined) return found
    const { fetchesWaitingOfRemoteMax, fetchWaitMs } = REMOTE_LIMITS
    const what = `${WHAT} of the store ${store}`
    const slots = new Slots(this.clock, this.ofRemoteMax, fetchesWaitingOfRemoteMax, fetchWaitMs, what)
    this.ofRemotes.set(store, slots)
    return slots
  }
}

/** Only the time in which the store waits for the remote counts. Throws `remoteUnavailable` if the remote sends too slowly. */
export async function* atLeastRate(clock: Clock, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { bytesPerSecondMin, rateGraceMs } = REMOTE_LIMITS
  let [waitedMs, bytes, sinceMs] = [0, 0, clock.monotonicMs()]
  for await (const piece of body) {
    waitedMs += clock.monotonicMs() - sinceMs
    bytes += piece.length
    if (waitedMs > rateGraceMs && bytes * 1000 < waitedMs * bytesPerSecondMin) {
      const message = `The remote sends fewer than ${bytesPerSecondMin} bytes a second.`
      throw fail("remoteUnavailable", { message })
    }
    yield piece
    sinceMs = clock.monotonicMs()
  }
}
