/**
 * Keeps scrub and compaction running during a measurement: each pass is followed by another.
 *
 * Reports the share of samples in which each was running, which shows whether a figure measured "beside" them is valid.
 */
import { setTimeout as rest } from "node:timers/promises"
import { JOBS } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/admin-client.js"

const LOOK_EVERY_MS = 250
/** Deleted bytes become dead space once the collector has freed their blocks. */
const BEGIN_MS_MAX = 5_000

export interface WorkShares {
  readonly scrubbing: number
  readonly compacting: number
}

type Kind = "scrub" | "compaction"

export class BackgroundWork {
  private readonly over = new AbortController()
  private readonly checks = { scrub: 0, compaction: 0, all: 0 }
  private readonly working: Promise<void>

  private constructor(private readonly admin: AdminClient) {
    this.working = this.work()
    this.working.catch(() => undefined)
  }

  /** Resolves once both run, or there is not enough to compact. */
  static async begin(admin: AdminClient): Promise<BackgroundWork> {
    const checksMax = BEGIN_MS_MAX / LOOK_EVERY_MS
    for (let checks = 0; checks < checksMax && (await idle(admin)).includes("compaction"); checks += 1) {
      await admin.post("/v1/jobs/collector/wake", {})
      await admin.post("/v1/jobs/compaction/wake", {})
      await rest(LOOK_EVERY_MS)
    }
    return new BackgroundWork(admin)
  }

  private async work(): Promise<void> {
    while (!this.over.signal.aborted) {
      const resting = await idle(this.admin)
      this.checks.all += 1
      if (!resting.includes("scrub")) this.checks.scrub += 1
      else await this.admin.post("/v1/scrub/start", {})
      if (!resting.includes("compaction")) this.checks.compaction += 1
      else await this.admin.post("/v1/jobs/compaction/wake", {})
      await rest(LOOK_EVERY_MS)
    }
  }

  /** Starts counting from zero. */
  reset(): void {
    Object.assign(this.checks, { scrub: 0, compaction: 0, all: 0 })
  }

  /** Waits until both end by themselves. Throws the error of either. */
  async end(): Promise<WorkShares> {
    this.over.abort()
    await this.working
    const { scrub, compaction, all } = this.checks
    return { scrubbing: scrub / Math.max(1, all), compacting: compaction / Math.max(1, all) }
  }
}

async function idle(admin: AdminClient): Promise<Kind[]> {
  const { jobs } = JOBS.parse(await admin.get("/v1/jobs"))
  const rests = (kind: Kind): boolean => jobs.some(({ name, state }) => name === kind && state === "idle")
  return (["scrub", "compaction"] as const).filter(rests)
}
