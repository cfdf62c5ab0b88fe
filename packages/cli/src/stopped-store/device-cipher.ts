/** The cipher of an encrypted device, for commands on its files: from its control record and the operator's key files. */
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { readControlRecord } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { MasterKeyFiles } from "@hayloft/node/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import type { CliIo } from "../io.js"
import { localConfig } from "../stores.js"

export interface KeyOptions {
  readonly masterKeyFile?: string
  readonly nextMasterKeyFile?: string
}

/**
 * Returns undefined if the device is not encrypted. Throws `wrongMasterKey` if the key files are missing or different
 * ones, and `invalidConfig` if one holds no key.
 */
export async function deviceCipher(
  io: CliIo,
  options: KeyOptions,
  record: ControlRecord,
  deviceId: DeviceId,
): Promise<DeviceCipher | undefined> {
  const { offlineCipher } = await import("@hayloft/node/index.js")
  return offlineCipher(record, deviceId, () => fileKeysOf(io, options), new RealRandom())
}

/** Reads the key files of the flags, the environment or the config file. */
export async function fileKeysOf(io: CliIo, options: KeyOptions): Promise<MasterKeyFiles> {
  const config = await localConfig(io, options)
  const { readMasterKeyFiles } = await import("@hayloft/node/index.js")
  return readMasterKeyFiles(new RealDisk(), config)
}

/** The control record in a data folder; undefined if it cannot be read. Damage must not keep a command from its work. */
export async function readableRecord(disk: Disk, folder: string): Promise<ControlRecord | undefined> {
  try {
    const record = await readControlRecord(disk, folder)
    return record instanceof Error ? undefined : record
  } catch (error) {
    if (isFailure(error, "deviceFailed")) return undefined
    throw error
  }
}
