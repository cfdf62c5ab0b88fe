/**
 * The commit log of one device: batches, one after another, in segments that are recycled.
 *
 * Promises  A batch whose append resolved is durable. Every later open returns it whole and in order, or throws
 *           `corruptLog`; the log never ends before it.
 * Refuses   To append after a write has failed (`deviceFailed`): the contents of the disk are unknown until the log is
 *           opened again, which may or may not find the batch. If the disk has no space for the next piece of a
 *           segment, only the queued appends fail with `deviceFull` (with `tooManyInFlight` if the process has no file
 *           handle for it): no batch has been begun, and appending works again once there is space. (A file system that
 *           finds no space for bytes that were written before stops the log like any failed write.)
 * Disk      Files are opened O_DSYNC; a batch is one write and never spans segments. Zeros are written in steps ahead
 *           of the writer, so that a batch never makes a file grow, which would cost a journal commit; a first start
 *           does not wait for a whole segment. On a disk that is short of space the log fills little ahead, keeps no
 *           free segment, and each cut begins a new segment and removes the open one, so that batches that a checkpoint
 *           contains do not keep their space.
 * Limits    LOG_LIMITS.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { isShortage } from "@hayloft/base/space/full-disk-core.js"
import { unlessShort } from "@hayloft/base/space/full-disk.js"
import type { Failure } from "@hayloft/base/failures.js"
import { parseLogSequence } from "@hayloft/base/ids.js"
import type { DeviceId, LogSequence } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { xxh64Memory } from "@hayloft/base/simd/xxh64.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import {
  batchBytes,
  decryptLogged,
  encodeLogBatch,
  LOG_PAGE_BYTES,
  LOG_SEALED_AT,
  LOG_PAYLOAD_BYTES_MAX,
  payloadBytesOf,
} from "../../format/device/log-batch.js"
import type { SealedRecord } from "../../format/device/log-batch.js"
import type { Disk, DiskFile, ReadUse } from "@hayloft/base/seams/disk/contract.js"
import type { CommitLog, LoggedRecord, LogPlace } from "../contract.js"
import { MARK_EVERY_BYTES, recoverLog } from "./log-recovery.js"
import type { LogMark, RecoveredLog } from "./log-recovery.js"
import { LOG_FILE, parseSegmentName, recordsOf, segmentName } from "./log-segment.js"
import type { ReadableSegment } from "./log-segment.js"

export const LOG_LIMITS = {
  segmentBytes: 64 * MIB,
  /** Zeros are written in steps of this size. */
  fillStepBytes: MIB,
  /** The filler starts when fewer steps than these remain in front of the writer. */
  fillAheadSteps: 4,
  /** The same on a disk that is short of space. A cut ends the open segment there if it is longer than the second. */
  fillStepBytesWhenShort: 256 * KIB,
  usedBytesMaxWhenShort: 256 * KIB,
  /** Recycled files that are kept; more are removed. */
  freeSegmentsMax: 4,
  appendsQueuedMax: 4096,
  appendBytesQueuedMax: 64 * MIB,
  /** Batches up to this size are assembled in a buffer that is reused. */
  keptMemoryBytesMax: MIB,
  /** Batches up to this length are encoded in plain memory. */
  shortBatchBytesMax: 64 * KIB,
} as const

export interface LogOptions {
  /** The highest batch that another source (a checkpoint) shows to have been durable. */
  readonly known?: LogSequence
  /** Smaller in tests. */
  readonly segmentBytes?: number
  readonly fillStepBytes?: number
  /** Called before each new segment; throws if this process no longer owns the folder, which stops the log. */
  readonly guard?: () => Promise<void>
  /** Returns true if the disk is short of space. */
  readonly isShort?: () => boolean
  /** Encrypts what is appended. */
  readonly cipher?: DeviceCipher | undefined
  /** Called with what was found, before anything is appended; throws if the log must stay as it is. */
  readonly check?: (found: Pick<SegmentedLog, "durable" | "beginsWith">) => Promise<void>
}

