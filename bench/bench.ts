/** The context of all themes of a run: folder, scale, interruption. */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Scale } from "./scale.js"

export interface Bench {
  readonly clock: Clock
  /** Fires when the run is interrupted. */
  readonly signal: AbortSignal
  readonly scale: Scale
  /** Initially empty, and removed at the end. */
  readonly workFolder: string
  readonly say: (line: string) => void
}

export interface Timed<T> {
  readonly result: T
  readonly seconds: number
}

export async function timed<T>(clock: Clock, work: () => Promise<T>): Promise<Timed<T>> {
  const beganMs = clock.monotonicMs()
  const result = await work()
  return { result, seconds: (clock.monotonicMs() - beganMs) / 1000 }
}
