/** Reads the counts of all buckets from time to time, for what the job shows. A job. */
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Core } from "@hayloft/objects/door/index.js"
import { allChanges } from "./counts-core.js"

const EVERY_MS = 1_000

export class ChangesJob implements Job {
  readonly name = "count-changes"
  private nextAtMs = -Infinity
  counted = { buckets: 0, changes: 0 }

  constructor(private readonly core: Pick<Core, "clock" | "metadata">) {}

  progress(): string {
    const { buckets, changes } = this.counted
    return `${plural(changes, "change")} of objects in ${plural(buckets, "bucket")}`
  }

  async step(): Promise<StepOutcome> {
    const { clock, metadata } = this.core
    if (clock.monotonicMs() < this.nextAtMs) return "idle"
    this.nextAtMs = clock.monotonicMs() + EVERY_MS
    this.counted = await metadata.ask(allChanges())
    return "idle"
  }
}
