/**
 * A job that one process of the store does at a time: it takes steps only while the process has the lease. After the
 * loss of the lease it releases what it has begun.
 */
import type { Job, StepOutcome } from "../../life/index.js"
import type { Leases } from "./leases.js"

export class LeasedJob implements Job {
  /** A step was taken since the latest release. */
  private hasWorked = false

  constructor(
    private readonly job: Job,
    private readonly lease: string,
    private readonly leases: Pick<Leases, "holds" | "holder" | "tries" | "succeeds">,
  ) {}

  get name(): string {
    return this.job.name
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    if (!this.leases.holds(this.lease)) {
      if (this.hasWorked) await this.job.release?.()
      this.hasWorked = false
      return "idle"
    }
    this.hasWorked = true
    this.leases.tries(this.lease, this.name)
    const outcome = await this.job.step(signal)
    this.leases.succeeds(this.lease, this.name)
    return outcome
  }

  progress(): string {
    if (this.leases.holds(this.lease)) return this.job.progress()
    const holder = this.leases.holder(this.lease)
    return holder === undefined ? "no node does this yet" : `node ${holder} does this`
  }
}
