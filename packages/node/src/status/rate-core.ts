/**
 * Rate: computes the speed of work and its remaining time from samples of its progress. Pure.
 *
 * The rate is that of the last `WINDOW_MS`: long enough to smooth uneven steps, short enough to follow a change of
 * load. It is 0 until the samples span `SPAN_MS_MIN`.
 */
import type { ProgressReport } from "./contract.js"
import type { Work } from "./status-sources.js"

const WINDOW_MS = 180_000
const SPAN_MS_MIN = 10_000

interface Sample {
  readonly atMs: number
  readonly doneBytes: number
}

export class Rate {
  private samples: Sample[] = []

  /** Called at intervals; work without a remainder starts a new series. */
  see(atMs: number, { doneBytes, remainingBytes }: Work): void {
    const last = this.samples.at(-1)
    if (remainingBytes === 0 || (last !== undefined && doneBytes < last.doneBytes)) this.samples = []
    if (remainingBytes === 0) return
    this.samples.push({ atMs, doneBytes })
    const oldest = this.samples.findIndex(sample => atMs - sample.atMs <= WINDOW_MS)
    this.samples.splice(0, oldest)
  }

  /** 0 until the samples span `SPAN_MS_MIN`. */
  get bytesPerSecond(): number {
    const [first, last] = [this.samples[0], this.samples.at(-1)]
    if (first === undefined || last === undefined || last.atMs - first.atMs < SPAN_MS_MIN) return 0
    return ((last.doneBytes - first.doneBytes) / (last.atMs - first.atMs)) * 1000
  }

  progress({ doneBytes, remainingBytes }: Work): ProgressReport {
    const bytesPerSecond = Math.round(this.bytesPerSecond)
    const isKnown = remainingBytes > 0 && bytesPerSecond > 0
    return {
      doneBytes,
      remainingBytes,
      bytesPerSecond,
      ...(isKnown ? { endsInSeconds: remainingBytes / bytesPerSecond } : {}),
    }
  }
}
