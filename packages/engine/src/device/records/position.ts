/**
 * Progress of a device, noted beside its log and its metadata store: at checkpoints and merges, and so at each stop. If
 * older copies of both are put in their place, they agree with each other; the note shows that they are old.
 *
 * Promises  The note is never ahead of what is durable. Without one, or with a damaged one, nothing is refused.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { unlessShort } from "@hayloft/base/space/full-disk.js"
import type { DeviceId, LogSequence } from "@hayloft/base/ids.js"
import { decodePositionRecord, encodePositionRecord, type PositionRecord } from "../../format/device/position-record.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { readRecordFile, replaceRecordFile } from "./record-file.js"

const POSITION_NAME = "position"

const pathIn = (folder: string): string => `${folder}/${POSITION_NAME}`

/** Positions of the log and the metadata store of a device. */
type DevicePosition = Pick<PositionRecord, "logged" | "generation">

/** Positions found at a start. */
interface FoundPosition extends DevicePosition {
  /** The last log batch that the metadata store contains. */
  readonly contained: LogSequence
  /** The first batch that the log has. */
  readonly beginsWith: LogSequence
}

/**
 * Throws `corruptLog` if the log, or the metadata store, ends before the noted position; and if rows are in neither:
 * the store no longer contains them, and the log has cut them.
 */
export async function checkPosition(
  disk: Disk,
  folder: string,
  deviceId: DeviceId,
  found: FoundPosition,
): Promise<void> {
  if (found.contained + 1 < found.beginsWith) {
    throw fail("corruptLog", {
      message: `the metadata store in ${folder}/base is older than its log: it contains batches up to ${found.contained}, and the log begins with batch ${found.beginsWith}. Restore the newer one`,
    })
  }
  const noted = await notedPosition(disk, folder, deviceId)
  // If both are gone nothing is old.
  if (found.logged === 0 || noted === undefined) return
  if (noted.logged <= found.logged && noted.generation <= found.generation) return
  if (noted.logged <= found.logged) {
    throw fail("corruptLog", {
      message: `the metadata store in ${folder}/base is older than the last one of this device: it is at generation ${found.generation}, and it was at generation ${noted.generation}. Restore the newer one; or remove the file ${pathIn(folder)} to continue with the older one, if the log contains everything that was written since`,
    })
  }
  throw fail("corruptLog", {
    message: `log and metadata store are older than the last ones of this device: they end with batch ${found.logged} and generation ${found.generation}, and it was at batch ${noted.logged} and generation ${noted.generation}. Restore the newer ones; or remove the file ${pathIn(folder)} to continue with the older ones, without everything that was written since`,
  })
}

async function notedPosition(disk: Disk, folder: string, id: DeviceId): Promise<DevicePosition | undefined> {
  try {
    const bytes = await readRecordFile(disk, pathIn(folder))
    const record = bytes && decodePositionRecord(bytes)
    return record?.deviceId === id ? record : undefined
  } catch (error) {
    if (isFailure(error, "corruptRecord")) return undefined
    throw error
  }
}

/** A device without space for it keeps its present note, which is still correct. */
export async function notePosition(
  disk: Disk,
  folder: string,
  deviceId: DeviceId,
  position: DevicePosition,
): Promise<void> {
  const bytes = encodePositionRecord({ deviceId, ...position })
  await unlessShort(
    () => replaceRecordFile(disk, pathIn(folder), bytes),
    () => undefined,
  )
}

/** Call it before the log and the metadata store are discarded. */
export async function forgetPosition(disk: Disk, folder: string): Promise<void> {
  if (!(await disk.exists(pathIn(folder)))) return
  await disk.remove(pathIn(folder))
  await disk.syncFolder(folder)
}
