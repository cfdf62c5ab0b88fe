/**
 * A read-only twin of the commit log, for another thread: reads durable records from the segment files
 * while the writer appends to them.
 *
 * The caller knows from the writer what is durable and sees to it that the batches asked for are not
 * cut meanwhile. Each call looks at the files anew, since segments are recycled.
 */
import type { DeviceId, LogSequence } from "../base/ids.js"
import type { Disk } from "../seams/disk/contract.js"
import type { LoggedRecord } from "./contract.js"
import { openSegments, recordsOf } from "./log-segment.js"

export interface LogReader {
  /** Records of batches above `after`, up to and including `upTo`. Throws `corruptLog` if one is not there whole. */
  records(after: LogSequence, upTo: LogSequence): AsyncIterable<LoggedRecord>
}

export function openLogReader(disk: Disk, folder: string, deviceId: DeviceId): LogReader {
  return { records: (after, upTo) => readRecords(disk, folder, deviceId, after, upTo) }
}

async function* readRecords(
  disk: Disk,
  folder: string,
  deviceId: DeviceId,
  after: LogSequence,
  upTo: LogSequence,
): AsyncIterable<LoggedRecord> {
  if (upTo <= after) return
  const { segments, close } = await openSegments(disk, folder, deviceId)
  try {
    yield* recordsOf(segments, after, upTo)
  } finally {
    await close()
  }
}
