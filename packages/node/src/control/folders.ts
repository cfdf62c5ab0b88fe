/**
 * Folders that a running store takes: a folder to be added, or a device of the store that returned.
 *
 * Promises  A refused folder is left as it was. A folder that was begun for this store and never became part
 *           of it (a process died in between) is taken as if it were empty.
 * Callers   pass a disk with a time limit for every call.
 */
import { equalBytes, hexOf } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseDeviceId, type DeviceId, type Incarnation } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import {
  createSuperblock,
  inspectFolder,
  isApart,
  type FolderContent,
  isMountPoint,
  hasNoContents,
  isUnused,
  Ownership,
  PROBE_NAME,
  readControlRecord,
  removeRemains,
  type Stalls,
} from "@hayloft/engine/device/index.js"
import { formatEpochOf, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Superblock } from "@hayloft/engine/format/device/superblock.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { FolderLock, FolderLocks } from "@hayloft/base/seams/folder-lock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

const PROBE_BYTES = 64 * KIB

export interface TakenFolder {
  /** Its `identity` identifies the device. */
  readonly ownership: Ownership
  /** The record does not name it yet. */
  readonly isNew: boolean
  readonly isMountPoint: boolean
  readonly capacityBytes: number
}

/** The process that takes folders. */
export interface FolderOwner {
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly locks: FolderLocks
  readonly incarnation: Incarnation
  /** The stalls of all devices of this process. */
  readonly stalls: Stalls
}

/**
 * Takes a folder for the store of the record: makes an empty one a device, and begins a life on it. It does not make the
 * folder, which may be below the mount point of a disk that is not mounted now.
 * Throws `folderInUse`, `folderNotEmpty`, `foreignFolder` (of another store; forgotten by this one; or
 * with a record of a later generation), `corruptRecord`, `deviceFailed`, `deviceFull`, `invalidConfig`.
 */
export async function takeFolder(owner: FolderOwner, path: string, record: ControlRecord): Promise<TakenFolder> {
  const { clock, disk, locks, incarnation, stalls } = owner
  checkCalls(stalls, path)
  if (!(await disk.exists(path))) throw fail("deviceFailed", { message: `the folder ${path} is not there`, path })
  const lock = await locks.take(path)
  try {
    const found = await findDevice(disk, path, record)
    const superblock = found ?? (await begin(owner, path, record))
    const [isMount, { totalBytes }] = [await isMountPoint(disk, path), await disk.space(path)]
    const least = { incarnation, formatEpoch: formatEpochOf(record) }
    const ownership = await Ownership.begin(clock, disk, lock, superblock, least, stalls)
    const isNew = !isNamed(record, superblock.deviceId)
    return { ownership, isNew, isMountPoint: isMount, capacityBytes: totalBytes }
  } catch (error) {
    await giveBack(lock)
    throw error
  }
}

/** A write that was given up may still reach the disk, over what is written after it. */
export function checkCalls(stalls: Stalls, path: string): void {
  if (!stalls.hasCalls(path)) return
  throw fail("deviceFailed", { message: "calls on the device that were given up have not ended yet", path })
}

export const isNamed = (record: ControlRecord, id: DeviceId): boolean => record.devices.some(device => device.id === id)

async function giveBack(lock: FolderLock): Promise<void> {
  await lock.release().catch(() => undefined)
}

/** Returns the superblock of a device of this store; undefined if the folder is empty, by now. */
async function findDevice(disk: Disk, path: string, record: ControlRecord): Promise<Superblock | undefined> {
  const content = await inspectFolder(disk, path)
  if (content.kind !== "device") {
    if (content.kind === "remains") checkRemains(path, content, record)
    await removeRemains(disk, path)
    return undefined
  }
  const { superblock } = content
  await checkDevice(disk, path, superblock, record)
  return superblock
}