/** Opens the log in the folder, which is created if absent. Throws `corruptLog`, `foreignFolder`, `deviceFailed`, and as `check`. */
export async function openLog(
  disk: Disk,
  folder: string,
  deviceId: DeviceId,
  options: LogOptions = {},
): Promise<SegmentedLog> {
  await disk.makeFolder(folder)
  const recovered = await recoverLog(disk, folder, deviceId, options)
  const log = new SegmentedLog(disk, folder, deviceId, options, recovered)
  try {
    await options.check?.(log)
    if (log.mayHoldPlain) await log.removeFree()
    // No later open may lose a batch that this one returns, even if its pages never reached the disk.
    await log.writeAgain(recovered.unvouched)
    await log.confirm()
    if (log.mayHoldPlain) await log.leavePlain()
  } catch (error) {
    if (!isShortage(error)) {
      log.stop()
      await log.close()
      throw error
    }
  }
  return log
}

interface Segment extends ReadableSegment {
  readonly file: DiskFile
  last: LogSequence
}

/** The segment being written. It has a number from the start, but a first batch only after its first append. */
interface OpenSegment {
  readonly number: number
  readonly file: DiskFile
  usedBytes: number
  /** Bytes that exist, so that writing them does not make the file grow. */
  filledBytes: number
}

interface FreeFile {
  readonly file: DiskFile
  readonly sizeBytes: number
}

interface Append {
  readonly records: readonly Uint8Array[]
  readonly payloadBytes: number
  readonly resolve: (appended: Appended) => void
  readonly reject: (failure: Failure) => void
}

interface Appended {
  readonly sequence: LogSequence
  readonly places: readonly LogPlace[]
}

const ZERO = parseLogSequence(0)

/** Shared by all logs, which only read it. */
let zeroBytes = new Uint8Array(0)

function zeros(bytes: number): Uint8Array {
  if (zeroBytes.length < bytes) zeroBytes = new Uint8Array(bytes)
  return zeroBytes.subarray(0, bytes)
}

export class SegmentedLog implements CommitLog {
  readonly #segmentBytes: number
  readonly #fillStepBytes: number
  #segments: Segment[]
  readonly #free: FreeFile[]
  #open: OpenSegment | undefined
  /** A file prepared before the open segment is full. */
  #spare: FreeFile | undefined
  #nextOrdinal: number
  #durable: LogSequence
  #lastChecksum: bigint
  /** Checksum of the batch before the last one found. */
  readonly #beforeLast: bigint
  /** A later batch shows that the last batch with records is durable, or none is required to. */
  #confirmed = true
  #cut: LogSequence
  #totalBytes: number
  #cutBytes = 0
  #marks: LogMark[]
  #queue: Append[] = []
  #queuedBytes = 0
  #draining: Promise<void> | undefined
  #filling: Promise<void> | undefined
  #stopped: Failure | undefined
  /** The next batch begins a segment, if there is space for one. */
  #endsSegment = false
  /** Buffer of the batch that is being written. Only one is at a time, and after a failed write there is no other. */
  #memory: Uint8Array = new Uint8Array(0)

  constructor(
    private readonly disk: Disk,
    private readonly folder: string,
    private readonly deviceId: DeviceId,
    private readonly options: LogOptions,
    recovered: RecoveredLog,
  ) {
    this.#segmentBytes = options.segmentBytes ?? LOG_LIMITS.segmentBytes
    this.#fillStepBytes = options.fillStepBytes ?? LOG_LIMITS.fillStepBytes
    this.#segments = recovered.segments.map(({ file, first, last }) => ({ file, first, last: last.sequence }))
    this.#free = recovered.free.map(({ file, sizeBytes }) => ({ file, sizeBytes }))
    const newest = recovered.segments.at(-1)
    this.#open = newest && {
      number: newest.first.segment,
      file: newest.file,
      usedBytes: newest.usedBytes,
      filledBytes: newest.sizeBytes,
    }
    const ordinals = [...this.#segments, ...this.#free].map(({ file }) => parseSegmentName(fileNameOf(file)) ?? 0)
    this.#nextOrdinal = 1 + Math.max(0, ...ordinals)
    this.#durable = newest?.last.sequence ?? ZERO
    this.#lastChecksum = newest?.last.checksum ?? 0n
    this.#beforeLast = newest?.last.previous ?? 0n
    this.#confirmed = newest === undefined
    this.#cut = ZERO
    this.#totalBytes = recovered.segments.reduce((sum, segment) => sum + segment.usedBytes, 0)
    this.#marks = [...recovered.marks]
    this.#moveCut(newest?.last.cutUpTo ?? ZERO)
  }

