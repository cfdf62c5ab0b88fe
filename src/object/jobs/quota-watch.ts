/**
 * Quota watch: finishes counts that a crash left unfinished, and says once when a warning level is reached. A job; each
 * process watches for itself. Status and metrics show what it has last seen.
 */
import { isFailure } from "../../base/failures.js"
import { countText, sizeText } from "../../base/quantity-text.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { quotaReportOf, type QuotaReport } from "../quota-report-core.js"
import type { Quotas } from "../quotas.js"

const nameOf = ({ holder, name }: QuotaReport): string => `${holder} ${name}`

export class QuotaWatch implements Job {
  readonly name = "quotas"
  private reports: readonly QuotaReport[] = []
  /** Those that were at their warning level. */
  private above: ReadonlySet<string> = new Set()

  constructor(
    private readonly quotas: Pick<Quotas, "list" | "finish">,
    private readonly log: Log,
  ) {}

  progress(): string {
    return `${this.reports.length} quotas, ${this.above.size} above their warning level`
  }

  /** As of the last step. */
  report(): readonly QuotaReport[] {
    return this.reports
  }

  async step(): Promise<StepOutcome> {
    const states = await this.quotas.list()
    try {
      await this.quotas.finish(states)
    } catch (error) {
      if (!isFailure(error, "corruptRow", "conflict", "noSuchBucket", "noSuchAccount")) throw error
      this.log.error("quota_count_unfinished", { error: String(error) })
    }
    this.reports = states.map(quotaReportOf)
    const above = this.reports.filter(({ isAboveWarning }) => isAboveWarning)
    for (const report of above) if (!this.above.has(nameOf(report))) this.warn(report)
    this.above = new Set(above.map(nameOf))
    return this.reports.length > 0 ? "throttled" : "idle"
  }

  private warn({ holder, name, used, limits }: QuotaReport): void {
    const { bytes = 0, objects = 0 } = used ?? {}
    this.log.warn("quota_warning_level", {
      ...{ [holder]: name, used: `${sizeText(bytes)}, ${countText(objects)} objects` },
      ...(limits.warnBytes !== undefined && { warn_bytes: limits.warnBytes }),
      ...(limits.warnObjects !== undefined && { warn_objects: limits.warnObjects }),
    })
  }
}
