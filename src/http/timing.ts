/** Time spent by stage, and its `Server-Timing` header (W3C Server Timing). */
import type { Clock } from "../seams/clock/contract.js"
import type { Stage, Timing } from "./contract.js"

export class StageTiming implements Timing {
  private readonly startedMs: number
  private readonly spentMs = new Map<Stage, number>()

  constructor(private readonly clock: Clock) {
    this.startedMs = clock.monotonicMs()
  }

  get totalMs(): number {
    return this.clock.monotonicMs() - this.startedMs
  }

  add(stage: Stage, durationMs: number): void {
    this.spentMs.set(stage, (this.spentMs.get(stage) ?? 0) + durationMs)
  }

  async measure<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    const startedMs = this.clock.monotonicMs()
    try {
      return await work()
    } finally {
      this.add(stage, this.clock.monotonicMs() - startedMs)
    }
  }

  /** `auth;dur=0.21, meta;dur=1.3, total;dur=2.04`: milliseconds up to now. */
  header(): string {
    let text = ""
    for (const [stage, durationMs] of this.spentMs) text += `${stage};dur=${rounded(durationMs)}, `
    return `${text}total;dur=${rounded(this.totalMs)}`
  }

  /** For a log line: `authMs`, `metaMs`, `dataMs`, `totalMs`. */
  fields(): Record<string, number> {
    const stages = [...this.spentMs, ["total", this.totalMs] as const]
    return Object.fromEntries(stages.map(([stage, durationMs]) => [`${stage}Ms`, rounded(durationMs)]))
  }
}

const rounded = (durationMs: number): number => Math.round(durationMs * 100) / 100
