/**
 * The folders that a rescue reads from: whose they are, what there is of a control record, and nobody else
 * at work on them. Takes no lock and writes nothing.
 */
import { fail, isFailure, type Failure } from "../base/failures.js"
import type { DeviceId, StoreId } from "../base/ids.js"
import { readControlRecord, readSuperblock } from "../device/index.js"
import type { ControlRecord } from "../format/control-record.js"
import type { Disk } from "../seams/disk/contract.js"
import { inUse, type FolderLocks } from "../seams/lock/index.js"
import { foldersOf, openSecrets, type StoreSecrets } from "../node/index.js"

export interface Sources {
  /** Their folders of needle volumes. */
  readonly volumes: readonly string[]
  /** Undefined: none of the folders says whose it is. */
  readonly storeId: StoreId | undefined
  /** The newest that can be read. */
  readonly record: ControlRecord | undefined
  /** Undefined: there is no record, or no key to it. */
  readonly secrets: StoreSecrets | undefined
  /** As the operator gave it. */
  readonly masterKey: Uint8Array | undefined
  /** Every device that the record names is here. */
  readonly isWhole: boolean
  /** What could not be read: one line each. */
  readonly notes: readonly string[]
}

interface Found {
  storeId: StoreId | undefined
  record: ControlRecord | undefined
  readonly devices: Set<DeviceId>
  readonly notes: string[]
}

/**
 * Throws `invalidConfig` (no such folder, or no data folder), `folderInUse`, `foreignFolder` (folders of
 * several stores).
 */
export async function openSources(
  disk: Disk,
  locks: FolderLocks,
  folders: readonly string[],
  fileKey: Uint8Array | undefined,
): Promise<Sources> {
  const found: Found = { storeId: undefined, record: undefined, devices: new Set(), notes: [] }
  for (const path of folders) {
    if (!(await disk.exists(path))) throw notThere(path)
    const owner = await locks.ownerOf(path)
    if (owner !== undefined) throw inUse(path, owner)
    await inspect(disk, path, found)
  }
  const { storeId, record, notes } = found
  const secrets = record && secretsOf(record, fileKey, notes)
  const volumes = folders.map(path => foldersOf(path).volumes)
  const isWhole = record !== undefined && record.devices.every(({ id }) => found.devices.has(id))
  return { volumes, storeId, record, secrets, masterKey: fileKey, isWhole, notes }
}

const notThere = (path: string): Failure =>
  fail("invalidConfig", { message: `--from: there is no ${path}; name the folders that are left` })

async function inspect(disk: Disk, path: string, found: Found): Promise<void> {
  const isOurs = (id: StoreId): void => {
    if (found.storeId !== undefined && found.storeId !== id) {
      throw fail("foreignFolder", {
        message: "the folders belong to different stores; rescue one after the other",
        path,
      })
    }
    found.storeId = id
  }
  const superblock = await orNoted(readSuperblock(disk, path), path, found)
  if (superblock) {
    isOurs(superblock.storeId)
    found.devices.add(superblock.deviceId)
  }
  const record = await orNoted(readControlRecord(disk, path), path, found)
  if (record instanceof Error) found.notes.push(`${path}: ${record.message}`)
  else if (record) {
    isOurs(record.storeId)
    if (record.generation > (found.record?.generation ?? 0)) found.record = record
  }
  if (!superblock && !record && !(await disk.exists(foldersOf(path).volumes))) {
    throw fail("invalidConfig", { message: `--from: ${path} is no data folder` })
  }
}

/** Undefined, and noted, where it is damaged. */
async function orNoted<T>(read: Promise<T>, path: string, { notes }: Found): Promise<T | undefined> {
  try {
    return await read
  } catch (error) {
    if (!isFailure(error, "corruptRecord", "deviceFailed")) throw error
    notes.push(`${path}: ${error.message}`)
    return undefined
  }
}

function secretsOf(record: ControlRecord, fileKey: Uint8Array | undefined, notes: string[]): StoreSecrets | undefined {
  try {
    return openSecrets(record.secrets, fileKey)
  } catch (error) {
    if (!isFailure(error)) throw error
    notes.push(`the secrets cannot be opened: ${error.message}`)
    return undefined
  }
}
