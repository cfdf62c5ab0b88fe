/**
 * Quota watch: finishes counts that a crash left unfinished, and says once when a warning level is crossed. A job; each
 * process watches for itself. Its view is what status and metrics show: it is as old as the last step.
 */
import { isFailure } from "../../base/failures.js"
import { countText, sizeText } from "../../base/quantity-text.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Log } from "../../seams/telemetry/contract.js"
import type { QuotaState } from "../queries/usage-queries-core.js"
import type { Quotas } from "../quotas.js"

/** Whether one of the warning levels is reached. */
function isAboveWarning({ quota: { limits }, used }: QuotaState): boolean {
  if (used === undefined) return false
  const { warnBytes = Infinity, warnObjects = Infinity } = limits
  return used.bytes + used.partBytes >= warnBytes || used.objects >= warnObjects
}

export class QuotaWatch implements Job {
  readonly name = "quotas"
  /** As of the last step. */
  states: readonly QuotaState[] = []
  /** Runs of quotas that were above their warning level. */
  private above: ReadonlySet<string> = new Set()

  constructor(
    private readonly quotas: Pick<Quotas, "list" | "finish">,
    private readonly log: Log,
  ) {}

  progress(): string {
    return `${this.states.length} quotas, ${this.above.size} above their warning level`
  }

  async step(): Promise<StepOutcome> {
    this.states = await this.quotas.list()
    try {
      await this.quotas.finish(this.states)
    } catch (error) {
      if (!isFailure(error, "corruptRow", "conflict", "noSuchBucket", "noSuchAccount")) throw error
      this.log.error("quota_count_unfinished", { error: String(error) })
    }
    const above = this.states.filter(isAboveWarning)
    for (const state of above) if (!this.above.has(state.quota.run)) this.warn(state)
    this.above = new Set(above.map(({ quota }) => quota.run))
    return "idle"
  }

  private warn({ owner, name, used, quota: { limits } }: QuotaState): void {
    if (used === undefined) return
    const { warnBytes, warnObjects } = limits
    this.log.warn("quota_warning_level", {
      [owner.kind]: name,
      used: `${sizeText(used.bytes + used.partBytes)}, ${countText(used.objects)} objects`,
      ...(warnBytes !== undefined && { warn_bytes: warnBytes }),
      ...(warnObjects !== undefined && { warn_objects: warnObjects }),
    })
  }
}