/** Checks whether a device may become part of the store, or is. Throws `foreignFolder`. */
export async function checkDevice(
  disk: Disk,
  path: string,
  superblock: Superblock,
  record: ControlRecord,
): Promise<void> {
  if (superblock.storeId !== record.storeId) {
    throw fail("foreignFolder", { message: `${path} belongs to another store` })
  }
  const copy = await readControlRecord(disk, path)
  if (!isNamed(record, superblock.deviceId)) {
    if ((await isUnused(disk, path)) || (await hasOnlyWaited(disk, path, superblock, copy, record))) return
    throw fail("foreignFolder", {
      message: `${path} was part of this store and was removed from it; empty the folder to reuse it`,
    })
  }
  if (copy === undefined || copy instanceof Error) return
  if (copy.generation > record.generation || isApart(copy, record)) {
    throw fail("foreignFolder", { message: `${path} has been changed without this store`, generation: copy.generation })
  }
}

/** The refusal of a folder as a new device that is one of the store's. */
export function deviceAlready(path: string, id: DeviceId, { devices }: Pick<ControlRecord, "devices">): Failure {
  const isOffline = devices.some(device => device.id === id && device.state === "offline")
  const remedy = isOffline ? `: to bring it back: hayloft device check ${id}` : " already"
  return fail("invalidArgument", { message: `${path} is device ${id} of this store${remedy}` })
}

/** Checks whether a folder with the remains of a device may be reused. Throws `foreignFolder`, `folderNotEmpty`. */
export function checkRemains(
  path: string,
  remains: Extract<FolderContent, { kind: "remains" }>,
  { storeId, generation }: Pick<ControlRecord, "storeId" | "generation">,
): void {
  if (remains.record.storeId !== storeId) throw fail("foreignFolder", { message: `${path} belongs to another store` })
  if (remains.record.generation > generation) {
    throw fail("foreignFolder", {
      message: `${path} has been changed without this store`,
      generation: remains.record.generation,
    })
  }
  if (!remains.isEmptied) throw fail("folderNotEmpty", { path, found: "the remains of a device; empty it" })
}

/**
 * Returns true if a node has stopped while this device, open already, waited to become part of a store in a database.
 */
async function hasOnlyWaited(
  disk: Disk,
  path: string,
  { deviceId }: Superblock,
  copy: ControlRecord | Error | undefined,
  { tablets }: ControlRecord,
): Promise<boolean> {
  if (tablets.length > 0 || copy instanceof Error) return false
  return (copy === undefined || !isNamed(copy, deviceId)) && hasNoContents(disk, path)
}

function begin({ clock, random, disk }: FolderOwner, path: string, record: ControlRecord): Promise<Superblock> {
  const deviceId = parseDeviceId(hexOf(random.bytes(8)))
  const { storeId } = record
  return createSuperblock(disk, path, {
    storeId,
    deviceId,
    createdMs: clock.wallMs(),
    formatEpoch: formatEpochOf(record),
  })
}

/**
 * Tests whether a device works: writes, syncs, reads back and removes a small file. Throws `deviceFailed` if it does
 * not, and `deviceFull` if there is no space for the file, which does not mean that the device is faulty.
 */
export async function probeDevice(random: Random, disk: Disk, folder: string): Promise<void> {
  const path = `${folder}/${PROBE_NAME}`
  const bytes = random.bytes(PROBE_BYTES)
  if (await disk.exists(path)) await disk.remove(path)
  const file = await disk.open(path, "create", { durable: true })
  const read = new Uint8Array(PROBE_BYTES)
  try {
    await file.write([bytes], 0)
    await file.sync()
    const lengthBytes = await file.read(read, 0)
    if (lengthBytes !== PROBE_BYTES || !equalBytes(read, bytes)) {
      throw fail("deviceFailed", { message: "the device returned other bytes than were written", path })
    }
  } finally {
    await file.close()
  }
  await disk.remove(path)
  await disk.syncFolder(folder)
}
