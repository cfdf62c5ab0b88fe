/**
 * Late writes: tells the process that re-encodes when this one has committed all that it wrote under a former policy.
 * A job of stores that several processes use.
 *
 * A process learns of a changed policy some time after the change, and its uploads keep the policy that they began with:
 * their rows may appear behind the walk. Once the last of them is in its row, a note of this process says so, and
 * re-encoding walks again. What a process that has ended leaves is found with the change of its devices.
 *
 * Limits    One note, which the next one replaces; it waits for the uploads that were under way at the latest change.
 */
import type { UploadId } from "../../base/ids.js"
import { textOfPolicy } from "../../base/policy.js"
import type { Job, StepOutcome } from "../../life/index.js"
import type { Metadata } from "../../metadata/index.js"
import { noteLateWrites } from "../commands/reencode-notes-core.js"
import type { Uploads } from "../uploads.js"
import type { RedundancySource } from "./repair-contract.js"

export class LateWrites implements Job {
  readonly name = "late-writes"
  /** The policies of which this process knew at the last step. */
  private known: string | undefined
  /** Uploads that may have an earlier policy; undefined: nothing is to be noted. */
  private awaited: readonly UploadId[] | undefined

  constructor(
    private readonly metadata: Pick<Metadata, "run">,
    private readonly uploads: Pick<Uploads, "heldNow" | "isHeld">,
    private readonly source: Pick<RedundancySource, "policyVersion" | "bucketPolicies">,
  ) {}

  progress(): string {
    return `${this.awaited?.length ?? 0} uploads to wait for`
  }

  async step(): Promise<StepOutcome> {
    const buckets = this.source.bucketPolicies().map(({ name, policy }) => `${name} ${textOfPolicy(policy)}`)
    const policies = [this.source.policyVersion(), ...buckets.sort()].join(" ")
    if (this.known !== undefined && this.known !== policies) this.awaited = this.uploads.heldNow()
    this.known = policies
    if (this.awaited === undefined) return "idle"
    this.awaited = this.awaited.filter(id => this.uploads.isHeld(id))
    if (this.awaited.length > 0) return "idle"
    await this.metadata.run(noteLateWrites())
    this.awaited = undefined
    return "busy"
  }
}
