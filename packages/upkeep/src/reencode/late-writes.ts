/**
 * Late writes: tells the process that re-encodes when this one has committed all that it wrote under a former policy, and
 * that it has written blocks under a narrower one because it could not reach their devices. A job of stores that several
 * processes use.
 *
 * A process learns of a changed policy some time after the change, and its uploads keep the policy that they began with:
 * their rows may appear behind the walk. Once the last of them is in its row, a note of this process says so, and
 * re-encoding walks again. What a process that has ended leaves is found with the change of its devices. A device that only
 * this process does not reach, perhaps for a moment, changes for no other one: without a note its blocks would stay narrow.
 *
 * Limits    One note, which the next one replaces; it waits for the uploads that were under way at the latest change. Notes
 *           of narrow blocks are at least `NARROW_NOTES_EVERY_MS` apart: each of them is a walk over all rows.
 */
import type { UploadId } from "@hayloft/base/ids.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { noteLateWrites, type Uploads } from "@hayloft/objects/door/bytes.js"
import type { RedundancySource } from "../repair/repair-contract.js"

export const NARROW_NOTES_EVERY_MS = 10 * 60_000

export class LateWrites implements Job {
  readonly name = "late-writes"
  /** The policies of which this process knew at the last step. */
  private known: string | undefined
  /** Uploads that may have an earlier policy; undefined: nothing is to be noted. */
  private awaited: readonly UploadId[] | undefined

  private isNarrowWritten = false
  private narrowNotesFromMs = 0

  constructor(
    private readonly clock: Pick<Clock, "monotonicMs">,
    private readonly metadata: Pick<Metadata, "run">,
    private readonly uploads: Pick<Uploads, "heldNow" | "isHeld">,
    private readonly source: Pick<RedundancySource, "policyVersion" | "bucketPolicies">,
  ) {}

  progress(): string {
    return `${plural(this.awaited?.length ?? 0, "upload")} to wait for`
  }

  /** A row references blocks that this process has written under a narrower policy. */
  noteNarrow(): void {
    this.isNarrowWritten = true
  }

  async step(): Promise<StepOutcome> {
    const buckets = this.source.bucketPolicies().map(({ name, policy }) => `${name} ${textOfPolicy(policy)}`)
    const policies = [this.source.policyVersion(), ...buckets.sort()].join(" ")
    if (this.known !== undefined && this.known !== policies) this.awaited = this.uploads.heldNow()
    this.known = policies
    const nowMs = this.clock.monotonicMs()
    if (this.isNarrowWritten && nowMs >= this.narrowNotesFromMs) {
      this.isNarrowWritten = false
      this.narrowNotesFromMs = nowMs + NARROW_NOTES_EVERY_MS
      this.awaited ??= []
    }
    if (this.awaited === undefined) return "idle"
    this.awaited = this.awaited.filter(id => this.uploads.isHeld(id))
    if (this.awaited.length > 0) return "idle"
    await this.metadata.run(noteLateWrites())
    this.awaited = undefined
    return "busy"
  }
}
