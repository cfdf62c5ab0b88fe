/** Locks a data folder of a stopped store for commands on its files. */
import { resolve } from "node:path"
import { fail } from "../base/failures.js"
import type { DeviceId } from "../base/ids.js"
import { RealDisk } from "../seams/disk/index.js"
import type { Disk } from "../seams/disk/contract.js"
import { RealLocks } from "../seams/lock/index.js"
import type { CliIo } from "./io.js"

interface StoppedFolder {
  readonly path: string
  readonly disk: Disk
  readonly deviceId: DeviceId
}

/** Throws `invalidConfig` if it is not a data folder, `locked` while a process uses it. */
export async function withStoppedFolder<T>(
  io: CliIo,
  folder: string,
  use: (folder: StoppedFolder) => Promise<T>,
): Promise<T> {
  const path = resolve(io.workingFolder, folder)
  const { readSuperblock } = await import("../device/index.js")
  const disk = new RealDisk()
  const superblock = await readSuperblock(disk, path)
  if (superblock === undefined) throw fail("invalidConfig", { message: `${path} is not a data folder` })
  const lock = await new RealLocks().take(path)
  try {
    return await use({ path, disk, deviceId: superblock.deviceId })
  } finally {
    await lock.release()
  }
}
