/** Counts what is sealed with named keys, by a walk over all rows of objects. */
import type { RowKey } from "../base/ids.js"
import type { Metadata } from "../metadata/index.js"
import { countKeyUses, KEY_USE_FAMILIES } from "./queries/key-uses-core.js"

export class KeyUses {
  constructor(private readonly metadata: Metadata) {}

  /** Versions and unfinished uploads of each bucket, by the id of the key, the last part of its ARN. */
  async count(): Promise<ReadonlyMap<string, ReadonlyMap<string, number>>> {
    const uses = new Map<string, Map<string, number>>()
    for (const family of KEY_USE_FAMILIES) {
      for (let next: RowKey | undefined, isFirst = true; isFirst || next !== undefined; isFirst = false) {
        const page = await this.metadata.ask(countKeyUses(family, next))
        for (const { keyArn, bucket, count } of page.uses) {
          const id = keyArn.slice(keyArn.lastIndexOf("/") + 1)
          const buckets = uses.get(id) ?? new Map<string, number>()
          uses.set(id, buckets.set(bucket, (buckets.get(bucket) ?? 0) + count))
        }
        next = page.next
      }
    }
    return uses
  }
}
