/** Jobs that callers start: rows, bulk work on objects, and the work of the store that is followed. */
export type { FollowedWork, JobStarter, OpenWork, StartedJob } from "../operator/index.js"
export { BULK_REQUEST, textOfBulk } from "./bulk-request.js"
export { openBulkWork } from "./bulk-work.js"
export { USER_JOBS } from "./feature.js"
export { openWork } from "./open-work.js"
export { JOB_LIMITS } from "./limits.js"
export type { ObjectReply, ObjectRequest, ObjectRequests, Requester } from "./object-requests.js"
export { jobIdOf, StartedJobs } from "./started-jobs.js"
