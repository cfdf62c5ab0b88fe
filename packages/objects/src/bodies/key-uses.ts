/**
 * Counts what is sealed with named keys, by a walk over all rows of objects.
 *
 * Promises  What is sealed with a key throughout the walk is counted, also if it moves meanwhile: uploads come before the
 *           versions that they become, and a page reads current and older versions at one moment. Only an object with
 *           more versions than a page has rows can hide one, for one walk.
 */
import { must } from "@hayloft/base/assert.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { Metadata, Query } from "@hayloft/engine/metadata/index.js"
import { countKeyUses, KEY_USE_SOURCES, type KeyUsePage } from "../queries/key-uses-core.js"

/** By the id of the key, the last part of its ARN: versions and unfinished uploads of each bucket. */
type KeyUseCounts = ReadonlyMap<string, ReadonlyMap<string, number>>

/** One page of each replica; undefined: a replica cannot be asked. */
type AskPages = (query: Query<KeyUsePage>) => Promise<readonly KeyUsePage[] | undefined>

export class EncryptionKeyUses {
  constructor(private readonly metadata: Pick<Metadata, "ask" | "askEveryReplica">) {}

  async count(): Promise<KeyUseCounts> {
    const counts = await countPages(async query => [await this.metadata.ask(query)])
    return must(counts, "a query is answered")
  }

  /**
   * For decisions by absence: what any replica has. Undefined while a replica is offline or not verified. Replicas that
   * differ may have more counted than there is.
   */
  countOnEveryReplica(): Promise<KeyUseCounts | undefined> {
    return countPages(query => this.metadata.askEveryReplica(-Infinity, query))
  }
}

async function countPages(ask: AskPages): Promise<KeyUseCounts | undefined> {
  const uses = new Map<string, Map<string, number>>()
  for (const source of KEY_USE_SOURCES) {
    for (let start: RowKey | undefined, isFirst = true; isFirst || start !== undefined; isFirst = false) {
      const pages = await ask(countKeyUses(source, start))
      if (pages === undefined) return undefined
      for (const { keyArn, bucket, count } of mergedUses(pages)) {
        const id = keyArn.slice(keyArn.lastIndexOf("/") + 1)
        const buckets = uses.get(id) ?? new Map<string, number>()
        uses.set(id, buckets.set(bucket, (buckets.get(bucket) ?? 0) + count))
      }
      start = earliestNext(pages)
    }
  }
  return uses
}

/** The highest count of each. */
function mergedUses(pages: readonly KeyUsePage[]): Iterable<KeyUsePage["uses"][number]> {
  const merged = new Map<string, KeyUsePage["uses"][number]>()
  for (const use of pages.flatMap(page => page.uses)) {
    const name = `${use.bucket} ${use.keyArn}`
    if (use.count > (merged.get(name)?.count ?? 0)) merged.set(name, use)
  }
  return merged.values()
}

/** Returns undefined if no replica has more. */
const earliestNext = (pages: readonly KeyUsePage[]): RowKey | undefined =>
  pages.map(page => page.next).reduce((first, next) => (first === undefined || (next && next < first) ? next : first))
