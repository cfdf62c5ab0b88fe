/** GetBucketLifecycleConfiguration, PutBucketLifecycleConfiguration, DeleteBucketLifecycle, and their legacy forms. */
import { fail } from "@hayloft/base/failures.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { decodeLifecycleRules, encodeLifecycleRules, TRANSITION_MINIMUMS } from "@hayloft/features/lifecycle/index.js"
import type { LifecycleRule } from "@hayloft/features/lifecycle/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { S3Answer, BucketCall } from "../call.js"
import { answerEmpty, answerXml } from "../call.js"
import { isRoot, readDocument } from "../read-document.js"
import {
  LIFECYCLE_DOCUMENT,
  LIFECYCLE_LIMITS,
  lifecycleRulesOf,
  MINIMUM_HEADER,
  writeLifecycleRules,
} from "../settings/lifecycle.js"
import { answerMissing } from "./unset-settings.js"

const UUID_BYTES = 16

/** Makes a rule id in S3's form: a random UUID in base64. */
function newRuleId(random: Random): string {
  const bytes = Buffer.from(random.bytes(UUID_BYTES))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const uuid = bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
  return Buffer.from(uuid).toString("base64")
}

/**
 * Returns the setting for the objects that transitions without a size leave alone; S3's default if it is not stated.
 * Throws `invalidRequest`.
 */
function minimumOf({ headers }: BucketCall) {
  const text = headers.get(MINIMUM_HEADER)
  const minimum = text === undefined ? TRANSITION_MINIMUMS[0] : TRANSITION_MINIMUMS.find(known => known === text)
  if (minimum !== undefined) return minimum
  const message = `Invalid TransitionDefaultMinimumObjectSize found: ${text?.slice(0, 80) ?? ""}`
  throw fail("invalidRequest", { message })
}

export async function getBucketLifecycle({ services, bucket }: BucketCall): Promise<S3Answer> {
  const stored = await services.buckets.setting(bucket, "lifecycle")
  if (stored === undefined) return answerMissing("NoSuchLifecycleConfiguration", bucket)
  const { transitionMinimum, rules } = decodeLifecycleRules(stored.document)
  const fields = [[MINIMUM_HEADER, transitionMinimum]] as const
  return answerXml(LIFECYCLE_DOCUMENT, xml => writeLifecycleRules(xml, rules), fields)
}

export async function putBucketLifecycle(call: BucketCall): Promise<S3Answer> {
  const { services, bucket, context } = call
  const transitionMinimum = minimumOf(call)
  const root = await readDocument(call.body, "required", LIFECYCLE_LIMITS, () => call.turn())
  if (root === undefined) throw fail("missingDocument")
  if (!isRoot(root, LIFECYCLE_DOCUMENT)) {
    throw fail("malformedXml", { reason: `the document must be a ${LIFECYCLE_DOCUMENT}` })
  }
  const rules = lifecycleRulesOf(root, () => newRuleId(context.random))
  const classes = classesIn(rules)
  for (const storageClass of classes) services.classes.require(storageClass)
  // Earlier releases cannot read rules with transitions, and would fail the bucket's requests.
  for (const storageClass of new Set(classes)) await services.classes.use(storageClass)
  await services.buckets.setSetting(bucket, "lifecycle", encodeLifecycleRules({ transitionMinimum, rules }))
  return answerEmpty(200, [[MINIMUM_HEADER, transitionMinimum]])
}

/** To which versions move. */
const classesIn = (rules: readonly LifecycleRule[]): readonly StorageClass[] =>
  rules.flatMap(({ transitions = [], noncurrentTransitions = [] }) =>
    [...transitions, ...noncurrentTransitions].map(({ storageClass }) => storageClass),
  )

export async function deleteBucketLifecycle({ services, bucket }: BucketCall): Promise<S3Answer> {
  await services.buckets.setSetting(bucket, "lifecycle", undefined)
  return answerEmpty(204)
}
