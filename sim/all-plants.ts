/** The planted bugs of the simulator, those of all files together. */
import { AGING_PLANTS } from "./cluster/aging-plants.js"
import { CLUSTER_PLANTS, TESTED_CLUSTER_PLANTS } from "./cluster/cluster-plants.js"
import { CLASS_PLANTS } from "./class-plants.js"
import { DEDUP_UPKEEP_PLANTS } from "./dedup-upkeep-plants.js"
import { ENGINE_PLANTS } from "./engine-plants.js"
import { ENCRYPTION_PLANTS } from "./encryption-plants.js"
import { FRONT_PLANTS } from "./front-plants.js"
import { HOT_PLANTS } from "./hot-plants.js"
import { ITEM_PLANTS } from "./item-plants.js"
import { OPERATOR_PLANTS } from "./operator-plants.js"
import { LIFECYCLE_PLANTS } from "./lifecycle-plants.js"
import { MOMENT_PLANTS } from "./moment-plants.js"
import { PLANTS, type Plant, type TestedPlant } from "./plants.js"
import { LIMIT_PLANTS, QUOTA_PLANTS } from "./quota-plants.js"
import { APPEND_PLANTS } from "./append-plants.js"
import { TABLE_FILE_PLANTS } from "./table-plants.js"
import { DEDUP_PLANTS } from "./dedup-plants.js"
import { PACKING_PLANTS } from "./packing-plants.js"
import { COORD_CLUSTER_PLANTS, COORD_PLANTS } from "./coord-plants.js"
import { RANDOM_PLANTS } from "./random-plants.js"
import { QUEUE_PLANTS } from "./queue-plants.js"
import { RENAME_PLANTS } from "./rename-plants.js"
import { SIGNED_PLANTS } from "./signed-plants.js"
import { STALL_PLANTS, STALL_SCENARIO_PLANTS } from "./stall-plants.js"
import { STUDY_PLANTS } from "./study-plants.js"
import { TIMESTAMP_PLANTS } from "./timestamp-plants.js"
import { COPIES_PLANTS } from "./copies-plants.js"
import { TRANSACTION_PLANTS } from "./transaction-plants.js"
import { TTL_PLANTS } from "./ttl-plants.js"
import { UNDELETE_PLANTS } from "./undelete-plants.js"
import { XML_PLANTS } from "./xml-plants.js"

/** Scenarios catch these. */
export const SCENARIO_PLANTS: readonly Plant[] = [
  ...PLANTS,
  ...CLUSTER_PLANTS,
  ...COORD_CLUSTER_PLANTS,
  ...AGING_PLANTS,
  ...LIMIT_PLANTS,
  ...STALL_SCENARIO_PLANTS,
]

/** Tests catch these. */
export const TESTED_PLANTS: readonly TestedPlant[] = [
  ...TESTED_CLUSTER_PLANTS,
  ...LIFECYCLE_PLANTS,
  ...ENCRYPTION_PLANTS,
  ...CLASS_PLANTS,
  ...QUOTA_PLANTS,
  ...RENAME_PLANTS,
  ...TRANSACTION_PLANTS,
  ...TTL_PLANTS,
  ...COPIES_PLANTS,
  ...UNDELETE_PLANTS,
  ...SIGNED_PLANTS,
  ...XML_PLANTS,
  ...ENGINE_PLANTS,
  ...ITEM_PLANTS,
  ...OPERATOR_PLANTS,
  ...APPEND_PLANTS,
  ...QUEUE_PLANTS,
  ...COORD_PLANTS,
  ...DEDUP_PLANTS,
  ...DEDUP_UPKEEP_PLANTS,
  ...PACKING_PLANTS,
  ...TABLE_FILE_PLANTS,
  ...TIMESTAMP_PLANTS,
  ...MOMENT_PLANTS,
  ...HOT_PLANTS,
  ...STALL_PLANTS,
  ...STUDY_PLANTS,
  ...FRONT_PLANTS,
  ...RANDOM_PLANTS,
]
