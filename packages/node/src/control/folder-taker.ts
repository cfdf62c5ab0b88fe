/** Folders that a running store inspects and takes; every call has a time limit. */
import { dirname, resolve } from "node:path"
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import {
  checkDevice,
  checkRemains,
  deviceAlready,
  isNamed,
  probeDevice,
  takeFolder,
  type FolderOwner,
} from "./folders.js"
import {
  CALL_LIMITS,
  checkOutside,
  inspectFolder,
  isMountPoint,
  isUnused,
  queuedDisk,
  readSuperblock,
  type Ownership,
} from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { OwnedFolder } from "../devices/device-set.js"
import type { FolderMatch } from "./change-planner.js"
import type { FolderTaken, FolderTaker } from "./operations.js"

export class StoreFolders implements FolderTaker {
  constructor(
    private readonly owner: FolderOwner,
    private readonly record: () => ControlRecord,
    private readonly ownedOf: (device: Ownership) => OwnedFolder,
  ) {}

  inspect(path: string): Promise<FolderMatch> {
    const folder = resolve(path)
    return this.bounded(folder, async disk => {
      if (!(await disk.exists(folder))) {
        await checkOutside(disk, folder)
        const above = dirname(folder)
        if (!(await disk.exists(above))) {
          throw fail("invalidArgument", {
            message: `the folder ${above} does not exist: is a disk not mounted, or the path mistyped? If not, create it`,
          })
        }
        return { isMountPoint: false, ...(await diskFacts(disk, above)) }
      }
      const content = await inspectFolder(disk, folder)
      if (content.kind === "remains") checkRemains(folder, content, this.record())
      if (content.kind === "device") {
        const { superblock } = content
        await checkDevice(disk, folder, superblock, this.record())
        if (isNamed(this.record(), superblock.deviceId)) throw deviceAlready(folder, superblock.deviceId, this.record())
      }
      return matchOf(disk, folder)
    })
  }

  factsOf(path: string): Promise<FolderMatch> {
    const folder = resolve(path)
    return this.bounded(folder, disk => matchOf(disk, folder))
  }

  deviceAt(path: string): Promise<DeviceId | undefined> {
    const folder = resolve(path)
    return this.bounded(folder, async disk => {
      if (!(await disk.exists(folder))) return undefined
      return (await readSuperblock(disk, folder))?.deviceId
    })
  }

  mayBeFilled(path: string): Promise<boolean> {
    const folder = resolve(path)
    return this.bounded(folder, async disk => {
      if (!(await disk.exists(folder))) return false
      const content = await inspectFolder(disk, folder)
      if (content.kind !== "device") return content.kind === "empty" || content.isEmptied
      const { storeId, devices } = this.record()
      const { superblock } = content
      const isNamed = devices.some(({ id }) => id === superblock.deviceId)
      return superblock.storeId === storeId && !isNamed && (await isUnused(disk, folder))
    })
  }

  makeAndTake(path: string): Promise<FolderTaken> {
    const folder = resolve(path)
    return this.bounded(folder, async disk => {
      await disk.makeFolder(folder)
      return this.taken(disk, folder)
    })
  }

  take(path: string): Promise<FolderTaken> {
    const folder = resolve(path)
    return this.bounded(folder, disk => this.taken(disk, folder))
  }

  private async taken(disk: Disk, folder: string): Promise<FolderTaken> {
    const taken = await takeFolder({ ...this.owner, disk }, folder, this.record())
    return { ...taken, folder: this.ownedOf(taken.ownership) }
  }

  probe(path: string): Promise<void> {
    return this.bounded(path, disk => probeDevice(this.owner.random, disk, path))
  }

  /** Does not wait for a stall: its caller tries again. */
  private async bounded<T>(folder: string, use: (disk: Disk) => Promise<T>): Promise<T> {
    const watch = new AbortController()
    const { disk, clock, stalls } = this.owner
    const queue = queuedDisk(disk, clock, CALL_LIMITS, watch.signal, () => undefined)
    stalls.watch(folder, queue, watch.signal)
    try {
      return await use(queue)
    } finally {
      watch.abort()
    }
  }
}

async function matchOf(disk: Disk, folder: string): Promise<FolderMatch> {
  return { isMountPoint: await isMountPoint(disk, folder), ...(await diskFacts(disk, folder)) }
}

async function diskFacts(disk: Disk, folder: string): Promise<Omit<FolderMatch, "isMountPoint">> {
  const { totalBytes, fileSystemId } = await disk.space(folder)
  const { fileSystemId: systemDisk } = await disk.space("/")
  return { capacityBytes: totalBytes, disk: fileSystemId, systemDisk }
}
