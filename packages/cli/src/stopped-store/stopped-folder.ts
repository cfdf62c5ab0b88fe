/** Locks a data folder of a stopped store for commands on its files, and opens its files if they are encrypted. */
import { resolve } from "node:path"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { RealLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { deviceCipher, readableRecord, type KeyOptions } from "./device-cipher.js"
import type { CliIo } from "../io.js"

export interface StoppedFolder {
  readonly path: string
  readonly disk: Disk
  readonly deviceId: DeviceId
  /** The record is undefined if it cannot be read. */
  readonly record: ControlRecord | undefined
  /** The cipher of an encrypted device. */
  readonly cipher: DeviceCipher | undefined
}

/**
 * Throws `invalidConfig` if it is not a data folder, `folderInUse` while a process uses it, `wrongMasterKey` if it is
 * encrypted and the key file is missing or a different one.
 */
export async function withStoppedFolder<T>(
  io: CliIo,
  folder: string,
  options: KeyOptions,
  use: (folder: StoppedFolder) => Promise<T>,
): Promise<T> {
  const path = resolve(io.workingFolder, folder)
  const { readSuperblock } = await import("@hayloft/engine/device/index.js")
  const disk = new RealDisk()
  const superblock = await readSuperblock(disk, path)
  if (superblock === undefined) throw fail("invalidConfig", { message: `${path} is not a data folder` })
  const lock = await new RealLocks().take(path)
  try {
    const { deviceId } = superblock
    const record = await readableRecord(disk, path)
    const cipher = record && (await deviceCipher(io, options, record, deviceId))
    return await use({ path, disk, deviceId, record, cipher })
  } finally {
    await lock.release()
  }
}
