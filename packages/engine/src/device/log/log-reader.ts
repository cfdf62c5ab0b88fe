/**
 * A read-only twin of the commit log, for another thread: reads durable records from the segment files while the writer
 * appends to them.
 *
 * The caller gets the durable sequence from the writer and makes sure that the requested batches are not cut meanwhile.
 * Each call lists the files again, since segments are recycled.
 */
import type { DeviceId, LogSequence } from "@hayloft/base/ids.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { LoggedRecord } from "../contract.js"
import { batchesInSegment, openSegments, LogWindowMemory } from "./log-segment.js"

export interface LogReader {
  /**
   * Records of batches above `after`, up to and including `upTo`; the bytes of each are valid until the next. Throws
   * `corruptLog` if one is missing or damaged.
   */
  records(after: LogSequence, upTo: LogSequence): AsyncIterable<LoggedRecord>
  /** The same, a batch at a time. Only one such walk may run. */
  batches(after: LogSequence, upTo: LogSequence): AsyncIterable<readonly LoggedRecord[]>
}

export function openLogReader(disk: Disk, folder: string, deviceId: DeviceId, cipher?: DeviceCipher): LogReader {
  async function* batches(after: LogSequence, upTo: LogSequence, memory: LogWindowMemory) {
    if (upTo <= after) return
    const { segments, close } = await openSegments(disk, folder, deviceId)
    try {
      yield* batchesInSegment(segments, after, upTo, { memory, cipher })
    } finally {
      await close()
    }
  }
  const memory = new LogWindowMemory()
  return {
    async *records(after, upTo) {
      for await (const records of batches(after, upTo, new LogWindowMemory())) yield* records
    },
    batches: (after, upTo) => batches(after, upTo, memory),
  }
}
