/**
 * The folder of a volume store: a device of its own, without a control record and without a log.
 *
 * Promises  One process has it at a time; another gets `folderInUse`.
 * Refuses   Folders with other files (`folderNotEmpty`), and those of a server (`foreignFolder`).
 */
import { hexOf } from "@hayloft/base/bytes.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseStoreId, type DeviceId, type Incarnation } from "@hayloft/base/ids.js"
import {
  CALL_LIMITS,
  CONTROL_NAMES,
  createSuperblock,
  inspectFolder,
  Ownership,
  queuedDisk,
  readSuperblock,
} from "../device/index.js"
import { FORMAT_EPOCH_FIRST, type Superblock } from "../format/device/superblock.js"
import type { DisposeStack } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { FolderLocks } from "@hayloft/base/seams/folder-lock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { checkOwner, isAbsent } from "../volume/index.js"

export interface FolderSeams {
  readonly disk: Disk
  readonly clock: Clock
  readonly random: Random
  readonly locks: FolderLocks
}

export const foldersOf = (path: string) => ({
  index: `${path}/base`,
  volumes: `${path}/volumes`,
  payloads: `${path}/payloads`,
})

export interface VolumeStoreFolder {
  readonly path: string
  /** Calls that take too long fail. */
  readonly disk: Disk
  readonly deviceId: DeviceId
  readonly incarnation: Incarnation
}

/** A call that takes too long fails from now on, until the stack is closed. */
function boundedDisk(opened: DisposeStack, { disk, clock }: FolderSeams): Disk {
  const lifetime = new AbortController()
  opened.defer(() => lifetime.abort())
  return queuedDisk(disk, clock, CALL_LIMITS, lifetime.signal, () => undefined)
}

/** A server's device has a control record. */
async function checkNoServer(disk: Disk, path: string): Promise<void> {
  for (const name of CONTROL_NAMES) {
    if (!(await disk.exists(`${path}/${name}`))) continue
    throw fail("foreignFolder", { message: "the folder is a device of a Hayloft server", path })
  }
}

/** Throws `invalidConfig` if the folder is not that of a volume store. */
async function existingSuperblock(disk: Disk, path: string): Promise<Superblock> {
  const superblock = await readSuperblock(disk, path)
  if (superblock === undefined) throw fail("invalidConfig", { message: "the folder is no volume store", path })
  return superblock
}

async function makeFolder(disk: Disk, path: string): Promise<void> {
  try {
    await disk.makeFolder(path)
  } catch (error) {
    if (!isAbsent(error)) throw error
    throw fail("invalidConfig", { message: "the folder above it does not exist: make that one first", path }, error)
  }
}

/**
 * Takes the folder, and begins an incarnation. Unless it must exist, the folder is made if the one above exists.
 * `onLost` is called when another process has taken it.
 */
export async function takeFolder(
  opened: DisposeStack,
  seams: FolderSeams,
  path: string,
  mustExist: boolean,
  onLost: (failure: Failure) => void,
): Promise<VolumeStoreFolder> {
  const { clock, random, locks } = seams
  const disk = boundedDisk(opened, seams)
  if (mustExist) await existingSuperblock(disk, path)
  else await makeFolder(disk, path)
  const lock = await locks.take(path)
  let release = (): Promise<void> => lock.release()
  opened.defer(() => release())
  await checkNoServer(disk, path)
  const content = await inspectFolder(disk, path)
  if (content.kind === "remains") throw fail("foreignFolder", { message: "the superblock is missing", path })
  const fresh = () => ({
    storeId: parseStoreId(hexOf(random.bytes(16))),
    deviceId: parseDeviceId(hexOf(random.bytes(8))),
    createdMs: clock.wallMs(),
    formatEpoch: FORMAT_EPOCH_FIRST,
  })
  const superblock = content.kind === "device" ? content.superblock : await createSuperblock(disk, path, fresh())
  const ownership = await Ownership.begin(clock, disk, lock, superblock)
  release = () => ownership.release()
  const watch = new AbortController()
  const watched = ownership.run(watch.signal, onLost)
  opened.defer(async () => {
    watch.abort()
    await watched
  })
  const { id: deviceId, incarnation } = ownership.identity
  const { volumes, payloads, index } = foldersOf(path)
  for (const folder of [volumes, payloads, index]) await disk.makeFolder(folder)
  await checkOwner(disk, volumes, deviceId)
  return { path, disk, deviceId, incarnation }
}

/** Takes the folder of a store that no process has open, and changes nothing in it. */
export async function holdFolder(
  opened: DisposeStack,
  seams: FolderSeams,
  path: string,
): Promise<Omit<VolumeStoreFolder, "incarnation">> {
  const disk = boundedDisk(opened, seams)
  const superblock = await existingSuperblock(disk, path)
  await checkNoServer(disk, path)
  const lock = await seams.locks.take(path)
  opened.defer(() => lock.release())
  return { path, disk, deviceId: superblock.deviceId }
}
