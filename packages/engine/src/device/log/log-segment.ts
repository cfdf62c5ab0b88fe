/**
 * Log segments as files: names, and reading their batches one after another with bounded memory.
 *
 * Files keep their names permanently and are recycled with a new segment number, which is part of each batch; so no
 * rename has to be made durable.
 */
import { fail, Failure, isFailure } from "@hayloft/base/failures.js"
import type { DeviceId, LogSequence } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { xxh64Memory } from "@hayloft/base/simd/xxh64.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import {
  batchBytes,
  decodeLogBatchHeader,
  isWholeLogBatch,
  LOG_HEADER_BYTES,
  LOG_SEALED_AT,
  recordsOfWhole,
  sealedLogNonce,
} from "../../format/device/log-batch.js"
import type { LogBatchHeader, LogBatchRecord } from "../../format/device/log-batch.js"
import type { Disk, DiskFile, OpenOptions } from "@hayloft/base/seams/disk/contract.js"
import type { LoggedRecord } from "../contract.js"
import { continuesAcross, continuesWithin } from "./log-recovery-core.js"

/** Read-ahead: little at first, since often only the front of a file is needed. Longer batches are read whole. */
const WINDOW_BYTES_FIRST = 16 * KIB
const WINDOW_BYTES_MAX = MIB
const NAME = /^segment-(\d{6})$/

/** How the writer opens the log's files: every write of a client waits for it. */
export const LOG_FILE: OpenOptions = { durable: true, urgent: true }

export const segmentName = (ordinal: number): string => `segment-${String(ordinal).padStart(6, "0")}`
/** The ordinal in a segment file's name; undefined for other files. */
export function parseSegmentName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Paths of all segment files in a log's folder. */
export async function segmentPaths(disk: Disk, folder: string): Promise<string[]> {
  const names = await disk.list(folder)
  return names.filter(name => parseSegmentName(name) !== undefined).map(name => `${folder}/${name}`)
}

const NOTHING = new Uint8Array(0)

/** Memory of windows that are used one after the other; batches are verified in place. */
export class LogWindowMemory {
  #bytes: Uint8Array = NOTHING

  atLeast(lengthBytes: number): Uint8Array {
    if (this.#bytes.length < lengthBytes) {
      // WebAssembly's memory, in which checksums need no copy, takes address space of gigabytes: short files do without.
      const isShort = lengthBytes < WINDOW_BYTES_MAX
      this.#bytes = isShort ? new Uint8Array(lengthBytes) : Buffer.from(xxh64Memory(lengthBytes).buffer)
    }
    return this.#bytes
  }
}

/** A file read from front to back. The bytes read stay valid, or in `memory` only until the next piece is requested. */
export class Window {
  #buffer: Uint8Array = NOTHING
  #fromBytes = 0
  #aheadBytes = WINDOW_BYTES_FIRST

  constructor(
    private readonly file: DiskFile,
    private readonly memory?: LogWindowMemory,
  ) {}

