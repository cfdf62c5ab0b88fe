/**
 * Holdings: reads again what metrics show of buckets, and what features report. A job; each process reads for itself, up to a
 * minute after the last look.
 */
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { BucketSize } from "@hayloft/objects/contract.js"
import { largestOf } from "@hayloft/objects/index.js"
import type { UsageHistory } from "./usage-history.js"

/** Buckets with series of their own. */
const BUCKETS_SHOWN = 200

export class Holdings implements Job {
  readonly name = "holdings"
  private largest: readonly BucketSize[] = []

  constructor(
    private readonly usage: Pick<UsageHistory, "readSizes">,
    private readonly features: { refresh(): Promise<void> },
  ) {}

  progress(): string {
    return `${plural(this.largest.length, "bucket")} shown`
  }

  /** Returns the sizes that the last step read: the largest buckets, and all others as one. */
  sizes(): readonly BucketSize[] {
    return this.largest
  }

  async step(): Promise<StepOutcome> {
    await this.features.refresh()
    this.largest = largestOf(await this.usage.readSizes(), BUCKETS_SHOWN)
    return "idle"
  }
}
