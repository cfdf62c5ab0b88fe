/** CopyObject: creates a new version from an existing one, within the store. */
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { CopyRequest, CopyResult, CopySource, ObjectAttributes } from "@hayloft/objects/contract.js"
import { namingSource } from "@hayloft/objects/index.js"
import type { CompiledRules } from "@hayloft/features/lifecycle/index.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { answerXml } from "../call.js"
import { copySource } from "../resolve-copy-source.js"
import { checksumAlgorithmOf } from "../parse-checksums.js"
import { websiteRedirectOf } from "../parse-content.js"
import { actionsOf, REQUIRED_ACTIONS } from "../rights/required-actions-core.js"
import { storageClassOfNew } from "../wire/storage-class.js"
import { parseTagHeader } from "../wire/tags.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { aclOfNewObject } from "./acl.js"
import { encryptionFields, encryptionOfNew, statesEncryption } from "./encryption-of-requests.js"
import { expirationOfMade, lifecycleOf } from "./lifecycle-headers.js"
import { statedLock } from "./locks-of-requests.js"
import { copyFromRemote, isRemote, localConditionsOf, settled } from "./remote-object.js"
import { versionHeader, writtenVersionHeader } from "./versions.js"
import type { Tags } from "@hayloft/base/tags.js"

const replaces = ({ headers }: ObjectCall, directive: string): boolean =>
  headers.get(directive)?.toUpperCase() === "REPLACE"

/**
 * Returns undefined if the source's tags are to be copied. Throws `accessDenied` if the source has some and the caller
 * may not copy them.
 */
async function tagsOf(call: ObjectCall, source: CopySource): Promise<Tags | undefined> {
  if (replaces(call, "x-amz-tagging-directive")) return parseTagHeader(call.headers.get("x-amz-tagging") ?? "")
  if (isRemote(source.bucket)) return []
  const { permissions, services, bucket, key } = call
  const [action] = actionsOf(REQUIRED_ACTIONS.getObjectTagging, call.headers, source.versionId !== undefined)
  const may = action !== undefined && (await permissions.may(action, source))
  if (may && !isRemote(bucket) && (await permissions.may("PutObjectTagging", { bucket, key }))) return undefined
  const read = () => permissions.readSeen(() => services.objects.getTags(source))
  const { tags } = await read().catch((error: unknown) => {
    throw namingSource(error, source.key)
  })
  if (tags.length > 0) throw isRemote(bucket) ? noTags() : fail("accessDenied")
  return []
}

const noTags = () =>
  fail("notImplemented", {
    message: "A remote bucket does not have tags: copy the object with x-amz-tagging-directive: REPLACE.",
  })

interface CopyTerms extends Pick<CopyRequest, "range"> {
  /** The attributes are undefined to take those of the source. */
  readonly attributes: ObjectAttributes | undefined
  /** The second since 1970 from which on the copy no longer exists, the same as in `PutRequest`. */
  readonly expiresAtSeconds?: number | undefined
}

/** Makes the copy that a call asks for, on these terms. `ofWhat`: of a large object, its bytes or its segment list. */
export async function makeCopy(
  call: ObjectCall,
  termsFor: (source: CopySource) => Soon<CopyTerms>,
  ofWhat: "bytes" | "segmentList" = "bytes",
): Promise<{ readonly result: CopyResult; readonly rules: CompiledRules | undefined }> {
  const { services, bucket, key, headers, client } = call
  const lock = statedLock(call)
  const storageClass = storageClassOfNew(headers)
  const encryption = await encryptionOfNew(call)
  const copied = await copySource(call, async ({ openSegment, ...stored }) => {
    const source = ofWhat === "bytes" && openSegment !== undefined ? { ...stored, openSegment } : stored
    const rules = await lifecycleOf(call)
    const { attributes, expiresAtSeconds, range } = await termsFor(source)
    const request = {
      source,
      range,
      bucket,
      key,
      conditions: localConditionsOf(call),
      replaceAttributes: attributes,
      expiresAtSeconds,
      websiteRedirect: websiteRedirectOf(headers),
      replaceTags: await tagsOf(call, source),
      acl: await aclOfNewObject(call),
      lock,
      storageClass,
      encryption,
      statesEncryption: statesEncryption(call),
      checksumAlgorithm: checksumAlgorithmOf(headers),
      signal: client.signal,
    }
    const copy = isRemote(source.bucket) ? copyFromRemote(call, request) : services.objects.copy(request)
    return { result: await copy, rules }
  })
  return { ...copied, result: await settled(call, copied.result) }
}

export async function copyObject(call: ObjectCall): Promise<S3Answer> {
  await call.body.refuseContent()
  const { result, rules } = await makeCopy(call, () => ({
    attributes: replaces(call, "x-amz-metadata-directive") ? call.context.attributes.of(call.headers) : undefined,
  }))
  const { etag, checksum, lastModifiedMs, versionId, sourceVersionId } = result
  const write = (xml: XmlWriter): void => {
    xml.text("LastModified", isoDate(lastModifiedMs)).etag(etag)
    if (checksum !== undefined) {
      xml.text("ChecksumType", checksum.type).text(`Checksum${checksum.algorithm}`, checksum.value)
    }
  }
  return answerXml("CopyObjectResult", write, [
    ...writtenVersionHeader(call.bucket, versionId),
    ...versionHeader(sourceVersionId, "x-amz-copy-source-version-id"),
    ...(await expirationOfMade(call, rules, result)),
    ...encryptionFields(call, result.encryption, { context: true }),
  ])
}
