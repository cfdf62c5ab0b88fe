/** The copy of the control record on one device: read whole, replaced whole. */
import { isFailure } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import { encodeControlRecord, parseControlRecord } from "../format/control-record.js"
import type { ControlRecord } from "../format/control-record.js"
import type { Disk } from "../seams/disk/contract.js"
import { withBallast } from "./ballast.js"
import { readRecordFile, replaceRecordFile } from "./record-file.js"

const NAME = "control"

/** Undefined: the device has none yet. A damaged one is returned as the failure, since other devices have copies. */
export async function readControlRecord(disk: Disk, folder: string): Promise<ControlRecord | Failure | undefined> {
  const bytes = await readRecordFile(disk, `${folder}/${NAME}`)
  if (bytes === undefined) return undefined
  try {
    return parseControlRecord(bytes)
  } catch (error) {
    if (isFailure(error, "corruptRecord")) return error
    throw error
  }
}

/** Durable when it resolves. A device without room for it gives back a part of its ballast. */
export function writeControlRecord(disk: Disk, folder: string, record: ControlRecord): Promise<void> {
  const bytes = encodeControlRecord(record)
  return withBallast(disk, folder, () => replaceRecordFile(disk, `${folder}/${NAME}`, bytes))
}