  get durable(): LogSequence {
    return this.#durable
  }

  /** The first batch that could be read; batches below the cut may be gone. */
  get beginsWith(): LogSequence {
    return this.#segments[0]?.first.sequence ?? parseLogSequence(this.#durable + 1)
  }

  get cutUpTo(): LogSequence {
    return this.#cut
  }

  get stopped(): Failure | undefined {
    return this.#stopped
  }

  /** Accurate to MARK_EVERY_BYTES, never too small. */
  get lengthBytes(): number {
    return this.#totalBytes - this.#cutBytes
  }

  /** Files that were written before everything was encrypted may be here: none is recycled. */
  get mayHoldPlain(): boolean {
    return this.options.cipher?.acceptsPlain === true
  }

  /** Returns true if a segment begins with a plain batch. */
  get holdsPlain(): boolean {
    return this.#segments.some(({ first }) => first.isSealed === undefined)
  }

  /** Ends a segment with plain batches, and removes those that a cut allows. Throws as `append`. */
  async leavePlain(): Promise<void> {
    if (!this.holdsPlain) return
    if (this.#segments.at(-1)?.first.isSealed === undefined) {
      this.#endsSegment = true
      await this.append([])
    }
    for (const segment of this.#droppable(this.#cut)) await this.#release(segment)
  }

  /** Must run before any append. */
  async removeFree(): Promise<void> {
    for (let free = this.#free.pop(); free !== undefined; free = this.#free.pop()) await this.#remove(free.file)
  }

  /** The bytes of the records must not change until the promise has settled. */
  append(records: readonly Uint8Array[]): Promise<Appended> {
    const payloadBytes = payloadBytesOf(records, this.options.cipher)
    const limit = Math.min(LOG_PAYLOAD_BYTES_MAX, this.#segmentBytes)
    assert(batchBytes(payloadBytes) <= limit, () => `a log batch of ${payloadBytes} bytes is over its limit`)
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped)
    const isFull = this.#queuedBytes + payloadBytes > LOG_LIMITS.appendBytesQueuedMax
    if (this.#queue.length >= LOG_LIMITS.appendsQueuedMax || isFull) {
      return Promise.reject(fail("tooManyInFlight", { message: "too many appends to the log are queued" }))
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ records, payloadBytes, resolve, reject })
      this.#queuedBytes += payloadBytes
      this.#draining ??= this.#drain()
    })
  }

  /**
   * Writes the last batch again, at the front of the next segment. After a write that failed, or hung until its process
   * ended, a batch can be in the page cache, marked clean, and not on the disk; after the next power cut there would be
   * a hole in front of everything appended behind it. The batch stays in its old place as well, in case this write is
   * cut off. Must run before any other append; without space the log continues as it is.
   */
  async writeAgain(records: readonly Uint8Array[] | undefined): Promise<void> {
    const open = this.#open
    if (records === undefined || open === undefined) return
    const [durable, checksum] = [this.#durable, this.#lastChecksum]
    this.#durable = parseLogSequence(durable - 1)
    this.#lastChecksum = this.#beforeLast
    this.#open = { ...open, usedBytes: this.#segmentBytes }
    try {
      await this.append(records)
      this.#confirmed = false
    } catch (error) {
      const begun = this.#open
      if (begun.number !== open.number) this.#spare = { file: begun.file, sizeBytes: begun.filledBytes }
      this.#open = open
      this.#durable = durable
      this.#lastChecksum = checksum
      throw error
    }
  }

  /**
   * Proves that the last batch was durable by appending an empty batch behind it, so that later damage to it is never
   * taken for a torn tail. Call it when the log has been quiet for a while.
   */
  async confirm(): Promise<void> {
    if (!this.#confirmed && this.#queue.length === 0) await this.append([])
  }

  read(place: LogPlace, memory: Uint8Array, use?: ReadUse): Soon<Uint8Array> {
    const segment = this.#segments.findLast(each => each.first.segment === place.segment)
    if (segment === undefined) return memory.subarray(0, 0)
    return after(segment.file.read(memory, place.offsetBytes, use), count => {
      const bytes = memory.subarray(0, count)
      if (place.sealed !== undefined) bytes.set(this.#decrypted(bytes, place, place.sealed))
      return bytes
    })
  }

  #decrypted(bytes: Uint8Array, { segment, offsetBytes }: LogPlace, sealed: SealedRecord): Uint8Array {
    const cipher = must(this.options.cipher, "an encrypted record was read with a cipher before")
    return decryptLogged(bytes, offsetBytes, sealed, cipher.logKey(segment))
  }

  records(after: LogSequence, upTo: LogSequence = this.#durable): AsyncIterable<LoggedRecord> {
    assert(upTo <= this.#durable, "only durable records are read")
    return recordsOf([...this.#segments], after, upTo, this.options.cipher)
  }

  async cut(upTo: LogSequence): Promise<void> {
    assert(upTo <= this.#durable, "only durable batches are cut")
    if (upTo <= this.#cut) return
    this.#moveCut(upTo)
    if (this.#isShort) await this.#shrink()
    if (this.#droppable(upTo).length === 0 && !this.#endsSegment) return
    // A segment is written over only once the log itself records that its batches may be missing.
    await this.append([])
    for (const segment of this.#droppable(upTo)) await this.#release(segment)
  }

  get #isShort(): boolean {
    return this.options.isShort?.() === true
  }

  /** Removes the free files and ends the open segment, so that a later cut can remove it. */
  async #shrink(): Promise<void> {
    await this.removeFree()
    this.#endsSegment = (this.#open?.usedBytes ?? 0) > LOG_LIMITS.usedBytesMaxWhenShort
  }

  async #remove(file: DiskFile): Promise<void> {
    await file.close()
    await this.disk.remove(file.path)
  }

  /** From now on nothing is written, also not by `close`. */
  stop(): void {
    this.#stopped ??= fail("stopping")
  }

  async close(): Promise<void> {
    await this.#draining
    if (this.#stopped === undefined) {
      try {
        await this.confirm()
      } catch (error) {
        // A log that fails now, or finds no space, is closed as it is: nothing acknowledged depends on it.
        if (!isFailure(error)) throw error
      }
    }
    this.stop()
    await this.#draining
    await this.#filling
    const files = [...this.#segments, ...this.#free, this.#open, this.#spare].flatMap(each => each?.file ?? [])
    for (const file of files) await file.close()
  }

  async #drain(): Promise<void> {
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
      try {
        const appended = await this.#write(next)
        this.#queue.shift()
        this.#queuedBytes -= next.payloadBytes
        next.resolve(appended)
      } catch (error) {
        this.#giveUp(asFailure(error))
      }
    }
    this.#draining = undefined
  }

  /** All queued batches were to follow the failed one. */
  #giveUp(failure: Failure): void {
    const queue = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    for (const append of queue) append.reject(failure)
  }

  async #write({ records, payloadBytes }: Append): Promise<Appended> {
    const lengthBytes = batchBytes(payloadBytes)
    const open = await this.#segmentOrStop(lengthBytes)
    const sequence = parseLogSequence(this.#durable + 1)
    const head = {
      deviceId: this.deviceId,
      segment: open.number,
      offsetBytes: open.usedBytes,
      sequence,
      previous: this.#lastChecksum,
      durableUpTo: this.#durable,
      cutUpTo: this.#cut,
    }
    const encoded = encodeLogBatch(head, records, this.#memoryFor(lengthBytes), this.options.cipher)
    const { bytes, header, recordOffsets, nonce } = encoded
    try {
      await open.file.write([bytes], open.usedBytes)
    } catch (error) {
      const { details } = asFailure(error)
      const failure = this.#stop(
        fail("deviceFailed", { ...details, message: "a write to the commit log failed" }, error),
      )
      await this.#invalidate(open)
      throw failure
    }
    if (open.usedBytes === 0) this.#segments.push({ file: open.file, first: header, last: sequence })
    must(this.#segments.at(-1), "the open segment is listed").last = sequence
    const sealed = nonce && { sealed: { nonce, fromBytes: head.offsetBytes + LOG_SEALED_AT } }
    const places = recordOffsets.map(offset => ({
      segment: open.number,
      offsetBytes: head.offsetBytes + offset,
      ...sealed,
    }))
    open.usedBytes += lengthBytes
    this.#durable = sequence
    this.#lastChecksum = header.checksum
    this.#confirmed = records.length === 0
    this.#totalBytes += lengthBytes
    this.#mark({ sequence, totalBytes: this.#totalBytes })
    this.#fillAhead(open)
    return { sequence, places }
  }

  #memoryFor(lengthBytes: number): Uint8Array | undefined {
    if (lengthBytes > LOG_LIMITS.keptMemoryBytesMax) return undefined
    if (this.#memory.length < lengthBytes) {
      // In WebAssembly's memory checksums are computed without a copy. Pages of it that are never used stay untouched,
      // but it takes address space of gigabytes, and time to get it: short batches do without.
      this.#memory =
        lengthBytes <= LOG_LIMITS.shortBatchBytesMax
          ? Buffer.alloc(LOG_LIMITS.shortBatchBytesMax)
          : Buffer.from(xxh64Memory(LOG_LIMITS.keptMemoryBytesMax).buffer)
    }
    return this.#memory
  }

  /**
   * Writes zeros over the header of the batch that failed. Its bytes may be in the page cache, marked clean, and not on
   * the disk: a process that starts without a reboot would accept it as whole and append behind it, and the next power
   * cut would leave a hole. Best effort: the device is failing.
   */
  async #invalidate(open: OpenSegment): Promise<void> {
    await open.file.write([new Uint8Array(LOG_PAGE_BYTES)], open.usedBytes).catch(() => undefined)
  }

  #stop(failure: Failure): Failure {
    this.#stopped ??= failure
    return this.#stopped
  }

  async #segmentOrStop(lengthBytes: number): Promise<OpenSegment> {
    try {
      return await this.#segmentWithSpace(lengthBytes)
    } catch (error) {
      const failure = asFailure(error)
      throw isShortage(failure) ? failure : this.#stop(failure)
    }
  }

  /** The segment for the next batch, with that many bytes filled in front of the writer. */
  async #segmentWithSpace(lengthBytes: number): Promise<OpenSegment> {
    const open = this.#open
    if (open === undefined || open.usedBytes + lengthBytes > this.#segmentBytes) return this.#begin(lengthBytes)
    if (this.#endsSegment) {
      const begun = await unlessShort(
        () => this.#begin(lengthBytes),
        () => undefined,
      )
      if (begun !== undefined) return begun
      this.#endsSegment = false
    }
    while (open.filledBytes < open.usedBytes + lengthBytes) await (this.#filling ?? this.#fillStep(open))
    return open
  }

  /** Begins the next segment; without space in front of its writer the log stays in the current one. */
  async #begin(lengthBytes: number): Promise<OpenSegment> {
    await this.#filling
    const begun = await this.#nextSegment((this.#open?.number ?? 0) + 1)
    try {
      while (begun.filledBytes < lengthBytes) await this.#fillStep(begun)
    } catch (error) {
      this.#spare = { file: begun.file, sizeBytes: begun.filledBytes }
      throw error
    }
    this.#open = begun
    this.#endsSegment = false
    return begun
  }

  async #nextSegment(number: number): Promise<OpenSegment> {
    await this.options.guard?.()
    const spare = this.#spare
    this.#spare = undefined
    const { file, sizeBytes } = spare ?? this.#free.shift() ?? (await this.#newFile())
    return { number, file, usedBytes: 0, filledBytes: Math.min(sizeBytes, this.#segmentBytes) }
  }

  async #newFile(): Promise<FreeFile> {
    const path = `${this.folder}/${segmentName(this.#nextOrdinal)}`
    const file = await this.disk.open(path, "create", LOG_FILE)
    this.#nextOrdinal += 1
    await this.disk.syncFolder(this.folder)
    return { file, sizeBytes: 0 }
  }

  async #fillStep(open: OpenSegment): Promise<void> {
    const stepBytes = Math.min(this.#fillStepNowBytes, this.#segmentBytes - open.filledBytes)
    await open.file.write([zeros(stepBytes)], open.filledBytes)
    open.filledBytes += stepBytes
  }

  get #fillStepNowBytes(): number {
    return this.#isShort ? Math.min(this.#fillStepBytes, LOG_LIMITS.fillStepBytesWhenShort) : this.#fillStepBytes
  }

  /** Fills in the background. A failure is dropped: the append that needs the space meets it again. */
  #fillAhead(open: OpenSegment): void {
    if (this.#filling !== undefined) return
    const remainingBytes = open.filledBytes - open.usedBytes
    const isFilled = open.filledBytes >= this.#segmentBytes
    const aheadBytes = LOG_LIMITS.fillAheadSteps * this.#fillStepBytes
    if (remainingBytes >= aheadBytes || (isFilled && this.#hasNextFile())) return
    if (this.#isShort && remainingBytes >= this.#fillStepNowBytes) return
    const work = isFilled ? this.#prepareSpare() : this.#fillStep(open)
    this.#filling = work.catch(() => undefined).then(() => void (this.#filling = undefined))
  }

  #hasNextFile(): boolean {
    return this.#spare !== undefined || this.#free.length > 0
  }

  async #prepareSpare(): Promise<void> {
    const { file } = await this.#newFile()
    this.#spare = { file, sizeBytes: 0 }
    await file.write([zeros(this.#fillStepBytes)], 0)
    this.#spare = { file, sizeBytes: this.#fillStepBytes }
  }

  #droppable(upTo: LogSequence): Segment[] {
    return this.#segments.filter(({ file, last }) => file !== this.#open?.file && last <= upTo)
  }

  /** If the disk fails to remove it, a later cut meets the segment again, or the next start finds the stale file. */
  async #release(segment: Segment): Promise<void> {
    const { file } = segment
    const isKept = !this.#isShort && !this.mayHoldPlain && this.#free.length < LOG_LIMITS.freeSegmentsMax
    const sizeBytes = isKept ? await file.sizeBytes() : 0
    this.#segments = this.#segments.filter(each => each !== segment)
    if (isKept) {
      this.#free.push({ file, sizeBytes })
      return
    }
    await this.#remove(file)
  }

  #mark(mark: LogMark): void {
    const lastBytes = this.#marks.at(-1)?.totalBytes ?? 0
    if (mark.totalBytes - lastBytes >= MARK_EVERY_BYTES) this.#marks.push(mark)
  }

  #moveCut(upTo: LogSequence): void {
    this.#cut = upTo
    const below = this.#marks.filter(mark => mark.sequence <= upTo)
    this.#cutBytes = upTo === this.#durable ? this.#totalBytes : (below.at(-1)?.totalBytes ?? this.#cutBytes)
    this.#marks = this.#marks.slice(below.length)
  }
}

const fileNameOf = (file: DiskFile): string => file.path.slice(file.path.lastIndexOf("/") + 1)
