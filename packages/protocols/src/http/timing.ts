/** Time spent by stage, and its `Server-Timing` header (W3C Server Timing). */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { TimingStage, Timing } from "./contract.js"

const STAGES: readonly TimingStage[] = ["auth", "data", "meta"]

export class StageTiming implements Timing {
  private readonly startedMs: number
  /** Time by stage; undefined if none was spent on it. */
  private auth: number | undefined
  private meta: number | undefined
  private data: number | undefined
  turnaroundMs: number | undefined

  constructor(private readonly clock: Clock) {
    this.startedMs = clock.monotonicMs()
  }

  get totalMs(): number {
    return this.clock.monotonicMs() - this.startedMs
  }

  add(stage: TimingStage, durationMs: number): void {
    this[stage] = (this[stage] ?? 0) + durationMs
  }

  async measure<T>(stage: TimingStage, work: () => Promise<T>): Promise<T> {
    const startedMs = this.clock.monotonicMs()
    try {
      return await work()
    } finally {
      this.add(stage, this.clock.monotonicMs() - startedMs)
    }
  }

  /** `auth;dur=0.21, meta;dur=1.3, total;dur=2.04`: milliseconds up to now, when the response begins. */
  header(): string {
    const totalMs = this.totalMs
    this.turnaroundMs = totalMs - (this.data ?? 0)
    let text = ""
    if (this.auth !== undefined) text += `auth;dur=${durationText(this.auth)}, `
    if (this.data !== undefined) text += `data;dur=${durationText(this.data)}, `
    if (this.meta !== undefined) text += `meta;dur=${durationText(this.meta)}, `
    return `${text}total;dur=${durationText(totalMs)}`
  }

  /** For a log line: `authMs`, `metaMs`, `dataMs`, `totalMs`. */
  fields(): Record<string, number> {
    const fields: Record<string, number> = {}
    for (const stage of STAGES) {
      const spentMs = this[stage]
      if (spentMs !== undefined) fields[`${stage}Ms`] = hundredths(spentMs) / 100
    }
    fields["totalMs"] = hundredths(this.totalMs) / 100
    return fields
  }
}

const hundredths = (durationMs: number): number => Math.round(durationMs * 100)

/** Precomputed texts up to 20 ms, which covers most requests. */
const SHORT_TEXTS = Array.from({ length: 2_000 }, (_, count) => String(count / 100))

const durationText = (durationMs: number): string => {
  const count = hundredths(durationMs)
  return SHORT_TEXTS[count] ?? String(count / 100)
}
