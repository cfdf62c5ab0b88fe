/** Jobs of users take no part in decisions: operators start work on many objects, and inventories. */
import type { ProductFeature } from "../operator/index.js"
import { START_BULK_JOB } from "./bulk-operations.js"
import { INVENTORY_OPERATIONS } from "./inventory-operations.js"
import { STARTED_JOBS } from "./started-jobs.js"

export const USER_JOBS = {
  name: "user-jobs" as const,
  jobs: [{ name: STARTED_JOBS, isPausable: true, doneWith: "repair" }],
  operator: {
    operations: [START_BULK_JOB, ...INVENTORY_OPERATIONS],
    commandGroups: { inventory: "tables of the objects of a bucket, for table get and scan" },
  },
} satisfies ProductFeature
