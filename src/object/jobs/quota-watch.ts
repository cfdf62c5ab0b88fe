/**
 * Quota watch: finishes what a crash left of counts that began or ended, and says once when a warning level is reached. A job; each
 * process watches for itself, up to a minute after the last look. Status and metrics show what it has last seen, and what
 * buckets and queues hold.
 */
import { isFailure } from "../../base/failures.js"
import { countText, sizeText } from "../../base/quantity-text.js"
import type { Job, StepOutcome } from "../../life/index.js"
import { NO_QUEUES, type QueueSizes } from "../../features/queues/index.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { quotaReportOf, type QuotaReport } from "../quota-report-core.js"
import type { Quotas } from "../quotas.js"
import type { BucketSize } from "../bucket-contract.js"
import { largestOf } from "../bucket-service.js"

const nameOf = ({ holder, name }: QuotaReport): string => `${holder} ${name}`

/** Buckets with series of their own. */
const BUCKETS_SHOWN = 200

export class QuotaWatch implements Job {
  readonly name = "quotas"
  private reports: readonly QuotaReport[] = []
  private largest: readonly BucketSize[] = []
  private queueSizes = NO_QUEUES
  /** The quotas that were at their warning level. */
  private above: ReadonlySet<string> = new Set()

  constructor(
    private readonly quotas: Pick<Quotas, "list" | "finish" | "forgetEnded">,
    /** Reads again what features report. */
    private readonly refresh: () => Promise<void>,
    private readonly log: Log,
    /** The largest first. */
    private readonly readSizes: () => Promise<readonly BucketSize[]> = async () => [],
    private readonly readQueues: () => Promise<QueueSizes> = async () => NO_QUEUES,
  ) {}

  progress(): string {
    return `${this.reports.length} quotas, ${this.above.size} above their warning level`
  }

  /** As of the last step. */
  report(): readonly QuotaReport[] {
    return this.reports
  }

  /** As of the last step: the largest buckets, and the others as one. */
  sizes(): readonly BucketSize[] {
    return this.largest
  }

  /** As of the last step. */
  queues(): QueueSizes {
    return this.queueSizes
  }

  async step(): Promise<StepOutcome> {
    const states = await this.quotas.list()
    for (const state of states) {
      await this.unlessHeldUp({ [state.owner.kind]: state.name }, () => this.quotas.finish(state))
    }
    await this.unlessHeldUp({}, () => this.quotas.forgetEnded())
    this.reports = states.map(quotaReportOf)
    await this.refresh()
    this.largest = largestOf(await this.readSizes(), BUCKETS_SHOWN)
    this.queueSizes = await this.readQueues()
    const above = this.reports.filter(({ isAboveWarning }) => isAboveWarning)
    for (const report of above) if (!this.above.has(nameOf(report))) this.warn(report)
    this.above = new Set(above.map(nameOf))
    // A lost row waits for an operator.
    return states.some(({ quota, used }) => !quota.isExact && used !== undefined) ? "throttled" : "idle"
  }

  /** One that cannot be finished holds up no others: its bucket may be gone by now. */
  private async unlessHeldUp(holder: Readonly<Record<string, string>>, finish: () => Promise<void>): Promise<void> {
    try {
      await finish()
    } catch (error) {
      if (!isFailure(error, "corruptRow", "conflict", "noSuchBucket", "noSuchAccount")) throw error
      this.log.error("quota_count_unfinished", { ...holder, error: String(error) })
    }
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
