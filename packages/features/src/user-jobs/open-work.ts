/** The work of jobs, by their kind. */
import { parseBulk, restoredMomentOf } from "./bulk-request.js"
import { openBulkWork } from "./bulk-work.js"
import type { ItemWork, OpenWork, WholeWork } from "../operator/index.js"
import { isInventory } from "./inventory-core.js"
import { openInventoryWork } from "./inventory-work.js"
import { openRestoreWork } from "./restore-work.js"

type Services = Parameters<typeof openBulkWork>[0] &
  Parameters<typeof openRestoreWork>[0] &
  Parameters<typeof openInventoryWork>[0]

/** Throws `noSuchBucket`, `accessDenied`. */
export function openWork(services: Services, job: Parameters<OpenWork>[0]): Promise<ItemWork<unknown> | WholeWork> {
  if (isInventory(job)) return openInventoryWork(services, job)
  return restoredMomentOf(parseBulk(job.request).request) === undefined
    ? openBulkWork(services, job)
    : openRestoreWork(services, job)
}
