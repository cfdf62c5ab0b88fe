/**
 * Sources: checks the folders that a rescue reads from: their store, their control record, and that no process runs
 * the store. Takes no lock and writes nothing.
 */
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId, StoreId } from "@hayloft/base/ids.js"
import { readControlRecord, readSuperblock } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { inUse, type FolderLocks } from "@hayloft/base/seams/folder-lock/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { volumeFoldersOf, offlineCipher, openSecrets, type MasterKeyFiles, type StoreSecrets } from "../index.js"

export interface Sources {
  /** Their folders of needle volumes. */
  readonly volumes: readonly string[]
  /** The id is undefined if no folder identifies its store. */
  readonly storeId: StoreId | undefined
  /** The newest readable one. */
  readonly record: ControlRecord | undefined
  /** The secrets are undefined if there is no record, or no key to it. */
  readonly secrets: StoreSecrets | undefined
  /** All that may open secrets: that of the record first, then the operator's. */
  readonly masterKeys: readonly Uint8Array[]
  /** The cipher of a store that encrypts what its devices hold: it opens needles and backups of the metadata. */
  readonly cipher: DeviceCipher | undefined
  /** Every device of the record is present. */
  readonly isWhole: boolean
  /** The store has several nodes. */
  readonly isShared: boolean
  /** Files that could not be read: one line each. */
  readonly notes: readonly string[]
}

interface Findings {
  storeId: StoreId | undefined
  record: ControlRecord | undefined
  readonly devices: Set<DeviceId>
  readonly notes: string[]
}

/**
 * Throws `invalidConfig` (no such folder, or no data folder), `folderInUse`, `foreignFolder` (folders of several stores),
 * `wrongMasterKey` (encrypted devices without the operator's key, or with others).
 */
export async function openSources(
  disk: Disk,
  locks: FolderLocks,
  folders: readonly string[],
  fileKeys: MasterKeyFiles,
  random: Random,
): Promise<Sources> {
  const findings: Findings = { storeId: undefined, record: undefined, devices: new Set(), notes: [] }
  for (const path of folders) {
    if (!(await disk.exists(path))) throw notThere(path)
    const owner = await locks.ownerOf(path)
    if (owner !== undefined) throw inUse(path, owner)
    await inspect(disk, path, findings)
  }
  const { storeId, record, notes } = findings
  // The bytes that a rescue reads are encrypted alike on all devices.
  const cipher = record && (await offlineCipher(record, undefined, () => Promise.resolve(fileKeys), random))
  const secrets = record && secretsOf(record, fileKeys, notes)
  const masterKeys = [secrets?.masterKey, secrets?.formerKey, fileKeys.current, fileKeys.next]
  const volumes: string[] = []
  for (const path of folders) volumes.push(...(await volumeFoldersOf(disk, path)).map(({ folder }) => folder))
  const isWhole = record !== undefined && record.devices.every(({ id }) => findings.devices.has(id))
  const isShared = record !== undefined && record.tablets.length === 0
  return {
    volumes,
    storeId,
    record,
    secrets,
    cipher,
    isWhole,
    isShared,
    notes,
    masterKeys: masterKeys.filter(key => key !== undefined),
  }
}

const notThere = (path: string): Failure =>
  fail("invalidConfig", { message: `--from: the folder ${path} does not exist; name the folders that are left` })

async function inspect(disk: Disk, path: string, findings: Findings): Promise<void> {
  const isOurs = (id: StoreId): void => {
    if (findings.storeId !== undefined && findings.storeId !== id) {
      throw fail("foreignFolder", {
        message: "the folders belong to different stores; rescue one after the other",
        path,
      })
    }
    findings.storeId = id
  }
  const superblock = await orNoted(readSuperblock(disk, path), path, findings)
  if (superblock) {
    isOurs(superblock.storeId)
    findings.devices.add(superblock.deviceId)
  }
  const record = await orNoted(readControlRecord(disk, path), path, findings)
  if (record instanceof Error) findings.notes.push(`${path}: ${record.message}`)
  else if (record) {
    isOurs(record.storeId)
    if (record.generation > (findings.record?.generation ?? 0)) findings.record = record
  }
  if (!superblock && !record && (await volumeFoldersOf(disk, path)).length === 0) {
    throw fail("invalidConfig", { message: `--from: ${path} is not a data folder` })
  }
}

/** Returns undefined, and adds a note, if the file is damaged. */
async function orNoted<T>(read: Promise<T>, path: string, { notes }: Findings): Promise<T | undefined> {
  try {
    return await read
  } catch (error) {
    if (!isFailure(error, "corruptRecord", "deviceFailed")) throw error
    notes.push(`${path}: ${error.message}`)
    return undefined
  }
}

function secretsOf(record: ControlRecord, fileKeys: MasterKeyFiles, notes: string[]): StoreSecrets | undefined {
  try {
    return openSecrets(record, fileKeys)
  } catch (error) {
    if (!isFailure(error)) throw error
    notes.push(`the secrets cannot be opened: ${error.message}`)
    return undefined
  }
}