  /** Up to `lengthBytes` bytes at the offset; fewer at the end of the file. */
  async at(offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const start = offsetBytes - this.#fromBytes
    if (start < 0 || start + lengthBytes > this.#buffer.length) {
      const wantedBytes = Math.max(lengthBytes, this.#aheadBytes)
      this.#aheadBytes = Math.min(4 * this.#aheadBytes, WINDOW_BYTES_MAX)
      const buffer = this.memory?.atLeast(wantedBytes).subarray(0, wantedBytes) ?? new Uint8Array(wantedBytes)
      this.#buffer = buffer.subarray(0, await this.file.read(buffer, offsetBytes))
      this.#fromBytes = offsetBytes
      return this.#buffer.subarray(0, lengthBytes)
    }
    return this.#buffer.subarray(start, start + lengthBytes)
  }
}

/** A whole batch. Its records may be encrypted: where the log ends is decided without them. */
interface WholeBatch {
  readonly header: LogBatchHeader
  /** Valid as long as the window's. Empty if the batch is skipped. */
  readonly bytes: Uint8Array
}

/** The batch at the offset, of any incarnation; undefined unless it is whole. */
export async function readBatch(window: Window, offsetBytes: number): Promise<WholeBatch | undefined> {
  const header = decodeLogBatchHeader(await window.at(offsetBytes, LOG_HEADER_BYTES))
  if (header === undefined) return undefined
  const bytes = await window.at(offsetBytes, LOG_HEADER_BYTES + header.payloadBytes)
  return isWholeLogBatch(header, bytes) ? { header, bytes } : undefined
}

/** The records of a batch. Throws `corruptLog` if they do not add up, `corruptSeal` if they do not open. */
export function recordsOfBatch({ header, bytes }: WholeBatch, cipher?: DeviceCipher): readonly LogBatchRecord[] {
  const records = recordsOfWhole(header, bytes, cipher)
  if (records === undefined) throw fail("corruptLog", { message: "a batch is malformed", sequence: header.sequence })
  return records
}

function recordsOfLive(batch: WholeBatch, cipher: DeviceCipher | undefined): readonly LogBatchRecord[] {
  try {
    return recordsOfBatch(batch, cipher)
  } catch (error) {
    if (!isFailure(error, "corruptSeal")) throw error
    throw new Failure("corruptLog", { ...error.details, message: "a batch is not what was encrypted" }, error)
  }
}

/**
 * The batches of a segment that continue its first one, which is whole. Those up to `after` are skipped by their
 * headers alone and come without bytes.
 */
export async function* batchesFrom(
  file: DiskFile,
  first: LogBatchHeader,
  after: LogSequence | 0 = 0,
  memory?: LogWindowMemory,
): AsyncIterable<WholeBatch> {
  const window = new Window(file, memory)
  let before: LogBatchHeader | undefined
  for (let offsetBytes = 0; ;) {
    const header = decodeLogBatchHeader(await window.at(offsetBytes, LOG_HEADER_BYTES))
    if (header === undefined) return
    const fits =
      before === undefined ? header.checksum === first.checksum : continuesWithin(before, header, offsetBytes)
    if (!fits) return
    const batch = header.sequence <= after ? { header, bytes: NOTHING } : await readBatch(window, offsetBytes)
    if (batch === undefined) return
    yield batch
    before = header
    offsetBytes += batchBytes(header.payloadBytes)
  }
}

/** How records are read. */
interface RecordReading {
  /** Memory of windows: what is returned is valid until the next. */
  readonly memory?: LogWindowMemory
  readonly cipher?: DeviceCipher | undefined
}

/** The parts of a segment that readers need. */
export interface ReadableSegment {
  readonly file: DiskFile
  readonly first: LogBatchHeader
}

/**
 * The records of batches above `after`, up to and including `upTo`, as `batchesOf` returns them; each is valid until
 * the next.
 */
export async function* recordsOf(
  segments: readonly ReadableSegment[],
  after: LogSequence,
  upTo: LogSequence,
  cipher?: DeviceCipher,
): AsyncIterable<LoggedRecord> {
  const reading = { memory: new LogWindowMemory(), cipher }
  for await (const records of batchesInSegment(segments, after, upTo, reading)) yield* records
}

/**
 * The same, a batch at a time: all of them are durable, and in `memory` valid until the next. `segments` are ordered
 * oldest first; throws `corruptLog` if a batch differs from what was written. That includes an encrypted one that does not
 * open: the recovery of the log has opened its last batch under this key.
 */
export async function* batchesInSegment(
  segments: readonly ReadableSegment[],
  after: LogSequence,
  upTo: LogSequence,
  { memory, cipher }: RecordReading = {},
): AsyncIterable<readonly LoggedRecord[]> {
  if (upTo <= after) return
  const start = segments.findLastIndex(segment => segment.first.sequence <= after + 1)
  if (start === -1) throw fail("corruptLog", { message: "the requested batches have been cut", after, upTo })
  let before: LogBatchHeader | undefined
  // A segment that contains only a batch that was written again is skipped.
  const live = segments
    .slice(start)
    .filter(({ first }, i, all) => first.sequence < (all[i + 1]?.first.sequence ?? Infinity))
  for (const [i, { file, first }] of live.entries()) {
    if (before !== undefined && !continuesAcross(before, first)) break
    const next = live[i + 1]?.first.sequence ?? Infinity
    for await (const batch of batchesFrom(file, first, after, memory)) {
      const { header } = batch
      // A batch that was written again is read where it is certainly on the disk.
      if (header.sequence >= next) break
      before = header
      if (header.sequence > after) yield placed(batch, recordsOfLive(batch, cipher))
      if (header.sequence === upTo) return
    }
  }
  throw fail("corruptLog", { path: segments.at(-1)?.file.path, lastIntact: before?.sequence ?? 0, durableUpTo: upTo })
}

function placed({ header, bytes }: WholeBatch, records: readonly LogBatchRecord[]): readonly LoggedRecord[] {
  const { sequence, segment, offsetBytes } = header
  const sealed = header.isSealed && {
    sealed: { nonce: sealedLogNonce(bytes), fromBytes: offsetBytes + LOG_SEALED_AT },
  }
  return records.map(record => ({
    sequence,
    bytes: record.bytes,
    place: { segment, offsetBytes: offsetBytes + record.offsetBytes, ...sealed },
  }))
}

/** A file's first batch if it is whole. */
export async function firstBatch(file: DiskFile): Promise<LogBatchHeader | undefined> {
  const batch = await readBatch(new Window(file), 0)
  return batch?.header.offsetBytes === 0 ? batch.header : undefined
}

/** Opens the parts of the log that a reader needs: every segment with a whole first batch, oldest first. */
export async function openSegments(
  disk: Disk,
  folder: string,
  deviceId: DeviceId,
): Promise<{ readonly segments: readonly ReadableSegment[]; readonly close: () => Promise<void> }> {
  const files: DiskFile[] = []
  const close = async (): Promise<void> => {
    for (const file of files) await file.close()
  }
  try {
    const segments: ReadableSegment[] = []
    for (const path of await segmentPaths(disk, folder)) {
      const file = await disk.open(path, "read")
      files.push(file)
      const first = await firstBatch(file)
      if (first?.deviceId === deviceId) segments.push({ file, first })
    }
    return { segments: segments.sort((a, b) => a.first.segment - b.first.segment), close }
  } catch (error) {
    await close()
    throw error
  }
}
