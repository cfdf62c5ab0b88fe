/** `.metadata.bin`: the settings of a bucket. Pure; throws `damaged`, `unknownForm`. */
import { DiskFailure } from "./failure.js"
import { bytesField } from "./fields.js"
import { MessageReader } from "./message-pack.js"

/** Each document as it was given to MinIO, XML or JSON; undefined: there is none. */
export interface BucketMetadata {
  readonly versioning: string | undefined
  readonly objectLock: string | undefined
  readonly policy: string | undefined
  readonly lifecycle: string | undefined
  readonly encryption: string | undefined
  readonly tagging: string | undefined
  readonly quota: string | undefined
  readonly notification: string | undefined
  readonly replication: string | undefined
}

const FORM_BYTES = 4

export function parseBucketMetadata(bytes: Uint8Array): BucketMetadata {
  const form = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, FORM_BYTES))
  if (form.length < FORM_BYTES || form.readUInt16LE(0) !== 1 || form.readUInt16LE(2) !== 1)
    throw new DiskFailure("unknownForm", "the settings of the bucket have an unknown form")
  const fields = new MessageReader(bytes, FORM_BYTES).map()
  const document = (name: string): string | undefined =>
    Buffer.from(bytesField(fields, name)).toString("utf8") || undefined
  return {
    versioning: document("VersioningConfigXML"),
    objectLock: document("ObjectLockConfigXML"),
    policy: document("PolicyConfigJSON"),
    lifecycle: lifecycleOf(document("LifecycleConfigXML")),
    encryption: document("EncryptionConfigXML"),
    tagging: document("TaggingConfigXML"),
    quota: document("QuotaConfigJSON"),
    notification: document("NotificationConfigXML"),
    replication: document("ReplicationConfigXML"),
  }
}

/** MinIO remembers in the document when it was changed, also if no rule is left. */
function lifecycleOf(stored: string | undefined): string | undefined {
  const document = stored?.replace(/<ExpiryUpdatedAt>[^<]*<\/ExpiryUpdatedAt>/, "")
  return document?.includes("<Rule>") === true ? document : undefined
}
