/**
 * Deduplication of a bucket that has opted in. See decision 87.
 *
 * Promises  Before a bucket opts in, the devices refuse earlier releases, which do not know parts that refer to others.
 * Refuses   `invalidRequest` where bytes are encrypted: equal ones are stored differently then.
 */
import { fail } from "../base/failures.js"
import type { Metadata } from "../metadata/index.js"
import { setSetting } from "./commands/bucket-commands-core.js"
import type { Bucket } from "./contract.js"

export class Dedup {
  constructor(
    private readonly metadata: Metadata,
    private readonly encryptsAtRest: boolean,
    /** Resolves once the devices refuse releases that do not know what it writes. */
    private readonly prepare: () => Promise<void>,
  ) {}

  /** From now on, new objects of the bucket are deduplicated, or are not. Throws `noSuchBucket`, and what is refused. */
  async setDedup(bucket: Pick<Bucket, "id">, isOn: boolean): Promise<void> {
    if (isOn && this.encryptsAtRest)
      throw fail("invalidRequest", {
        message:
          "the store encrypts all bytes (--encrypt-at-rest), and encrypted bytes are never equal: no bucket of it can be deduplicated",
      })
    if (isOn) await this.prepare()
    await this.metadata.run(setSetting(bucket.id, "dedup", isOn ? "{}" : undefined))
  }
}
