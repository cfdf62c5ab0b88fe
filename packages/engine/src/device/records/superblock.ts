/**
 * The superblock of a data folder: distinguishes a device from an empty folder and from other files, and counts the
 * process incarnations on it.
 */
import { dirname } from "node:path"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { DeviceId, Incarnation, StoreId } from "@hayloft/base/ids.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import type { ControlRecord } from "../../format/device/control-record.js"
import { decodeDatabaseMark } from "../../format/device/database-mark.js"
import { decodePositionRecord } from "../../format/device/position-record.js"
import { decodeScrubRecord } from "../../format/device/scrub-record.js"
import { decodeSuperblock, encodeSuperblock } from "../../format/device/superblock.js"
import type { Superblock } from "../../format/device/superblock.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { BALLAST_FOLDER, holdsBallastOnly, withBallast } from "../space/ballast.js"
import { readControlRecord } from "./control.js"
import { namingFile, readRecordFile, replaceRecordFile, SUPERBLOCK_NAME } from "./record-file.js"

/** A file that is written, read and removed to check whether a device works. */
export const PROBE_NAME = "probe"
/**
 * Names that do not make a folder non-empty: the file system's own, our locks, and the new files of records that were not
 * written to the end, which are never read.
 */
const NO_CONTENT =
  /^(lost\+found|owner\.sock.*|(superblock|control(\.second)?|position|scrub|runtime|database-mark)\.new|probe)$/
/** Files of a device that nothing depends on yet. */
const UNUSED_CONTENT = /^(superblock|control(\.second)?)$/

/** Small files of a device, which a running process may have written back into a folder that was emptied. */
const SMALL_FILES = /^(control(\.second)?|position|scrub|runtime|database-mark)(\.new)?$/
/** Notes of a running process about a device, which are worth nothing without the device's rows and bodies. */
const NOTES = new Map<string, (bytes: Uint8Array) => unknown>([
  ["position", decodePositionRecord],
  ["scrub", decodeScrubRecord],
  ["database-mark", decodeDatabaseMark],
])
/** The folders in which a device keeps rows and bodies. */
const DATA_FOLDERS = /^(base|log|volumes(-[0-9]+d)?|payloads)$/
/** The data folders that are empty while nothing was written. */
const CONTENT_FOLDERS = /^(log|volumes(-[0-9]+d)?|payloads)$/

/** Returns true for a name that a device gives a file or folder of its own, and for names of the file system. */
export const isDeviceName = (name: string): boolean =>
  [NO_CONTENT, UNUSED_CONTENT, SMALL_FILES, DATA_FOLDERS].some(names => names.test(name)) || name === BALLAST_FOLDER

export type FolderContent =
  | { readonly kind: "empty" }
  | { readonly kind: "device"; readonly superblock: Superblock }
  /** Files of a device of this record's store whose superblock is gone. `isEmptied`: no rows and no bodies remain. */
  | { readonly kind: "remains"; readonly record: ControlRecord; readonly isEmptied: boolean }

const pathIn = (folder: string): string => `${folder}/${SUPERBLOCK_NAME}`

/** The folder's superblock; undefined if it has none. Throws `corruptRecord`, `invalidConfig`, `deviceFailed`. */
export async function readSuperblock(disk: Disk, folder: string): Promise<Superblock | undefined> {
  const bytes = await readRecordFile(disk, pathIn(folder))
  return bytes && namingFile(pathIn(folder), () => decodeSuperblock(bytes))
}

/**
 * Throws `foreignFolder` for a folder that could become a device inside another one, which would fail together with that, and be
 * removed with it.
 */
export async function checkOutside(disk: Disk, folder: string): Promise<void> {
  for (let above = dirname(folder); above !== dirname(above); above = dirname(above)) {
    if (!(await disk.exists(pathIn(above)))) continue
    const message = `${folder} is inside ${above}, the folder of another device; use a separate folder for each device`
    throw fail("foreignFolder", { message })
  }
}

/**
 * Throws `folderNotEmpty` for a folder with files that are not a device's, and the errors of `readSuperblock` and, if it is no
 * device yet, `checkOutside`.
 */
export async function inspectFolder(disk: Disk, folder: string): Promise<FolderContent> {
  const superblock = await readSuperblock(disk, folder)
  if (superblock !== undefined) return { kind: "device", superblock }
  await checkOutside(disk, folder)
  const others = (await disk.list(folder)).filter(name => !NO_CONTENT.test(name))
  if (await isWrittenBack(disk, folder, others)) return { kind: "empty" }
  return (await remainsIn(disk, folder, others)) ?? notOurs(folder, others)
}

