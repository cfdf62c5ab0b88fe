/** The short form of `npm run planted`: bugs that make answers wrong. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { duePlants } from "../tests/harness/planted-copies.js"
import { fits, checkPlants } from "./planted.js"
import { AGING_PLANTS } from "./cluster/aging-plants.js"
import { CLUSTER_PLANTS, TESTED_CLUSTER_PLANTS } from "./cluster/cluster-plants.js"
import { CLASS_PLANTS } from "./class-plants.js"
import { DEDUP_UPKEEP_PLANTS } from "./dedup-upkeep-plants.js"
import { ENCRYPTION_PLANTS } from "./encryption-plants.js"
import { HOT_PLANTS } from "./hot-plants.js"
import { ITEM_PLANTS } from "./item-plants.js"
import { LIFECYCLE_PLANTS } from "./lifecycle-plants.js"
import { MOMENT_PLANTS } from "./moment-plants.js"
import { PLANTS } from "./plants.js"
import { LIMIT_PLANTS, QUOTA_PLANTS } from "./quota-plants.js"
import { APPEND_PLANTS } from "./append-plants.js"
import { TABLE_FILE_PLANTS } from "./table-plants.js"
import { DEDUP_PLANTS } from "./dedup-plants.js"
import { PACKING_PLANTS } from "./packing-plants.js"
import { COORD_CLUSTER_PLANTS, COORD_PLANTS } from "./coord-plants.js"
import { QUEUE_PLANTS } from "./queue-plants.js"
import { RENAME_PLANTS } from "./rename-plants.js"
import { SIGNED_PLANTS } from "./signed-plants.js"
import { STALL_PLANTS } from "./stall-plants.js"
import { STUDY_PLANTS } from "./study-plants.js"
import { TIMESTAMP_PLANTS } from "./timestamp-plants.js"
import { COPIES_PLANTS } from "./copies-plants.js"
import { TRANSACTION_PLANTS } from "./transaction-plants.js"
import { TTL_PLANTS } from "./ttl-plants.js"
import { UNDELETE_PLANTS } from "./undelete-plants.js"
import { XML_PLANTS } from "./xml-plants.js"

test("each planted bug still fits its source", () => {
  const plants = [
    ...PLANTS,
    ...CLUSTER_PLANTS,
    ...TESTED_CLUSTER_PLANTS,
    ...AGING_PLANTS,
    ...LIMIT_PLANTS,
    ...LIFECYCLE_PLANTS,
    ...ENCRYPTION_PLANTS,
    ...CLASS_PLANTS,
    ...QUOTA_PLANTS,
    ...RENAME_PLANTS,
    ...TRANSACTION_PLANTS,
    ...COPIES_PLANTS,
    ...APPEND_PLANTS,
    ...DEDUP_PLANTS,
    ...TABLE_FILE_PLANTS,
    ...DEDUP_UPKEEP_PLANTS,
    ...PACKING_PLANTS,
    ...QUEUE_PLANTS,
    ...COORD_PLANTS,
    ...COORD_CLUSTER_PLANTS,
    ...TIMESTAMP_PLANTS,
    ...TTL_PLANTS,
    ...UNDELETE_PLANTS,
    ...SIGNED_PLANTS,
    ...XML_PLANTS,
    ...ITEM_PLANTS,
    ...MOMENT_PLANTS,
    ...HOT_PLANTS,
    ...STALL_PLANTS,
    ...STUDY_PLANTS,
  ]
  assert.deepEqual(
    plants.filter(plant => !fits(plant)).map(({ bug }) => bug),
    [],
  )
})

/** Answers before durability, refusals based on uncommitted entries, and a batch lost by recovery. */
const WRONG_ANSWERS = PLANTS.slice(0, 3)

test("a bug that makes answers wrong is caught", async () => {
  const plants = duePlants(WRONG_ANSWERS, ["sim/planted.ts"])
  const verdicts = await checkPlants(plants, ["1"], () => undefined)
  assert.ok(verdicts.length > plants.length)
  for (const { bug, isCaught, found } of verdicts) assert.ok(isCaught, `${bug}: ${found}`)
})
