/** PutObject: stores a body with its headers as the latest version of a key. */
import { after, type Soon } from "../../base/soon.js"
import { HeaderLines } from "../../http/index.js"
import type { PutRequest, PutResult, StoredChecksum, Tags } from "../../object/contract.js"
import type { Answer, ObjectCall } from "../call.js"
import { linesOfFields } from "../call.js"
import type { Field } from "../failures.js"
import { checksumHeader } from "../parse-checksums.js"
import { writeConditionsOf } from "../parse-conditions.js"
import { storageClassOfNew } from "../wire/storage-class.js"
import { parseTagHeader } from "../wire/tags.js"
import { aclOfNewObject } from "./acl.js"
import { encryptionFields, encryptionOfNew } from "./encryption-of-requests.js"
import { expirationOfStored, lifecycleOf } from "./lifecycle-headers.js"
import { requireDigest, statedLock } from "./locks-of-requests.js"
import { writtenVersionHeader } from "./versions.js"

/** A stored checksum as headers. */
export const checksumFields = (checksum: StoredChecksum | undefined): Field[] =>
  checksum === undefined
    ? []
    : [
        [checksumHeader(checksum.algorithm), checksum.value],
        ["x-amz-checksum-type", checksum.type],
      ]

/** A stored object, and the headers that say so. */
interface StoredObject {
  readonly stored: PutResult
  readonly fields: readonly Field[]
}

/** Stores the body of a call under its key; `expiresAtSeconds` as in `PutRequest`. */
export function storeObject(call: ObjectCall, tags: Tags, expiresAtSeconds?: number): Soon<StoredObject> {
  return after(lifecycleOf(call), rules =>
    after(putBody(call, tags, expiresAtSeconds), (stored): StoredObject => {
      const { versionId, checksum } = stored
      const expiration = expirationOfStored(call, rules, stored, tags)
      const encryption = encryptionFields(call, stored.encryption, { context: true })
      const fields = [...writtenVersionHeader(versionId), ...checksumFields(checksum), ...expiration, ...encryption]
      return { stored, fields }
    }),
  )
}

const putBody = (call: ObjectCall, tags: Tags, expiresAtSeconds: number | undefined): Soon<PutResult> =>
  after(encryptionOfNew(call), encryption =>
    after(aclOfNewObject(call), acl => putAs(call, { tags, acl, encryption, expiresAtSeconds })),
  )

function putAs(
  call: ObjectCall,
  { tags, acl, encryption, expiresAtSeconds }: Pick<PutRequest, "tags" | "acl" | "encryption" | "expiresAtSeconds">,
): Promise<PutResult> {
  const { services, bucket, key, headers, body, client, context } = call
  const attributes = context.attributes.of(headers)
  const lock = statedLock(call)
  const source = body.payload()
  const storageClass = storageClassOfNew(headers, services.classes)
  requireDigest("Object", source, lock !== undefined || bucket.lock?.defaultRetention !== undefined)
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
    conditions: writeConditionsOf(headers),
    body: source,
    // The signal is created on first use.
    get signal() {
      return client.signal
    },
  })
}

export function putObject(call: ObjectCall): Soon<Answer> {
  const tagging = call.headers.get("x-amz-tagging")
  const storing = storeObject(call, tagging === undefined ? [] : parseTagHeader(tagging))
  return after(storing, ({ stored, fields }): Answer => {
    const etag = HeaderLines.ofChecked(`ETag: "${stored.etag}"\r\n`)
    return { status: 200, headers: etag.and(linesOfFields(fields)), body: { kind: "none" } }
  })
}
