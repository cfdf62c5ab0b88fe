/** The moment at which a request reads. */
import type { Failure } from "../base/failures.js"
import type { VersionId } from "../base/ids.js"

export interface RequestMoment {
  readonly atUs: number
  /** The object of the request then. Undefined: it reads no object, or there was none. */
  readonly versionId?: VersionId
  /** Why there is nothing to read; only an authorised caller may learn of it. */
  readonly refusal?: Failure
}
