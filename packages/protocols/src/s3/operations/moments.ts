/**
 * Reads at a moment: `?readTimestamp=T` of requests that read objects or list them. Amazon has no such parameter.
 *
 * A request for an object at a moment becomes one for the version that was the object then: with the same rights, headers and
 * failures.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { MOMENT_FORM, parseMoment, textOfMoment } from "@hayloft/base/text/moment.js"
import type { BucketCall, S3Call, ObjectCall } from "../call.js"
import type { RequestMoment } from "../request-moment.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

export const READ_TIMESTAMP = "readTimestamp"
const HEADER = "x-hayloft-read-timestamp"

const READS: ReadonlySet<string> = new Set([
  "GetObject",
  "HeadObject",
  "GetTransformedObject",
  "HeadTransformedObject",
  "GetObjectAttributes",
  "GetObjectTagging",
  "ListObjects",
  "ListObjectsV2",
])

export const readsAtMoments = ({ name }: { readonly name: string }): boolean => READS.has(name)

/**
 * The moment that a request names; undefined: it has none. `canRead`: the operation reads at moments. Throws `invalidArgument`,
 * `invalidRequest`, `notImplemented`.
 */
export function momentOf({ query, name, signer }: S3Call, canRead: boolean): number | undefined {
  const text = query.get(READ_TIMESTAMP)
  if (text === undefined) return undefined
  if (!canRead) throw fail("notImplemented", { message: `${name} does not take ${READ_TIMESTAMP}.` })
  // Version 2 does not sign the parameter: the holder of a presigned URL could add it.
  if (signer.request.version === "AWS")
    throw fail("invalidRequest", { message: `A request with ${READ_TIMESTAMP} needs a signature of version 4.` })
  if (query.has("versionId"))
    throw fail("invalidRequest", { message: `A request has either versionId or ${READ_TIMESTAMP}, not both.` })
  const atUs = parseMoment(text)
  if (atUs !== undefined) return atUs
  throw fail("invalidArgument", {
    message: `${READ_TIMESTAMP} must be ${MOMENT_FORM}.`,
    argumentName: READ_TIMESTAMP,
    argumentValue: text.slice(0, 80),
  })
}

/**
 * Finds what the key was at the moment. `find`: `versionSoFar` before the caller is authorised, since closing a moment holds up
 * commits. Rejects only with what has nothing to do with the object.
 */
export async function findVersionAt(
  { services: { moments }, bucket, key }: ObjectCall,
  atUs: number,
  find: "versionAt" | "versionSoFar",
): Promise<RequestMoment> {
  try {
    return { atUs, versionId: await moments[find](bucket, key, atUs) }
  } catch (error) {
    if (isFailure(error, "noSuchKey", "historyIncomplete", "invalidArgument")) return { atUs, refusal: error }
    throw error
  }
}

/** The version was removed after it had been found: throws `historyIncomplete` then, otherwise the failure itself. */
export async function orHistoryIncomplete({ services, bucket, moment }: BucketCall, failure: unknown): Promise<never> {
  if (moment !== undefined && isFailure(failure, "noSuchVersion")) await services.moments.check(bucket, moment.atUs)
  throw failure
}

/** The header of an answer about a moment. */
export const momentFields = ({ moment }: Pick<S3Call, "moment">): readonly HeaderField[] =>
  moment === undefined ? [] : [[HEADER, textOfMoment(moment.atUs)]]
