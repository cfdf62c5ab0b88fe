/**
 * Reads settings that cannot be set here: returns S3's answers for settings that were never set, so that tools which
 * read every setting of a bucket work.
 */
import { fail } from "@hayloft/base/failures.js"
import type { S3Answer, BucketCall, ObjectCall } from "../call.js"
import { answerError, answerXml } from "../call.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { versionIdOf } from "./versions.js"

const MESSAGES = {
  NoSuchCORSConfiguration: "The CORS configuration does not exist",
  NoSuchLifecycleConfiguration: "The lifecycle configuration does not exist",
  NoSuchBucketPolicy: "The bucket policy does not exist",
  NoSuchTagSet: "The TagSet does not exist",
  NoSuchWebsiteConfiguration: "The specified bucket does not have a website configuration",
  NoSuchTransformConfiguration: "The transform configuration does not exist",
  NoSuchRemoteConfiguration: "The remote configuration does not exist",
  ReplicationConfigurationNotFoundError: "The replication configuration was not found",
  ServerSideEncryptionConfigurationNotFoundError: "The server side encryption configuration was not found",
  ObjectLockConfigurationNotFoundError: "Object Lock configuration does not exist for this bucket",
  NoSuchPublicAccessBlockConfiguration: "The public access block configuration was not found",
  OwnershipControlsNotFoundError: "The bucket ownership controls were not found",
  NoSuchConfiguration: "The specified configuration does not exist.",
  MetadataConfigurationNotFound: "The metadata configuration does not exist",
} as const

/** 404 with this code. */
export const answerMissing = (code: keyof typeof MESSAGES, { name }: Pick<Bucket, "name">): S3Answer =>
  answerError({ code, status: 404, message: MESSAGES[code], fields: [["BucketName", name]], headers: [] })

/** A handler that answers 404 with this code. */
export const unset =
  (code: keyof typeof MESSAGES) =>
  async ({ bucket }: BucketCall): Promise<S3Answer> =>
    answerMissing(code, bucket)

type Content = (xml: XmlWriter) => void

const nothing: Content = () => undefined
const notTruncated: Content = xml => void xml.text("IsTruncated", false)
const EMPTY_DOCUMENTS = {
  logging: ["BucketLoggingStatus", nothing],
  notification: ["NotificationConfiguration", nothing],
  accelerate: ["AccelerateConfiguration", nothing],
  abac: ["AbacStatus", xml => void xml.text("Status", "Disabled")],
  analytics: ["ListBucketAnalyticsConfigurationResult", notTruncated],
  inventory: ["ListInventoryConfigurationsResult", notTruncated],
  metrics: ["ListMetricsConfigurationsResult", notTruncated],
  intelligentTiering: ["ListBucketIntelligentTieringConfigurationsOutput", notTruncated],
} as const satisfies Record<string, readonly [root: string, content: Content]>

/** A handler that answers with the document of a setting that was never set. */
export const emptyDocument =
  (name: keyof typeof EMPTY_DOCUMENTS) =>
  async (_call: BucketCall): Promise<S3Answer> => {
    const [root, content] = EMPTY_DOCUMENTS[name]
    return answerXml(root, content)
  }

/** Throws the failures of reading the object if it does not exist. */
export async function requireObject(call: ObjectCall) {
  const versionId = versionIdOf(call)
  const { services, bucket, key } = call
  const target = { bucket, key, ...(versionId !== undefined && { versionId }) }
  const body = await services.objects.get({ ...target, conditions: {}, headersOnly: true, isForServer: true })
  body.close()
  return body.info
}

export async function noTorrent(call: ObjectCall): Promise<S3Answer> {
  throw fail("noSuchKey", { key: call.key })
}
