/**
 * Object lock: GetObjectLockConfiguration, PutObjectLockConfiguration, and Get and Put of ObjectRetention and
 * ObjectLegalHold.
 */
import { fail } from "@hayloft/base/failures.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { ObjectTarget, Retention } from "@hayloft/objects/contract.js"
import type { CallBody } from "../body.js"
import type { S3Answer, BucketCall, ObjectCall } from "../call.js"
import { answerEmpty, answerXml } from "../call.js"
import { isRoot, readDocument, readRequiredDocument } from "../read-document.js"
import type { BodyContent } from "../rights/condition-values-core.js"
import * as wire from "../wire/object-lock.js"
import { pastGovernance, requireAhead } from "./locks-of-requests.js"
import { answerMissing } from "./unset-settings.js"
import { versionIdOf } from "./versions.js"

export async function getObjectLockConfiguration({ bucket }: BucketCall): Promise<S3Answer> {
  const { lock } = bucket
  if (lock === undefined) return answerMissing("ObjectLockConfigurationNotFoundError", bucket)
  return answerXml(wire.CONFIGURATION_DOCUMENT, xml => wire.writeConfiguration(xml, lock.defaultRetention))
}

export async function putObjectLockConfiguration({ services, bucket, body }: BucketCall): Promise<S3Answer> {
  const root = await readRequiredDocument(body, wire.CONFIGURATION_DOCUMENT)
  await services.buckets.setLock(bucket, wire.readConfiguration(root))
  return answerEmpty(200)
}

function targetOf(call: ObjectCall): ObjectTarget {
  const { bucket, key } = call
  const versionId = versionIdOf(call)
  return { bucket, key, ...(versionId !== undefined && { versionId }) }
}

export async function getObjectRetention(call: ObjectCall): Promise<S3Answer> {
  const lock = await call.services.objects.getLock(targetOf(call))
  const retention = lock?.retention
  if (retention === undefined) throw fail("noVersionLock")
  return answerXml(wire.RETENTION_DOCUMENT, xml => wire.writeRetention(xml, retention))
}

/** An empty body is a malformed document for a retention and a legal hold, as Amazon answers for these two. */
async function lockDocument(body: CallBody, root: string): Promise<XmlElement> {
  const found = await readDocument(body, "required")
  if (found === undefined || !isRoot(found, root))
    throw fail("malformedXml", { reason: `the document must be a ${root}` })
  return found
}

const retentionIn = async (body: CallBody): Promise<Retention | undefined> =>
  wire.readRetention(await lockDocument(body, wire.RETENTION_DOCUMENT))

const holdIn = async (body: CallBody): Promise<boolean> =>
  wire.readLegalHold(await lockDocument(body, wire.LEGAL_HOLD_DOCUMENT))

/** The parts of the documents that policies refer to. */
export const newRetentionContent = async (body: CallBody): Promise<BodyContent> => ({
  lock: { retention: await retentionIn(body), legalHold: undefined },
})
export const newLegalHoldContent = async (body: CallBody): Promise<BodyContent> => ({
  lock: { retention: undefined, legalHold: await holdIn(body) },
})

export async function putObjectRetention(call: ObjectCall): Promise<S3Answer> {
  const { services, permissions } = call
  const target = targetOf(call)
  const retention = await retentionIn(call.body)
  if (retention !== undefined) requireAhead(retention, call.nowMs, "RetainUntilDate")
  // The document may arrive slowly: another object may have replaced this one meanwhile, so check again.
  await permissions.require("PutObjectRetention", target)
  await pastGovernance(call, target, bypass => services.objects.setRetention(target, retention, bypass))
  return answerEmpty(200)
}

export async function getObjectLegalHold(call: ObjectCall): Promise<S3Answer> {
  const lock = await call.services.objects.getLock(targetOf(call))
  const legalHold = lock?.legalHold
  if (legalHold === undefined) throw fail("noVersionLock")
  return answerXml(wire.LEGAL_HOLD_DOCUMENT, xml => void xml.text("Status", wire.holdText(legalHold)))
}

export async function putObjectLegalHold(call: ObjectCall): Promise<S3Answer> {
  const { services, permissions } = call
  const target = targetOf(call)
  const legalHold = await holdIn(call.body)
  await permissions.require("PutObjectLegalHold", target)
  await services.objects.setLegalHold(target, legalHold)
  return answerEmpty(200)
}
