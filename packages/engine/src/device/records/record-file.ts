/**
 * Record files: small files that are replaced whole and never changed in place (superblock, control record).
 *
 * Promises  After a power cut at any moment a reader finds the old bytes or the new, never a mixture; the new ones once
 *           `replaceRecordFile` has resolved. The format of the bytes must detect rot itself.
 * Limits    RECORD_FILE_BYTES_MAX.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"

const RECORD_FILE_BYTES_MAX = 64 * MIB
export const SUPERBLOCK_NAME = "superblock"
export const CONTROL_NAMES = ["control", "control.second"] as const
/** Files that a device's folder must contain before the device can be opened. */
export const RECORD_NAMES = [SUPERBLOCK_NAME, ...CONTROL_NAMES] as const
const NEW = ".new"

/** The file's bytes; undefined if there is no such file. Throws `corruptRecord` for one that is too large. */
export async function readRecordFile(disk: Disk, path: string): Promise<Uint8Array | undefined> {
  if (!(await disk.exists(path))) return undefined
  const file = await disk.open(path, "read")
  try {
    const sizeBytes = await file.sizeBytes()
    if (sizeBytes > RECORD_FILE_BYTES_MAX) throw fail("corruptRecord", { path, sizeBytes })
    const bytes = new Uint8Array(sizeBytes)
    return bytes.subarray(0, await file.read(bytes, 0))
  } finally {
    await file.close()
  }
}

/** The record in a file's bytes. A failure to decode it names the file. */
export function namingFile<T>(path: string, decode: () => T): T {
  try {
    return decode()
  } catch (error) {
    if (!isFailure(error, "corruptRecord")) throw error
    throw fail("corruptRecord", { ...error.details, message: `${path} is damaged: it cannot be decoded` }, error)
  }
}

/** Replaces the content of the file. One call at a time for each path. */
export async function replaceRecordFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  assert(bytes.length <= RECORD_FILE_BYTES_MAX, "a record file is over its limit")
  const file = await freshFile(disk, path + NEW)
  try {
    await file.write([bytes], 0)
    await file.sync()
  } catch (error) {
    await file.close().catch(() => undefined)
    // On a full disk the remains of an attempt would take the space of the next.
    await disk.remove(path + NEW).catch(() => undefined)
    throw error
  }
  await file.close()
  await disk.rename(path + NEW, path)
  await disk.syncFolder(path.slice(0, path.lastIndexOf("/")))
}

/** Returns true if a replacement of the file is under way, or was cut off. */
export const isBeingWritten = (disk: Disk, path: string): Promise<boolean> => disk.exists(path + NEW)

/** An earlier replacement may have been cut off, and left its file. */
async function freshFile(disk: Disk, path: string): Promise<DiskFile> {
  if (await disk.exists(path)) await disk.remove(path)
  return disk.open(path, "create")
}
