/** The moment at which a request reads. */
import type { Failure } from "@hayloft/base/failures.js"
import type { VersionId } from "@hayloft/base/ids.js"

export interface RequestMoment {
  readonly atUs: number
  /** The request's object at the moment; undefined if it reads no object, or there was none. */
  readonly versionId?: VersionId
  /** The reason why there is nothing to read; only authorised callers may learn it. */
  readonly refusal?: Failure
}
