/** The work of jobs on objects, by what they do. */
import { parseBulk, restoredMomentOf } from "./bulk-request.js"
import { openBulkWork } from "./bulk-work.js"
import type { ItemWork } from "./contract.js"
import { openRestoreWork } from "./restore-work.js"

type Services = Parameters<typeof openBulkWork>[0] & Parameters<typeof openRestoreWork>[0]

/** Throws `noSuchBucket`, `accessDenied`. */
export const openWork = (services: Services, job: Parameters<typeof openBulkWork>[1]): Promise<ItemWork<unknown>> =>
  restoredMomentOf(parseBulk(job.request).request) === undefined
    ? openBulkWork(services, job)
    : openRestoreWork(services, job)
