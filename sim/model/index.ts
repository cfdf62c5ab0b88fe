/**
 * The model: an in-memory implementation of `ObjectServices`, kept so simple that it is obviously correct.
 *
 * It is the executable specification of buckets, objects, versions and multipart uploads: the S3
 * layer is tested over it, and the engine is compared with it.
 */
import { fail } from "../../src/base/failures.js"
import { isArchive } from "../../src/base/storage-class.js"
import type { AcceptedClasses, ObjectServices } from "../../src/object/contract.js"
import type { Clock } from "../../src/seams/clock/contract.js"
import type { Random } from "../../src/seams/random/contract.js"
import { ModelAppends } from "./appends.js"
import { ModelBuckets } from "./buckets.js"
import { NO_MOMENTS } from "./moments.js"
import { ModelMultipart } from "./multipart.js"
import { ModelObjects } from "./objects.js"
import { ModelRenames } from "./renames.js"
import { ModelState } from "./state.js"
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

export const createModel = (clock: Clock, random: Random): ObjectServices => modelOf(new ModelState(clock, random))

export function modelOf(state: ModelState): ObjectServices {
  const objects = new ModelObjects(state)
  const multipart = new ModelMultipart(state)
  const renames = new ModelRenames(state)
  return {
    ...{ buckets: new ModelBuckets(state), objects, multipart, appends: new ModelAppends(state), renames },
    transactions: new ModelTransactions(state, { objects, multipart, renames }),
    moments: NO_MOMENTS,
    classes: NONE_MAPPED,
  }
}
