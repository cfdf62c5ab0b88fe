/** The service of the sample, by the core on which it was started. */
import type { BucketId } from "@hayloft/base/ids.js"
import { type Core, ServiceOf } from "@hayloft/objects/door/index.js"
import { changesOf, setCounting } from "./counts-core.js"

export class Changes {
  constructor(private readonly core: Pick<Core, "metadata" | "prepare">) {}

  /** Throws `noSuchBucket`. */
  async setCounting(bucketId: BucketId, isOn: boolean): Promise<void> {
    // Releases that do not know the rows are refused from now on.
    await this.core.prepare()
    await this.core.metadata.run(setCounting(bucketId, isOn))
  }

  /** Returns undefined if the bucket does not count. */
  async of(bucketId: BucketId): Promise<number | undefined> {
    return this.core.metadata.ask(changesOf(bucketId))
  }
}

export const CHANGES = new ServiceOf<Pick<Changes, "setCounting" | "of">>()
