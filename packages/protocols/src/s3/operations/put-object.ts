/** PutObject: stores a body with its headers as the latest version of a key. */
import { after, type Soon } from "@hayloft/base/soon.js"
import { HeaderLines } from "../../http/index.js"
import type { BodySource, ObjectAttributes, PutRequest, PutResult } from "@hayloft/objects/contract.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { linesOfFields } from "../call.js"
import { checksumFields, requireNamedAlgorithm } from "../parse-checksums.js"
import { storageClassOfNew } from "../wire/storage-class.js"
import { parseTagHeader } from "../wire/tags.js"
import { aclOfNewObject } from "./acl.js"
import { OFFSET_HEADER, putAtOffset } from "./append-object.js"
import { encryptionFields, encryptionOfNew } from "./encryption-of-requests.js"
import { expirationOfStored, lifecycleOf } from "./lifecycle-headers.js"
import { requireDigest, statedLock } from "./locks-of-requests.js"
import { localConditionsOf, settled } from "./remote-object.js"
import { writtenVersionHeader } from "./versions.js"
import type { Tags } from "@hayloft/base/tags.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** A stored object, and the headers that say so. */
interface StoredObject {
  readonly stored: PutResult
  readonly fields: readonly HeaderField[]
}

/** The terms on which another protocol stores an object. */
interface StoredTerms extends Pick<PutRequest, "expiresAtSeconds" | "largeObject" | "timestamp"> {
  /** In place of that of the request. */
  readonly body?: BodySource
  /** In place of those in its headers. */
  readonly attributes?: ObjectAttributes
  /** A locked object needs no digest of its body: the protocol has no header for one that S3 would know. */
  readonly mayLackDigest?: true
}

/** Stores the body of a call under its key. */
export function storeObject(call: ObjectCall, tags: Tags, terms: StoredTerms = {}): Soon<StoredObject> {
  return after(lifecycleOf(call), rules =>
    after(
      after(putBody(call, tags, terms), put => settled(call, put)),
      (stored): StoredObject => {
        const { versionId, checksum } = stored
        const expiration = expirationOfStored(call, rules, stored, tags)
        const encryption = encryptionFields(call, stored.encryption, { context: true })
        const fields = [
          ...writtenVersionHeader(call.bucket, versionId),
          ...checksumFields(checksum),
          ...expiration,
          ...encryption,
        ]
        return { stored, fields }
      },
    ),
  )
}

const putBody = (call: ObjectCall, tags: Tags, terms: StoredTerms): Soon<PutResult> =>
  after(encryptionOfNew(call), encryption =>
    after(aclOfNewObject(call), acl => putAs(call, terms, { tags, acl, encryption })),
  )

function putAs(
  call: ObjectCall,
  terms: StoredTerms,
  { tags, acl, encryption }: Pick<PutRequest, "tags" | "acl" | "encryption">,
): Promise<PutResult> {
  const { services, bucket, key, headers, client, context } = call
  const { expiresAtSeconds, largeObject, timestamp } = terms
  const attributes = terms.attributes ?? context.attributes.of(headers)
  const lock = statedLock(call)
  const body = terms.body ?? call.body.payload()
  requireNamedAlgorithm(headers, body.checksumAlgorithm)
  const storageClass = storageClassOfNew(headers)
  const isLocked = lock !== undefined || bucket.lock?.defaultRetention !== undefined
  if (terms.body === undefined && terms.mayLackDigest === undefined) requireDigest("Object", body, isLocked)
  return services.objects.put({
    bucket,
    key,
    attributes,
    tags,
    acl,
    lock,
    storageClass,
    encryption,
    expiresAtSeconds,
    largeObject,
    timestamp,
    conditions: localConditionsOf(call),
    body,
    // The signal is created on first use.
    get signal() {
      return client.signal
    },
  })
}

export function putObject(call: ObjectCall): Soon<S3Answer> {
  if (call.headers.get(OFFSET_HEADER) !== undefined) return putAtOffset(call)
  const tagging = call.headers.get("x-amz-tagging")
  const storing = storeObject(call, tagging === undefined ? [] : parseTagHeader(tagging))
  return after(storing, ({ stored, fields }): S3Answer => {
    const etag = HeaderLines.ofChecked(`ETag: "${stored.etag}"\r\n`)
    return { status: 200, headers: etag.and(linesOfFields(fields)), body: { kind: "none" } }
  })
}
