/**
 * Record room: a file as large as the records of a device, in `ballast/`. A record is written anew beside the
 * old one, so that for a moment both are there; on a disk without a free byte this file is given up for that
 * moment, and taken again from what the old one leaves. A device can be opened there as often as one likes.
 *
 * Promises  Given up to whoever replaces records, never to anything else that finds no room. Whatever fails
 *           here fails nobody: the next call makes good what is missing.
 * Limits    Somebody else on the file system may be quicker to take what is free for that moment.
 */
import { isFailure } from "../base/failures.js"
import type { Disk, DiskFile } from "../seams/disk/contract.js"
import { RECORD_NAMES } from "./record-file.js"

export const RECORD_ROOM_NAME = "records"
const BLOCK_BYTES = 4096
/** For names, and for a record that is a little longer than the one before it. */
const SPARE_BLOCKS = 4

const pathIn = (ballastFolder: string): string => `${ballastFolder}/${RECORD_ROOM_NAME}`

/** Has the room wait beside the ballast, as much of it as there is room for. Nothing, where there are no records. */
export async function keepRecordRoom(disk: Disk, deviceFolder: string, ballastFolder: string): Promise<void> {
  try {
    const wantedBytes = await recordBytes(disk, deviceFolder)
    if (wantedBytes === 0) return
    const path = pathIn(ballastFolder)
    await disk.makeFolder(ballastFolder)
    const isThere = await disk.exists(path)
    const file = await disk.open(path, isThere ? "write" : "create")
    try {
      await growTo(file, wantedBytes)
    } finally {
      await file.close()
    }
    if (!isThere) await disk.syncFolder(ballastFolder)
  } catch (error) {
    if (!isFailure(error)) throw error
  }
}

/** False where there is none, or it is being given up already. */
export async function lendRecordRoom(disk: Disk, ballastFolder: string): Promise<boolean> {
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
    // What a full disk took of it counts, too.
    await file.sync()
  }
}

/** What is on the disk while all records are replaced at once, beyond what is there before and after. */
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

/** Bytes that a file system which compresses can leave nothing out of (xorshift; Marsaglia 2003). */
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
