/**
 * The model: an in-memory implementation of `ObjectServices` and of features that S3 has operations of, kept so simple that it is obviously correct.
 *
 * It is the executable specification of buckets, objects, versions and multipart uploads: the S3
 * layer is tested over it, and the engine is compared with it.
 */
import { fail } from "@hayloft/base/failures.js"
import { isArchive } from "@hayloft/base/storage-class.js"
import type { Appends } from "@hayloft/features/appends/index.js"
import type { AcceptedClasses, Archives } from "@hayloft/features/storage-classes/index.js"
import type { Transactions } from "@hayloft/features/transactions/index.js"
import type { ObjectServices } from "@hayloft/objects/contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { ModelAppends } from "./appends.js"
import { ModelBuckets } from "./buckets.js"
import { NO_MOMENTS } from "./moments.js"
import { ModelMultipart } from "./multipart.js"
import { ModelObjects } from "./objects.js"
import { ModelRenames } from "./renames.js"
import { find, ModelState } from "./state.js"
import { ModelTransactions } from "./transactions.js"

export { ModelLifecycle } from "./lifecycle.js"
export { ModelState } from "./state.js"

/** No class has a redundancy of its own. */
const NONE_MAPPED: AcceptedClasses = {
  require(storageClass) {
    if (isArchive(storageClass)) throw fail("notImplemented", { message: `the class ${storageClass} is not mapped` })
  },
  use: () => undefined,
}

/** No class is an archive here: its objects are read at once, and shown as restored until the last day of the last year. */
const archivesOf = (state: ModelState): Archives => ({
  async restore({ bucket, key, versionId }) {
    const { storageClass } = find(state.open(bucket), key, versionId).info
    if (!isArchive(storageClass)) throw fail("invalidObjectState", { storageClass })
    return true
  },
  restoredUntilMs: ({ storageClass }) => (isArchive(storageClass) ? Date.UTC(9999, 11, 31) : undefined),
})

export interface ModelServices extends ObjectServices {
  readonly appends: Appends
  readonly transactions: Transactions
  readonly classes: AcceptedClasses
  readonly archives: Archives
}

export const createModel = (clock: Clock, random: Random): ModelServices => modelOf(new ModelState(clock, random))

export function modelOf(state: ModelState): ModelServices {
  const objects = new ModelObjects(state)
  const multipart = new ModelMultipart(state)
  const renames = new ModelRenames(state)
  return {
    buckets: new ModelBuckets(state),
    objects,
    multipart,
    appends: new ModelAppends(state),
    renames,
    transactions: new ModelTransactions(state, { objects, multipart, renames }),
    moments: NO_MOMENTS,
    classes: NONE_MAPPED,
    archives: archivesOf(state),
  }
}
