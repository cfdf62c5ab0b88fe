/**
 * Quota watch: finishes what a crash left of counts that began or ended, and says once when a warning level is reached. A job; each
 * process watches for itself, up to a minute after the last look. Status and metrics show what it has last seen.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import { countText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { quotaReportOf, type QuotaReport } from "./quota-report-core.js"
import type { Quotas } from "./quotas.js"

const nameOfQuota = ({ holder, name }: QuotaReport): string => `${holder} ${name}`

export class QuotaWatch implements Job {
  readonly name = "quotas"
  private reports: readonly QuotaReport[] = []
  /** The quotas that were at their warning level. */
  private above: ReadonlySet<string> = new Set()

  constructor(
    private readonly quotas: Pick<Quotas, "list" | "finish" | "forgetEnded">,
    private readonly log: Log,
  ) {}

  progress(): string {
    return `${plural(this.reports.length, "quota")}, ${this.above.size} above their warning level`
  }

  /** Returns the reports that the last step made. */
  report(): readonly QuotaReport[] {
    return this.reports
  }

  async step(): Promise<StepOutcome> {
    const states = await this.quotas.list()
    for (const state of states) {
      await this.unlessHeldUp({ [state.owner.kind]: state.name }, () => this.quotas.finish(state))
    }
    await this.unlessHeldUp({}, () => this.quotas.forgetEnded())
    this.reports = states.map(quotaReportOf)
    const above = this.reports.filter(({ isAboveWarning }) => isAboveWarning)
    for (const report of above) if (!this.above.has(nameOfQuota(report))) this.warn(report)
    this.above = new Set(above.map(nameOfQuota))
    // A lost row waits for an operator.
    return states.some(({ quota, used }) => !quota.isExact && used !== undefined) ? "throttled" : "idle"
  }

  /** One that cannot be finished holds up no others: its bucket may be gone by now. On full disks each waits for space. */
  private async unlessHeldUp(holder: Readonly<Record<string, string>>, finish: () => Promise<void>): Promise<void> {
    try {
      await unlessFull(finish, () => undefined)
    } catch (error) {
      if (!isFailure(error, "corruptRow", "conflict", "noSuchBucket", "noSuchAccount")) throw error
      this.log.error("quota_count_unfinished", { ...holder, error: String(error) })
    }
  }

  private warn({ holder, name, used, limits }: QuotaReport): void {
    const { bytes = 0, objects = 0 } = used ?? {}
    this.log.warn("quota_warning_level", {
      [holder]: name,
      used: `${sizeText(bytes)}, ${countText(objects)} objects`,
      ...(limits.warnBytes !== undefined && { warn_bytes: limits.warnBytes }),
      ...(limits.warnObjects !== undefined && { warn_objects: limits.warnObjects }),
    })
  }
}
