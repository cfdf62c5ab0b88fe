/** Items of a bucket over metadata in memory, for tests. */
import { parseAccountId, parseBucketName, parseItemKey, type ItemKey } from "../../base/ids.js"
import type { CausalContext } from "../../format/k2v-token.js"
import { MemoryMetadata } from "../../metadata/testing-engine.js"
import { SimClock } from "../../seams/clock/sim.js"
import { BucketService } from "../bucket-service.js"
import type { ItemContent } from "./item-queries-core.js"
import { Items } from "./items.js"

export const key = parseItemKey
export const PK = key("p")
export const NOTHING: CausalContext = new Map()
export const textsOf = ({ values }: Pick<ItemContent, "values">) =>
  values.map(value => (value === undefined ? null : Buffer.from(value).toString()))

export async function opened(isShared = false) {
  const clock = new SimClock()
  const metadata = new MemoryMetadata()
  const buckets = new BucketService(metadata)
  const bucket = await buckets.create({
    ...{ name: parseBucketName("bucket"), owner: parseAccountId("root"), location: "" },
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
