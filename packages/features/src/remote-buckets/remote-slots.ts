/**
 * Places for the bytes of remotes: some for all, and fewer for each, so that a slow remote leaves places to the others.
 *
 * Limits    `REMOTE_LIMITS`: reads that wait for a place, and how long.
 */
import { Slots } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { REMOTE_LIMITS } from "./limits.js"

const WHAT = "reads of remote buckets"

export class RemoteSlots {
  private readonly all: Slots
  /** The slots of each remote store: at most one entry for each store in the operator's file. */
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
  async take(store: string, signal: AbortSignal): Promise<() => void> {
    const giveBackOwn = await this.of(store).take(signal)
    try {
      const giveBack = await this.all.take(signal)
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