/** Returns true if there is only ballast and notes: a running process writes them back into a folder that was emptied. */
async function isWrittenBack(disk: Disk, folder: string, names: readonly string[]): Promise<boolean> {
  for (const name of names.filter(each => each !== BALLAST_FOLDER)) {
    const decode = NOTES.get(name)
    if (decode === undefined || !(await isIntact(disk, `${folder}/${name}`, decode))) return false
  }
  return holdsBallastOnly(disk, folder)
}

async function isIntact(disk: Disk, path: string, decode: (bytes: Uint8Array) => unknown): Promise<boolean> {
  try {
    const bytes = await readRecordFile(disk, path)
    if (bytes !== undefined) decode(bytes)
    return true
  } catch (error) {
    if (!isFailure(error, "corruptRecord")) throw error
    return false
  }
}

function notOurs(folder: string, others: readonly string[]): never {
  throw fail("folderNotEmpty", { path: folder, found: others.slice(0, 3).join(", ") })
}

/** Returns undefined if some files are not a device's, or their store is unknown. */
async function remainsIn(disk: Disk, folder: string, names: readonly string[]): Promise<FolderContent | undefined> {
  const isOurs = (name: string): boolean => SMALL_FILES.test(name) || DATA_FOLDERS.test(name) || name === BALLAST_FOLDER
  if (!names.every(isOurs)) return undefined
  const record = await readControlRecord(disk, folder)
  if (record === undefined || record instanceof Error) return undefined
  let isEmptied = true
  for (const name of names.filter(each => DATA_FOLDERS.test(each))) {
    isEmptied &&= (await disk.list(`${folder}/${name}`)).length === 0
  }
  return { kind: "remains", record, isEmptied }
}

/** Removes the small files that remain in a folder that was emptied, so that it can become a device. */
export async function removeRemains(disk: Disk, folder: string): Promise<void> {
  for (const name of await disk.list(folder)) if (SMALL_FILES.test(name)) await disk.remove(`${folder}/${name}`)
}

/** Returns true if a device has been created and nothing was ever written to it. */
export async function isUnused(disk: Disk, folder: string): Promise<boolean> {
  const names = await disk.list(folder)
  return names.every(name => NO_CONTENT.test(name) || UNUSED_CONTENT.test(name))
}

/** Returns true if nothing that a client wrote is on a device: it may have been opened. */
export async function hasNoContents(disk: Disk, folder: string): Promise<boolean> {
  for (const name of await disk.list(folder)) {
    if (CONTENT_FOLDERS.test(name) && (await disk.list(`${folder}/${name}`)).length > 0) return false
  }
  return true
}

export interface NewSuperblock {
  readonly storeId: StoreId
  readonly deviceId: DeviceId
  readonly createdMs: number
  /** The format epoch of its store. */
  readonly formatEpoch: number
}

/** Makes an empty folder a device without any process incarnation yet. */
export async function createSuperblock(disk: Disk, folder: string, device: NewSuperblock): Promise<Superblock> {
  const superblock = { ...device, incarnation: parseIncarnation(0) }
  await writeSuperblock(disk, folder, superblock)
  return superblock
}

/**
 * A device without space for it can begin its next incarnation, too: with its record reserve, or a part of its ballast.
 */
function writeSuperblock(disk: Disk, folder: string, superblock: Superblock): Promise<void> {
  return withBallast(disk, folder, () => replaceRecordFile(disk, pathIn(folder), encodeSuperblock(superblock)))
}

/** The least that an incarnation begins with. */
export interface Beginning {
  readonly incarnation?: Incarnation
  /** The format epoch of the store: a device that was absent while it increased is brought up to it. */
  readonly formatEpoch?: number
}

/** Begins the next incarnation on the device. The caller holds the folder's lock. */
export async function beginIncarnation(
  disk: Disk,
  folder: string,
  before: Superblock,
  { incarnation = parseIncarnation(0), formatEpoch = 0 }: Beginning = {},
): Promise<Superblock> {
  const superblock = {
    ...before,
    incarnation: parseIncarnation(Math.max(before.incarnation + 1, incarnation)),
    formatEpoch: Math.max(before.formatEpoch, formatEpoch),
  }
  await writeSuperblock(disk, folder, superblock)
  return superblock
}

/** Within an incarnation: the folder may contain the formats of this epoch from now on. */
export async function raiseFormatEpoch(
  disk: Disk,
  folder: string,
  before: Superblock,
  formatEpoch: number,
): Promise<Superblock> {
  const superblock = { ...before, formatEpoch }
  await writeSuperblock(disk, folder, superblock)
  return superblock
}

/** Returns true if the folder is on another file system than its parent. */
export async function isMountPoint(disk: Disk, folder: string): Promise<boolean> {
  const [here, above] = [await disk.space(folder), await disk.space(`${folder}/..`)]
  return here.fileSystemId !== above.fileSystemId
}
