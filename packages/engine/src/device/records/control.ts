/**
 * The copies of the control record on one device: read whole, replaced whole.
 *
 * There are two files, so that rot in one does not cost the device its vote; in a store of two devices that vote
 * decides. A record counts as written once both have it.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { encodeControlRecord, masterKeyNumberOf, parseControlRecord } from "../../format/device/control-record.js"
import type { ControlRecord } from "../../format/device/control-record.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { CONTROL_NAMES, isBeingWritten, namingFile, readRecordFile, replaceRecordFile } from "./record-file.js"

async function readCopy(disk: Disk, path: string): Promise<ControlRecord | Failure | undefined> {
  try {
    const bytes = await readRecordFile(disk, path)
    return bytes && namingFile(path, () => parseControlRecord(bytes))
  } catch (error) {
    if (isFailure(error, "corruptRecord")) return error
    throw error
  }
}

/**
 * The newest that can be read. Undefined: the device has none yet. If none can be read the failure is returned, since
 * other devices have copies. Throws `deviceFailed`, `invalidConfig` (a later release's).
 */
export async function readControlRecord(disk: Disk, folder: string): Promise<ControlRecord | Failure | undefined> {
  const copies = await mapBounded(CONTROL_NAMES, CONTROL_NAMES.length, name => readCopy(disk, `${folder}/${name}`))
  let newest: ControlRecord | undefined
  for (const copy of copies) {
    if (copy === undefined || copy instanceof Error) continue
    if (newest === undefined || copy.generation > newest.generation) newest = copy
  }
  return newest ?? copies.find(copy => copy !== undefined)
}

/** The record is durable when it resolves. */
export async function writeControlRecord(disk: Disk, folder: string, record: ControlRecord): Promise<void> {
  const bytes = encodeControlRecord(record)
  await mapBounded(CONTROL_NAMES, CONTROL_NAMES.length, name => replaceRecordFile(disk, `${folder}/${name}`, bytes))
}

/** In the copies of the record on a device. */
export interface OldestKeys {
  /** The epoch is undefined if no copy has a key ring. */
  readonly epoch: number | undefined
  /** The number of the master key that seals it. */
  readonly masterKey: number
}

/**
 * The oldest keys of all copies of the record; undefined if there is none. 0 if a copy is damaged or being replaced: its
 * bytes may be those of any record. Throws `deviceFailed`.
 */
export async function oldestKeys(disk: Disk, folder: string): Promise<OldestKeys | undefined> {
  const epochs: number[] = []
  const masterKeys: number[] = []
  for (const name of CONTROL_NAMES) {
    const path = `${folder}/${name}`
    const copy = await readCopy(disk, path)
    if (copy === undefined) continue
    const isBeingReplaced = await isBeingWritten(disk, path)
    if (copy instanceof Error || isBeingReplaced) return { epoch: 0, masterKey: 0 }
    epochs.push(...(copy.keyring?.epochs ?? []).map(({ number }) => number))
    masterKeys.push(masterKeyNumberOf(copy))
  }
  if (masterKeys.length === 0) return undefined
  return { epoch: epochs.length === 0 ? undefined : Math.min(...epochs), masterKey: Math.min(...masterKeys) }
}
