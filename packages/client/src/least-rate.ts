/** The least rate of a body that another store sends: a slower one is a store that does not respond. */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { BrokenAnswer } from "./remote.js"

export interface LeastRate {
  readonly clock: Clock
  readonly bytesPerSecondMin: number
  /** The rate is checked after the reader has waited this long for the body in total. */
  readonly graceMs: number
}

/** Only the time in which the reader waits for the body counts. Throws `BrokenAnswer` if it comes too slowly. */
export async function* atLeastRate(
  { clock, bytesPerSecondMin, graceMs }: LeastRate,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let [waitedMs, bytes, sinceMs] = [0, 0, clock.monotonicMs()]
  for await (const piece of body) {
    waitedMs += clock.monotonicMs() - sinceMs
    bytes += piece.length
    if (waitedMs > graceMs && bytes * 1000 < waitedMs * bytesPerSecondMin)
      throw new BrokenAnswer(`the response comes with fewer than ${bytesPerSecondMin} bytes a second`)
    yield piece
    sinceMs = clock.monotonicMs()
  }
}
