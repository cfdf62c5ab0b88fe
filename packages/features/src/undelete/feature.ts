/**
 * Undelete: a bucket without versioning that opts in keeps what is deleted or overwritten for some days, and can get it
 * back. See decision 59.
 */
import { bucketRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import { type Core, ServiceOf } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { deletedRows } from "./deleted-rows-core.js"
import { UNDELETE_OPERATOR } from "./operations.js"
import { UNDELETE_OF_BUCKETS, UndeletePart } from "./part-core.js"
import { PURGE_JOB, PurgeDeletedJob } from "./purge-deleted.js"
import { UNDELETE_SERVICE } from "./services.js"
import { undeleteStatus } from "./status.js"
import { Undelete } from "./undelete.js"
import { registerUndelete } from "./undelete-report.js"
import { purgeDeleted } from "./undelete-commands-core.js"

/** The rows that one step of an erasure removes. */
const ERASED_PER_STEP = 256

const services = new ServiceOf<Undelete>()

export const undeleteOf = (core: Core): Undelete => services.of(core)

export const UNDELETE = {
  name: "undelete" as const,
  operator: UNDELETE_OPERATOR,
  status: undeleteStatus(core => undeleteOf(core).report()),
  // From the first time on that it is turned on, something may be kept.
  object: change => (change.bucket?.countsDeleted === true ? new UndeletePart(change) : undefined),
  bucket: UNDELETE_OF_BUCKETS,
  jobs: [{ name: PURGE_JOB, isPausable: true }],
  start(core) {
    const undelete = services.set(core, new Undelete(core.metadata, core.storeClock, core.prepare))
    UNDELETE_SERVICE.set(core, undelete)
    registerUndelete(core.metrics, () => undelete.report())
    return {
      jobs: [new PurgeDeletedJob(core)],
      refresh: () => undelete.refresh(),
      async erase(bucketId) {
        const range = suffixRange(bucketRowKey(bucketId))
        const { rows } = await core.metadata.ask(deletedRows(range, ERASED_PER_STEP))
        if (rows.length > 0) await core.metadata.run(purgeDeleted({ bucketId, rows }))
        return rows.length > 0
      },
    }
  },
  /** For deletions from then on: what the former store kept was deleted. */
  rescue: {
    has: ({ undeleteDays }, versioning) => undeleteDays !== undefined && versioning === "never",
    set: (core, id, had) => undeleteOf(core).setUndelete(id, had?.undeleteDays),
  },
} satisfies ProductFeature
