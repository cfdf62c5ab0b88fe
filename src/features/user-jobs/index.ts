/** Jobs that callers start: rows, bulk work on objects, and the work of the store that is followed. */
export type { FollowedWork, JobStarter, OpenWork, StartedJob } from "./contract.js"
export { BULK_REQUEST, restoredMomentOf, targetOfBulk, textOfBulk } from "./bulk-request.js"
export { openBulkWork } from "./bulk-work.js"
export { DEDUP_REQUEST, kindOfDedup, textOfDedup } from "./dedup-work.js"
export { textOfUndoPacking, UNDO_PACKING, UNDO_PACKING_REQUEST } from "./packing-work.js"
export {
  INVENTORY_KIND,
  INVENTORY_REQUEST,
  momentOfInventory,
  targetOfInventory,
  textOfInventory,
} from "./inventory-core.js"
export { openWork } from "./open-work.js"
export { JOB_LIMITS } from "./limits.js"
export type { ObjectReply, ObjectRequest, ObjectRequests, Requester } from "./object-requests.js"
export { jobIdOf, StartedJobs } from "./started-jobs.js"
