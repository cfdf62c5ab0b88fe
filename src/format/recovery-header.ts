/**
 * Recovery headers: the object metadata in the shards of the first block of an upload, so that rows can be rebuilt
 * from needles alone as a last resort.
 */
import { fail } from "../base/failures.js"
import { must } from "../base/assert.js"
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { parseBucketName, parseUploadId, type BucketName, type UploadId } from "../base/ids.js"
import { numberOfClass, STORAGE_CLASSES, type StorageClass } from "../base/storage-class.js"
import { packVersionLock, readVersionLock, type VersionLock } from "./object-lock.js"
import { packRecord, pick, RecordReader } from "./pack.js"
import { packSealing, readSealing, type Sealing } from "./sealing.js"

export interface RecoveryHeader {
  readonly bucket: BucketName
  readonly contentType: string
  readonly userMetadata: readonly (readonly [name: string, value: string])[]
  /** As stored. Undefined if unknown when the upload began. */
  readonly plannedLengthBytes: number | undefined
  /** "" for a single upload. */
  readonly multipartId: string
  /**
   * The lock that the version had when this header was written: the request's, or that of the row if a shard was
   * rebuilt.
   */
  readonly lock?: VersionLock
  /** Its bytes are sealed: what is needed to read them without the rows of the bucket's secrets. */
  readonly sealed?: SealedUpload
  /** The storage class that the version had when this header was written; absent for STANDARD. */
  readonly storageClass?: StorageClass
}

export interface SealedUpload {
  readonly sealing: Sealing
  /** Number of the key under which the secret is sealed. */
  readonly epoch: number
  /** The secret of the bucket. */
  readonly sealedSecret: Uint8Array
  /** The ciphertext of the bucket key, for SSE-KMS with a bucket key. */
  readonly bucketKey?: Uint8Array
  /** As in an extent. */
  readonly sealedAs?: UploadId
}

export function encodeRecoveryHeader(note: RecoveryHeader): Uint8Array {
  const { lock, sealed, storageClass } = note
  const members = [note.bucket, note.contentType, note.userMetadata, note.plannedLengthBytes ?? null, note.multipartId]
  const appended = [
    lock && packVersionLock(lock),
    ...[sealed && packSealing(sealed.sealing), sealed && packSecret(sealed)],
    storageClass && numberOfClass(storageClass),
  ]
  const last = appended.findLastIndex(member => member !== undefined)
  return packRecord(sealed === undefined && storageClass === undefined ? 1 : 2, [
    ...members,
    ...appended.slice(0, last + 1).map(member => member ?? null),
  ])
}

/** Members up to the last one that is set. */
function packSecret({ epoch, sealedSecret, bucketKey, sealedAs }: SealedUpload): readonly unknown[] {
  if (sealedAs !== undefined)
    return [epoch, sealedSecret, bucketKey ?? null, must(bytesOfHex(sealedAs), "upload ids are hex")]
  return bucketKey === undefined ? [epoch, sealedSecret] : [epoch, sealedSecret, bucketKey]
}

export function decodeRecoveryHeader(bytes: Uint8Array): RecoveryHeader {
  const row = RecordReader.open("recovery header", bytes, 2)
  const note = {
    bucket: parseBucketName(row.text()),
    contentType: row.text(),
    userMetadata: row.rows((pair): readonly [string, string] => [pair.text(), pair.text()]),
    plannedLengthBytes: row.optional(() => row.number()),
    multipartId: row.text(),
  }
  if (note.plannedLengthBytes !== undefined && note.plannedLengthBytes < 0)
    throw fail("corruptRecord", { what: "recovery header" })
  const lock = row.optional(() => readVersionLock(row.row()))
  const locked = lock === undefined ? note : { ...note, lock }
  if (row.format === 1) return locked
  const sealing = row.optional(() => readSealing(row.row()))
  const sealed = row.optional(() => row.row())
  if ((sealing === undefined) !== (sealed === undefined)) throw fail("corruptRecord", { what: "recovery header" })
  const storageClass = row.optional(() => pick(STORAGE_CLASSES, row.number(), "storage class"))
  return {
    ...locked,
    ...(sealing && sealed && { sealed: { sealing, ...readSecret(sealed) } }),
    ...(storageClass && { storageClass }),
  }
}

function readSecret(secret: RecordReader): Omit<SealedUpload, "sealing"> {
  const epoch = secret.number()
  if (!Number.isSafeInteger(epoch) || epoch < 0) throw fail("corruptRecord", { what: "recovery header" })
  const sealedSecret = secret.bytes()
  const bucketKey = secret.optional(() => secret.bytes())
  const sealedAs = secret.optional(() => parseUploadId(hexOf(secret.bytes())))
  return { epoch, sealedSecret, ...(bucketKey && { bucketKey }), ...(sealedAs && { sealedAs }) }
}
