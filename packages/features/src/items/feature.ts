/** K2V items of buckets: small values by partition and sort key, with causality tokens. See decision 73. */
import { ITEM_FAMILIES } from "@hayloft/base/rows/families.js"
import { decodeK2vPartition, itemRowKeyOf } from "@hayloft/engine/format/k2v/k2v-rows.js"
import { type BucketContents, type Core, type Feature, ServiceOf } from "@hayloft/objects/door/index.js"
import { BACKED_UP_ITEMS } from "./backed-up-items.js"
import { Items } from "./items.js"
import { TOMBSTONE_JOB, TombstoneJob } from "./tombstone-job.js"

const services = new ServiceOf<Items>()

export const itemsOf = (core: Core): Items => services.of(core)

/** Items that are only tombstones are in no bucket: a partition counts them neither as entries nor as values. */
const CONTENTS: BucketContents = {
  what: "K2V items",
  families: ITEM_FAMILIES,
  counted: "k2vPartitions",
  held: ({ value }) => decodeK2vPartition(value),
  eraseRefusal: values =>
    `${values} values of K2V items of the bucket have no key of their own to erase: delete the items before`,
  // An item, and its values that have rows of their own.
  together: { families: ["k2vItems", "k2vValues"], stemOf: itemRowKeyOf },
}

export const ITEMS = {
  name: "items" as const,
  bucket: { contents: CONTENTS },
  jobs: [{ name: TOMBSTONE_JOB, isPausable: true }],
  start(core) {
    services.set(core, new Items(core))
    return { jobs: [new TombstoneJob(core)] }
  },
  backedUp: BACKED_UP_ITEMS,
} satisfies Feature
