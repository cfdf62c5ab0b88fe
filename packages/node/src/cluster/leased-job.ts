/**
 * A job that one process of the store does at a time: it takes steps only while the process has the lease. After the
 * loss of the lease it releases what it has begun, also if the process has the lease again by then.
 */
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Leases } from "./leases.js"

export class LeasedJob implements Job {
  /** The term of the lease in which a step was taken; undefined: none since the latest release. */
  private workedIn: number | undefined

  constructor(
    private readonly job: Job,
    private readonly lease: string,
    private readonly leases: Pick<Leases, "holds" | "holder" | "termOf" | "stepBegan" | "stepSucceeded">,
    /** Returns what this process has done for the one that has the lease; undefined if nothing. */
    private readonly help: () => string | undefined = () => undefined,
  ) {}

  get name(): string {
    return this.job.name
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    const term = this.leases.holds(this.lease) ? this.leases.termOf(this.lease) : undefined
    if (this.workedIn !== undefined && this.workedIn !== term) {
      await this.job.release?.()
      this.workedIn = undefined
    }
    if (term === undefined) return "idle"
    this.workedIn = term
    this.leases.stepBegan(this.lease, this.name)
    const outcome = await this.job.step(signal)
    this.leases.stepSucceeded(this.lease, this.name)
    return outcome
  }

  dueInMs(): number {
    return this.leases.holds(this.lease) ? (this.job.dueInMs?.() ?? Infinity) : Infinity
  }

  progress(): string {
    if (this.leases.holds(this.lease)) return this.job.progress()
    const holder = this.leases.holder(this.lease)
    const help = this.help()
    const doer = holder === undefined ? "no node does this yet" : `node ${holder} does this`
    return help === undefined ? doer : `${doer}; ${help}`
  }
}
