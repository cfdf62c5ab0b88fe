/** Database marks in the data folders of this node: what a device attests of the store's database. */
import { readRecordFile, replaceRecordFile } from "@hayloft/engine/device/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  decodeDatabaseMark,
  encodeDatabaseMark,
  type DatabaseMark,
} from "@hayloft/engine/format/device/database-mark.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"

const fileOf = (folder: string): string => `${folder}/database-mark`

/** Returns undefined if the folder has no mark, or a damaged one. */
export async function readDatabaseMark(disk: Disk, folder: string): Promise<DatabaseMark | undefined> {
  try {
    const bytes = await readRecordFile(disk, fileOf(folder))
    return bytes && decodeDatabaseMark(bytes)
  } catch (error) {
    if (isFailure(error, "corruptRecord", "deviceFailed")) return undefined
    throw error
  }
}

export const writeDatabaseMark = (disk: Disk, folder: string, mark: DatabaseMark): Promise<void> =>
  replaceRecordFile(disk, fileOf(folder), encodeDatabaseMark(mark))

/** The store has moved to a database that the device has not seen yet, or has left its database. */
export async function removeDatabaseMark(disk: Disk, folder: string): Promise<void> {
  if (await disk.exists(fileOf(folder))) await disk.remove(fileOf(folder))
}
