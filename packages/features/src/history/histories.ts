/** Histories of buckets: which buckets keep one, and since when each is complete. See decision 89. */
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { historySince } from "./history-core.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { setSetting } from "@hayloft/objects/door/rows.js"

export class Histories {
  constructor(
    private readonly metadata: Metadata,
    /** Resolves once the devices refuse releases that do not note removals. */
    private readonly prepare: () => Promise<void>,
  ) {}

  /** Throws `invalidRequest` unless versioning is enabled, and for remote buckets. */
  async begin({ id }: Bucket): Promise<void> {
    await this.prepare()
    await this.metadata.run(setSetting(id, "history", "{}"))
  }

  async end({ id }: Bucket): Promise<void> {
    await this.metadata.run(setSetting(id, "history", undefined))
  }

  /**
   * The first moment, in microseconds since 1970, from which on the bucket can be read as it was; undefined: it has no
   * history. Throws `noSuchBucket`.
   */
  async since({ id }: Bucket): Promise<number | undefined> {
    return this.metadata.ask(historySince(id))
  }
}
