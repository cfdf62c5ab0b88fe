/**
 * What lifecycle rules will do, as headers: `x-amz-expiration` of the current version of an object, `x-amz-abort-date` and
 * `x-amz-abort-rule-id` of a multipart upload.
 *
 * Source  GetObject, PutObject, CreateMultipartUpload, ListParts, Amazon S3 API Reference. It says that the id of the rule is
 *         URL-encoded; Amazon sends spaces as they are, so only what a quoted header value cannot carry is encoded.
 */
import { httpDate } from "../../base/dates.js"
import { isFailure } from "../../base/failures.js"
import type { VersionId } from "../../base/ids.js"
import { after, recover, type Soon } from "../../base/soon.js"
import type { Tags } from "../../object/contract.js"
import { abortDueOf, expiryOf, type CompiledRules } from "../../object/index.js"
import type { ObjectCall } from "../call.js"
import type { Field } from "../failures.js"

const NONE: readonly Field[] = []
const NOT_CARRIED = /[^\x20-\x7e]|["%\\]/gu

const shownId = (ruleId: string): string => ruleId.replace(NOT_CARRIED, encodeURIComponent)

/** The current version of the call's key. */
interface Current {
  /** Undefined in a bucket that was never versioned. */
  readonly versionId: VersionId | undefined
  readonly sizeBytes: number
  readonly lastModifiedMs: number
}

export function expiryFields(call: ObjectCall, current: Current): Soon<readonly Field[]> {
  if (!call.bucket.settings.includes("lifecycle")) return NONE
  return after(call.bucketSettings.lifecycle.of(call.bucket), rules => {
    if (rules === undefined) return NONE
    return after(rules.asksForTags ? tagsOf(call, current) : [], tags => fieldsOf(call, rules, current, tags))
  })
}

/** None if the version was removed meanwhile. */
function tagsOf({ services, bucket, key }: ObjectCall, { versionId }: Current): Soon<Tags> {
  const target = { bucket, key, ...(versionId !== undefined && { versionId }) }
  return recover(
    () => services.objects.getTags(target).then(({ tags }) => tags),
    error => {
      if (isFailure(error, "noSuchKey", "noSuchVersion", "isDeleteMarker")) return []
      throw error
    },
  )
}

function fieldsOf(
  { key, context }: ObjectCall,
  rules: CompiledRules,
  { sizeBytes, lastModifiedMs: modifiedMs }: Current,
  tags: Tags,
): readonly Field[] {
  const due = expiryOf(rules, { key, sizeBytes, modifiedMs, tags }, context.lifecycleDays)
  if (due === undefined) return NONE
  return [["x-amz-expiration", `expiry-date="${httpDate(due.dueMs)}", rule-id="${shownId(due.ruleId)}"`]]
}

export function abortFields(call: ObjectCall, upload: { readonly initiatedMs: number }): Soon<readonly Field[]> {
  const { bucket, key, context } = call
  if (!bucket.settings.includes("lifecycle")) return NONE
  return after(call.bucketSettings.lifecycle.of(bucket), (rules): readonly Field[] => {
    const due = rules && abortDueOf(rules, { key, ...upload }, context.lifecycleDays)
    if (due === undefined) return NONE
    return [
      ["x-amz-abort-date", httpDate(due.dueMs)],
      ["x-amz-abort-rule-id", shownId(due.ruleId)],
    ]
  })
}
