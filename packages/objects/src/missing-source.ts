/** Failures of a copy whose source is missing. */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"

/** The failure with the key of the source if that is missing: the request has a key of its own. Other errors are returned as they are. */
export const namingSource = (error: unknown, key: string): unknown =>
  isFailure(error, "noSuchKey", "noSuchVersion")
    ? fail(error.kind, { ...error.details, sourceKey: textOfObjectKey(key) }, error)
    : error
