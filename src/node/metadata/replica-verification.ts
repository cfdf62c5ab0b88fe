/** Replica verification: a job that verifies the metadata of each replica after a start and on request. */
import type { Job, StepOutcome } from "../../life/index.js"
import type { Primary } from "../../tablet/index.js"

export class VerifyingReplicas implements Job {
  readonly name = "verify metadata"

  constructor(private readonly tablet: Primary) {}

  progress(): string {
    return this.tablet.verificationProgress
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    return (await this.tablet.verifyReplicas(signal)) ? "busy" : "idle"
  }
}
