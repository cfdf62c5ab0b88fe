/**
 * Record reserve: a file as large as the records of a device, in `ballast/`. A record is rewritten beside the old
 * one, so that for a moment both exist. On a disk without a free byte this file is removed for that moment, and
 * recreated from the space of the old record. A device can be opened there any number of times.
 *
 * Promises  The space is given only to replacements of records, never to any other write. A failure here fails no other
 *           operation: the next call restores the file.
 * Limits    Another process on the file system may use the free space in that moment.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"
import { RECORD_NAMES } from "./record-file.js"

export const RECORD_RESERVE_NAME = "records"
const BLOCK_BYTES = 4096
/** For names, and for a record that is a little longer than the one before it. */
const SPARE_BLOCKS = 4

const pathIn = (ballastFolder: string): string => `${ballastFolder}/${RECORD_RESERVE_NAME}`

/** Creates the record reserve beside the ballast, as large as the free space allows. Does nothing without records. */
export async function keepRecordReserve(disk: Disk, deviceFolder: string, ballastFolder: string): Promise<void> {
  try {
    const wantedBytes = await recordBytes(disk, deviceFolder)
    if (wantedBytes === 0) return
    const path = pathIn(ballastFolder)
    await makeFolderIn(disk, deviceFolder, ballastFolder)
    const isThere = await disk.exists(path)
    const file = await disk.open(path, isThere ? "write" : "create")
    try {
      await growTo(file, wantedBytes)
    } finally {
      await file.close()
      // A part of it counts, too: it must outlast a power cut.
      if (!isThere) await disk.syncFolder(ballastFolder)
    }
  } catch (error) {
    if (!isFailure(error)) throw error
  }
}

/**
 * Creates the folder for ballast, but never the device's own: where a disk was taken out, whose folder may come back, nothing
 * is written to the disk below. Throws `deviceFailed`.
 */
export async function makeFolderIn(disk: Disk, deviceFolder: string, ballastFolder: string): Promise<void> {
  if (!(await disk.exists(deviceFolder))) throw fail("deviceFailed", { path: deviceFolder, code: "ENOENT" })
  await disk.makeFolder(ballastFolder)
}

/** Returns false if there is none, or it is being given up already. */
export async function lendRecordReserve(disk: Disk, ballastFolder: string): Promise<boolean> {
  const path = pathIn(ballastFolder)
  try {
    if (!(await disk.exists(path))) return false
    await disk.remove(path)
    await disk.syncFolder(ballastFolder)
    return true
  } catch (error) {
    if (!isFailure(error)) throw error
    return false
  }
}

async function growTo(file: DiskFile, wantedBytes: number): Promise<void> {
  const hasBytes = await file.sizeBytes()
  if (hasBytes >= wantedBytes) return
  try {
    await file.write([noise(wantedBytes - hasBytes)], hasBytes)
  } finally {
    // The part that fitted on a full disk counts, too.
    await file.sync()
  }
}

/** Bytes that are on the disk while all records are replaced together, beyond those before and after. */
async function recordBytes(disk: Disk, deviceFolder: string): Promise<number> {
  let blocks = 0
  for (const name of RECORD_NAMES) {
    const path = `${deviceFolder}/${name}`
    if (!(await disk.exists(path))) continue
    const file = await disk.open(path, "read")
    try {
      blocks += Math.ceil((await file.sizeBytes()) / BLOCK_BYTES)
    } finally {
      await file.close()
    }
  }
  return blocks === 0 ? 0 : (blocks + SPARE_BLOCKS) * BLOCK_BYTES
}

/** Bytes that a compressing file system cannot shrink (xorshift; Marsaglia 2003). */
function noise(lengthBytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(lengthBytes / 4))
  let word = 0x9e3779b9
  for (let i = 0; i < words.length; i += 1) {
    word ^= word << 13
    word ^= word >>> 17
    word ^= word << 5
    words[i] = word
  }
  return new Uint8Array(words.buffer, 0, lengthBytes)
}
