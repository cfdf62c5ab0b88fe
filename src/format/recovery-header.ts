/**
 * Recovery headers: the object metadata in the shards of the first block of an upload, so that rows can be rebuilt
 * from needles alone as a last resort.
 */
import { fail } from "../base/failures.js"
import { parseBucketName, type BucketName } from "../base/ids.js"
import { packVersionLock, readVersionLock, type VersionLock } from "./object-lock.js"
import { packRecord, RecordReader } from "./pack.js"

export interface RecoveryHeader {
  readonly bucket: BucketName
  readonly contentType: string
  readonly userMetadata: readonly (readonly [name: string, value: string])[]
  /** Undefined if unknown when the upload began. */
  readonly plannedLengthBytes: number | undefined
  /** "" for a single upload. */
  readonly multipartId: string
  /** What the version had when this header was written: the request's, or that of the row if a shard was rebuilt. */
  readonly lock?: VersionLock
}

export const encodeRecoveryHeader = (note: RecoveryHeader): Uint8Array =>
  packRecord(1, [
    ...[note.bucket, note.contentType, note.userMetadata, note.plannedLengthBytes ?? null, note.multipartId],
    ...(note.lock === undefined ? [] : [packVersionLock(note.lock)]),
  ])

export function decodeRecoveryHeader(bytes: Uint8Array): RecoveryHeader {
  const row = RecordReader.open("recovery header", bytes, 1)
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
  return lock === undefined ? note : { ...note, lock }
}
