/**
 * Headers that announce what lifecycle rules will do: `x-amz-expiration` of an object, `x-amz-abort-date` and
 * `x-amz-abort-rule-id` of an upload.
 *
 * Promises  A bucket without rules costs one look at the names of its settings, and no query. Only rules are announced,
 *           not the end of uploads that were abandoned, and only dates whose year has four digits, as in HTTP.
 * Source    GetObject, PutObject, CreateMultipartUpload, ListParts, Amazon S3 API Reference. It says that the id of the rule
 *           is URL-encoded; Amazon sends spaces as they are, so only what a quoted header value cannot carry is encoded.
 */
import { DATE_MS_MAX, httpDate } from "@hayloft/base/text/dates.js"
import { isFailure } from "@hayloft/base/failures.js"
import { recover, type Soon } from "@hayloft/base/soon.js"
import { abortDueOf, expiryOf } from "@hayloft/features/lifecycle/index.js"
import type { CompiledRules } from "@hayloft/features/lifecycle/index.js"
import type { MultipartInfo, ObjectBody, ObjectInfo, PutResult } from "@hayloft/objects/contract.js"
import type { BucketCall, ObjectCall } from "../call.js"
import type { Tags } from "@hayloft/base/tags.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

const NOT_CARRIED = /[^\x20-\x7e]|["%\\]/gu

const shownId = (ruleId: string): string => ruleId.replace(NOT_CARRIED, encodeURIComponent)

/** The rules of the bucket as a request begins; undefined if it has none. */
export const lifecycleOf = ({ bucket, bucketSettings }: BucketCall): Soon<CompiledRules | undefined> =>
  bucketSettings.lifecycle.of(bucket)

/** A current version. */
type Expiring = Pick<ObjectInfo, "sizeBytes" | "lastModifiedMs" | "tags">

/** The value of `x-amz-expiration`, without characters that HTTP forbids. */
export function expirationOf(
  { key, context }: ObjectCall,
  rules: CompiledRules | undefined,
  { sizeBytes, lastModifiedMs: modifiedMs, tags }: Expiring,
): string | undefined {
  const due = rules && expiryOf(rules, { key, sizeBytes, modifiedMs, tags }, context.lifecycleDays)
  if (due === undefined || due.dueMs > DATE_MS_MAX) return undefined
  return `expiry-date="${httpDate(due.dueMs)}", rule-id="${shownId(due.ruleId)}"`
}

const fieldsOf = (expiration: string | undefined): readonly HeaderField[] =>
  expiration === undefined ? [] : [["x-amz-expiration", expiration]]

/** Returns the expiration header of an object that was stored with these tags. */
export const expirationOfStored = (
  call: ObjectCall,
  rules: CompiledRules | undefined,
  stored: PutResult,
  tags: Tags,
): readonly HeaderField[] => (rules === undefined ? [] : fieldsOf(expirationOf(call, rules, { ...stored, tags })))

/**
 * Returns the expiration header of an object that was made from others. The object is read again for its tags, and
 * shown without the header if that fails.
 */
export async function expirationOfMade(
  call: ObjectCall,
  rules: CompiledRules | undefined,
  { versionId }: PutResult,
): Promise<readonly HeaderField[]> {
  if (rules?.concernsVersions !== true) return []
  const { services, bucket, key } = call
  const made = await recover<ObjectBody | undefined>(
    () => services.objects.get({ bucket, key, versionId, conditions: {}, headersOnly: true, isForServer: true }),
    error => {
      if (isFailure(error)) return undefined
      throw error
    },
  )
  made?.close()
  return made === undefined ? [] : fieldsOf(expirationOf(call, rules, made.info))
}

/** When and by which rule the upload is aborted. */
export function abortFields(
  { context }: ObjectCall,
  rules: CompiledRules | undefined,
  upload: MultipartInfo,
): readonly HeaderField[] {
  const due = rules && abortDueOf(rules, upload, context.lifecycleDays)
  if (due === undefined || due.dueMs > DATE_MS_MAX) return []
  return [
    ["x-amz-abort-date", httpDate(due.dueMs)],
    ["x-amz-abort-rule-id", shownId(due.ruleId)],
  ]
}
