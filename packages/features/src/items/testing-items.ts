/** Items of a bucket over metadata in memory, for tests. */
import { must } from "@hayloft/base/assert.js"
import {
  parseAccountId,
  parseBucketName,
  parseItemKey,
  type BucketId,
  type BucketName,
  type ItemKey,
} from "@hayloft/base/ids.js"
import type { CausalContext } from "@hayloft/engine/format/k2v/k2v-token.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { BucketService } from "@hayloft/objects/buckets/bucket-service.js"
import { readItems, type ItemContent } from "./item-queries-core.js"
import { Items } from "./items.js"

export const key = parseItemKey
export const PK = key("p")
export const NOTHING: CausalContext = new Map()
export const textsOf = ({ values }: Pick<ItemContent, "values">) =>
  values.map(value => (value === undefined ? null : Buffer.from(value).toString()))

/** Buckets without objects, in memory. */
export class MemoryBuckets {
  readonly metadata = new MemoryMetadata()
  private readonly buckets = new BucketService(this.metadata)
  private readonly ids = new Map<BucketName, BucketId>()

  /** A bucket that is there already stays. */
  async add(name: BucketName): Promise<void> {
    if (this.ids.has(name)) return
    const { id } = await this.buckets.create({ name, owner: parseAccountId("root"), location: "" })
    this.ids.set(name, id)
  }

  idOf(name: BucketName): BucketId {
    return must(this.ids.get(name), "the bucket was added")
  }

  /** Sort keys, with the values of their items. */
  async itemsOf(name: BucketName, partition: ItemKey): Promise<readonly string[]> {
    const filter = { conflictsOnly: false, tombstones: true }
    const { found } = await this.metadata.ask(readItems(this.idOf(name), partition, {}, filter, Infinity))
    return found.map(item => `${item.sortKey}: ${textsOf(item).join()}`)
  }
}

export async function opened(isShared = false) {
  const clock = new SimClock()
  const metadata = new MemoryMetadata()
  const buckets = new BucketService(metadata)
  const bucket = await buckets.create({
    name: parseBucketName("bucket"),
    owner: parseAccountId("root"),
    location: "",
  })
  const prepare = async () => undefined
  const items = new Items({ clock, metadata, prepare, isShared })
  const put = (sortKey: string, text: string | undefined, seen = NOTHING, partition: ItemKey = PK) =>
    items.write(bucket, [
      { partition, sortKey: key(sortKey), seen, bytes: text === undefined ? text : Buffer.from(text) },
    ])
  const read = async (sortKey: string) => items.read(bucket, PK, key(sortKey))
  return { clock, metadata, buckets, bucket, items, put, read }
}
