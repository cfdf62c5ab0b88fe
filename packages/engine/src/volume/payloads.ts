/**
 * Inline payloads: small objects whose bytes travel with their rows through the log and move here at a checkpoint,
 * because values of this size make a metadata store slow and twice as large.
 *
 * The writer belongs to a checkpoint and has volumes of its own, so that it shares nothing with the needles' writer on
 * another thread. The rows of the metadata store contain the places, so nothing here is ever scanned.
 *
 * Promises  After `flush` every payload appended before can be read at its place.
 * Refuses   To continue after a failed write: the next append begins a new volume, and payloads that had not been
 *           flushed must be appended again. Volumes with no other payloads are removed then.
 * Limits    Payloads wait in memory until `flush`: the checkpoint that calls bounds them. PAYLOAD_VOLUME_BYTES_MAX.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey, VolumeId } from "@hayloft/base/ids.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import { Lent, owned, type LentSoon } from "@hayloft/base/memory/lent.js"
import { subBlockChecksums } from "@hayloft/base/simd/sub-block.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import type { VolumeFindings, PayloadMatch, PayloadPlace, PayloadShelf, PayloadVolumeSize } from "../device/contract.js"
import type { VolumePlace } from "../format/tables/stored-row.js"
import { PAYLOAD_BYTES_MAX } from "@hayloft/base/encryption/segments.js"
import type { NeedlePlace } from "../format/needles/needle.js"
import { NEEDLE_HEADER_BYTES_MAX, payloadHeaderBytes, payloadSeed } from "../format/needles/needle.js"
import type { VolumePosition } from "../format/needles/volume.js"
import { VOLUME_PAGE_BYTES } from "../format/needles/volume.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { NeedleRange } from "./contract.js"
import { CachedPages } from "./cached-pages.js"
import { isAbsent, listVolumes, VolumeFiles, volumePath } from "./files.js"
import type { EncodedNeedle } from "./group-core.js"
import { groupBytes, needleBytes, offsetInGroup } from "./group-core.js"
import { FileWindowMemory, type ScannedNeedle } from "./group-reader.js"
import type { VolumeLimits } from "./limits.js"
import { PAYLOAD_PIECE_BYTES, PAYLOAD_VOLUME_BYTES_MAX, VOLUME_LIMITS } from "./limits.js"
import type { WantedNeedle } from "./needle-read-core.js"
import { readNeedle, wholeBody, type NeedleRead } from "./needle-read.js"
import { walkGroups } from "./scan.js"
import type { VolumeDirectory } from "./writer.js"
import { VolumeWriter } from "./writer.js"
import { InOrder } from "@hayloft/base/life/index.js"

const PAYLOAD_LIMITS: VolumeLimits = { ...VOLUME_LIMITS, volumeBytesMax: PAYLOAD_VOLUME_BYTES_MAX }

/** Larger than any group. */
const RUN_BYTES_MAX = 4 * PAYLOAD_PIECE_BYTES

export type PayloadVolumePlace = Extract<PayloadPlace, { readonly in: "volume" }>

/** The group that is being filled: its place is settled before it is written. */
interface Piece {
  readonly volume: number
  readonly offsetBytes: number
  readonly needles: EncodedNeedle[]
  readonly memory: PieceMemory
  bytes: number
}

/** Memory of the payloads of a piece until it is written; reused then. */
class PieceMemory {
  private bytes = NO_BYTES
  private usedBytes = 0

  keep(payload: Uint8Array): Uint8Array {
    if (this.bytes.length === 0) this.bytes = Buffer.allocUnsafeSlow(PAYLOAD_PIECE_BYTES + PAYLOAD_BYTES_MAX)
    if (this.usedBytes + payload.length > this.bytes.length) return Uint8Array.from(payload)
    this.bytes.set(payload, this.usedBytes)
    this.usedBytes += payload.length
    return this.bytes.subarray(this.usedBytes - payload.length, this.usedBytes)
  }

  clear(): void {
    this.usedBytes = 0
  }
}

const NO_BYTES: Uint8Array = new Uint8Array(0)

export class PayloadVolumes implements PayloadShelf {
  private piece: Piece | undefined
  /** Memory of pieces that are written. */
  private readonly spare: PieceMemory[] = []
  /** Memory of the payloads that `readRun` returns. */
  private readonly runMemory = new FileWindowMemory()
  private failure: Failure | undefined
  /** The writes of pieces, one after another; none rejects. */
  private readonly writes = new InOrder()
  private readonly writer: VolumeWriter
  private readonly files: VolumeFiles
  private readonly reader: PayloadReader
  /** Volumes below this one existed at the open, or rows point into them. */
  private keptBelow: number
  /** Volumes below this one contain flushed payloads. */
  private flushedBelow: number

  private constructor(
    private readonly disk: Disk,
    private readonly directory: VolumeDirectory,
    private readonly limits: VolumeLimits,
    /** Length of each volume. */
    private readonly sizes: Map<number, number>,
    private lastVolume: number,
  ) {
    this.writer = new VolumeWriter(disk, directory, "payloads", undefined)
    this.files = new VolumeFiles(disk, directory.folder, limits.filesOpenMax)
    this.reader = new PayloadReader(disk, directory.folder, { limits, cipher: directory.cipher })
    this.keptBelow = lastVolume + 1
    this.flushedBelow = this.keptBelow
  }

  /** `directory.folder` is the payloads' own. Nothing is written before the first payload. */
  static async open(
    disk: Disk,
    directory: VolumeDirectory,
    limits: VolumeLimits = PAYLOAD_LIMITS,
  ): Promise<PayloadVolumes> {
    await disk.makeFolder(directory.folder)
    const sizes = new Map<number, number>()
    for (const id of await listVolumes(disk, directory.folder)) {
      const file = await disk.open(volumePath(directory.folder, id), "read")
      try {
        sizes.set(id, await file.sizeBytes())
      } finally {
        await file.close()
      }
    }
    return new PayloadVolumes(disk, directory, limits, sizes, Math.max(0, ...sizes.keys()))
  }

  list(): readonly PayloadVolumeSize[] {
    const open = this.piece?.volume
    return [...this.sizes].map(([volume, writtenBytes]) => ({ volume, writtenBytes, isOpen: volume === open }))
  }

  /** A plain payload of a device that is being converted is a little shorter: counts need not be exact. */
  bytesOf(key: RowKey, lengthBytes: number): number {
    return payloadHeaderBytes(key, lengthBytes, this.directory.cipher !== undefined) + lengthBytes
  }

  append(request: { readonly family: Family; readonly key: RowKey; readonly payload: Uint8Array }): PayloadVolumePlace {
    const { family, key, payload } = request
    const checksums = subBlockChecksums(payload, payloadSeed(family, key))
    const header = this.writer.encode({ kind: "payload", family, key, bodyBytes: payload.length, checksums })
    const piece = this.pieceFor(header.length + payload.length)
    const needle = { header, body: piece.memory.keep(payload) }
    const offsetBytes = offsetInGroup(piece.offsetBytes, piece.bytes)
    piece.needles.push(needle)
    piece.bytes += needleBytes(needle)
    if (piece.bytes >= PAYLOAD_PIECE_BYTES || piece.needles.length >= this.limits.groupNeedlesMax) this.writePiece()
    return { in: "volume", volume: piece.volume, offsetBytes, lengthBytes: payload.length }
  }

  /** Throws `deviceFull` or `deviceFailed` if any write since the last flush failed. */
  async flush(): Promise<void> {
    if (this.piece !== undefined && this.piece.needles.length > 0) this.writePiece()
    await this.writes.ended()
    const { failure } = this
    if (failure !== undefined) {
      this.failure = undefined
      await this.removeFrom(this.flushedBelow)
      throw failure
    }
    this.flushedBelow = this.lastVolume + 1
  }

  keep(): void {
    this.keptBelow = this.lastVolume + 1
  }

  /** Removes the volumes begun since `keep`; one begun before stays as it is and is not written any more. */
  rollBack(): Promise<void> {
    return this.removeFrom(this.keptBelow)
  }

  private async removeFrom(first: number): Promise<void> {
    await this.seal()
    for (const volume of [...this.sizes.keys()].filter(id => id >= first)) {
      // A volume that cannot be removed now is empty; a later pass finds it.
      await this.remove(volume).catch(() => undefined)
    }
  }

  async seal(): Promise<void> {
    await this.writes.ended()
    this.piece = undefined
    await this.writer.leave()
  }

  async *walk(volume: number, from: VolumePosition | undefined): AsyncGenerator<VolumeFindings> {
    const { deviceId, cipher } = this.directory
    const shelf = { deviceId, cipher, volumeIds: [], fileOf: (id: VolumeId) => this.files.readable(id) }
    const request = { volumeId: parseVolumeId(volume), from, upTo: undefined, smallBodyBytes: PAYLOAD_BYTES_MAX }
    for await (const event of walkGroups(shelf, request)) {
      if (event.kind === "position") yield { kind: "position", position: event.position }
      else if (event.kind === "damage") yield { kind: "damage" }
      // A tail that reads as torn may have rotted, and rows may point into it.
      else if (event.kind === "needles" || event.kind === "tornTail")
        yield { kind: "payloads", payloads: event.needles.flatMap(payloadOf) }
    }
  }

  /** Throws `corruptNeedle`, `deviceFailed`. */
  async read(family: Family, key: RowKey, place: VolumePlace): Promise<Uint8Array> {
    return owned(this.reader.read(family, key, { in: "volume", ...place }))
  }

  async readRun(payloads: readonly PayloadMatch[]): Promise<readonly (Uint8Array | undefined)[]> {
    const bytes = await this.spanOf(payloads)
    const found: (Uint8Array | undefined)[] = []
    const forms = formsOf(this.directory.cipher)
    for (const payload of payloads) found.push(inSpan(payload, bytes, forms) ?? (await this.readAlone(payload)))
    return found
  }

  /** From the first payload to the end of the last one, in one read; returns undefined if a part cannot be read. */
  private async spanOf(payloads: readonly PayloadMatch[]): Promise<Span | undefined> {
    const [first, last] = [payloads[0], payloads.at(-1)]
    if (first === undefined || last === undefined) return undefined
    const fromBytes = first.place.offsetBytes
    const lengthBytes = last.place.offsetBytes + this.bytesOf(last.key, last.place.lengthBytes) - fromBytes
    if (lengthBytes > RUN_BYTES_MAX) return undefined
    const memory = this.runMemory.atLeast(lengthBytes).subarray(0, lengthBytes)
    const file = this.files.readable(first.place.volume)
    try {
      return { fromBytes, bytes: memory.subarray(0, await file.read(memory, fromBytes)) }
    } catch (error) {
      if (isAbsent(error) || isFailure(error, "deviceFailed")) return undefined
      throw error
    }
  }

  private async readAlone({ family, key, place }: PayloadMatch): Promise<Uint8Array | undefined> {
    try {
      return await this.read(family, key, place)
    } catch (error) {
      if (isFailure(error, "corruptNeedle", "deviceFailed")) return undefined
      throw error
    }
  }

  async remove(volume: number): Promise<void> {
    await this.files.giveUp(volume)
    await this.reader.giveUp(volume)
    try {
      await this.disk.remove(volumePath(this.directory.folder, volume))
    } catch (error) {
      if (!isAbsent(error)) throw error
    }
    this.sizes.delete(volume)
    await this.disk.syncFolder(this.directory.folder)
  }

  async close(): Promise<void> {
    await this.seal()
    await this.files.close()
    await this.reader.close()
  }

  private pieceFor(bytes: number): Piece {
    const { piece } = this
    if (piece !== undefined) {
      const end = piece.offsetBytes + groupBytes(piece.bytes + bytes)
      const isFirst = piece.offsetBytes === VOLUME_PAGE_BYTES && piece.needles.length === 0
      if (end <= this.limits.volumeBytesMax || isFirst) return piece
      if (piece.needles.length > 0) this.writePiece()
    }
    this.lastVolume += 1
    this.piece = this.emptyPiece(this.lastVolume, VOLUME_PAGE_BYTES)
    return this.piece
  }

  private writePiece(): void {
    const piece = must(this.piece, "a piece was gathered")
    const after = piece.offsetBytes + groupBytes(piece.bytes)
    this.piece = this.emptyPiece(piece.volume, after)
    void this.writes.run(async () => {
      await this.write(piece)
      this.reuse(piece.memory)
    })
  }

  /** A write that was given up may still be reading the memory. */
  private reuse(memory: PieceMemory): void {
    if (this.failure !== undefined) return
    memory.clear()
    this.spare.push(memory)
  }

  private emptyPiece(volume: number, offsetBytes: number): Piece {
    return { volume, offsetBytes, needles: [], memory: this.spare.pop() ?? new PieceMemory(), bytes: 0 }
  }

  private async write(piece: Piece): Promise<void> {
    if (this.failure !== undefined) return
    try {
      const isOpen = this.writer.isOpen && this.writer.position?.volumeId === piece.volume
      if (!isOpen) {
        // Recorded from the moment at which the volume may exist.
        this.sizes.set(piece.volume, 0)
        await this.writer.begin(parseVolumeId(piece.volume))
      }
      assert(this.writer.position?.offsetBytes === piece.offsetBytes, "pieces are written where they were placed")
      await this.writer.write(piece.needles)
      this.sizes.set(piece.volume, must(this.writer.position, "it was written to").offsetBytes)
    } catch (error) {
      await this.writer.leave()
      this.failure = asFailure(error)
    }
  }
}

/** A part of a volume. */
interface Span {
  readonly fromBytes: number
  readonly bytes: Uint8Array
}

/** In which forms names may be stored: whether they are encrypted, the likelier form first. */
const formsOf = (cipher: DeviceCipher | undefined): readonly boolean[] =>
  cipher === undefined ? [false] : cipher.acceptsPlain ? [true, false] : [true]

/** The payload if the span contains it whole and good. */
function inSpan(payload: PayloadMatch, span: Span | undefined, forms: readonly boolean[]): Uint8Array | undefined {
  for (const isSealed of span === undefined ? [] : forms) {
    const found = span && inSpanAs(isSealed, payload, span)
    if (found !== undefined) return found
  }
  return undefined
}

function inSpanAs(isSealed: boolean, { family, key, place }: PayloadMatch, span: Span): Uint8Array | undefined {
  const { volume, offsetBytes, lengthBytes } = place
  const headerBytes = payloadHeaderBytes(key, lengthBytes, isSealed)
  const from = offsetBytes - span.fromBytes
  const at = { volume, offsetBytes, headerBytes, bodyBytes: lengthBytes }
  try {
    return wholeBody(span.bytes.subarray(from, from + headerBytes + lengthBytes), at, payloadOfRow(family, key))
  } catch (error) {
    if (isFailure(error, "corruptNeedle")) return undefined
    throw error
  }
}

function payloadOf({ header, place }: ScannedNeedle): readonly PayloadMatch[] {
  if (header.kind !== "payload") return []
  const { volume, offsetBytes, bodyBytes: lengthBytes } = place
  return [{ family: header.family, key: header.key, place: { volume, offsetBytes, lengthBytes } }]
}

/** Encrypted names are not opened: the checksums of the body contain the key. */
const payloadOfRow = (family: Family, key: RowKey): WantedNeedle => ({
  isWanted: header => header.kind === "payload" && header.family === family && header.key === key,
  names: { expected: key },
})

/** How the payload of a row is read, with its names in this form. */
function readOf(
  family: Family,
  key: RowKey,
  { volume, offsetBytes, lengthBytes }: PayloadVolumePlace,
  isSealed: boolean,
): NeedleRead {
  const headerBytes = payloadHeaderBytes(key, lengthBytes, isSealed)
  const place = { volume, offsetBytes, headerBytes, bodyBytes: lengthBytes }
  const { isWanted, names } = payloadOfRow(family, key)
  return { place, range: { offsetBytes: 0, lengthBytes }, isWanted, names }
}

/** Header and body, as they are stored in the volume. */
const stretchOf = ({ offsetBytes, headerBytes, bodyBytes }: NeedlePlace): NeedleRange => ({
  offsetBytes,
  lengthBytes: headerBytes + bodyBytes,
})

/** Which payloads may be read on the calling thread. */
interface SyncPayloadTerms {
  /** Runs such reads; returns undefined if one fails, and while none are allowed. */
  readonly reads: { read<T>(read: () => T): T | undefined }
  readonly cached: CachedPages
}

interface ReaderOptions {
  readonly limits?: VolumeLimits
  /** It is absent if nothing is read on the calling thread. */
  readonly sync?: SyncPayloadTerms
  /** The cipher is undefined if names are not encrypted. */
  readonly cipher?: DeviceCipher | undefined
}

/** Reads the payloads that rows point at; belongs to the thread that serves. */
export class PayloadReader {
  private readonly files: VolumeFiles
  /** Memory of lent payloads. */
  private readonly memory = Buffer.alloc(PAYLOAD_BYTES_MAX + NEEDLE_HEADER_BYTES_MAX)
  private readonly lendMemory = (lengthBytes: number): Uint8Array => this.memory.subarray(0, lengthBytes)

  private readonly sync: SyncPayloadTerms | undefined
  private readonly forms: readonly boolean[]

  constructor(disk: Disk, folder: string, { limits = VOLUME_LIMITS, sync, cipher }: ReaderOptions = {}) {
    this.sync = sync
    this.forms = formsOf(cipher)
    this.files = new VolumeFiles(disk, folder, limits.filesOpenMax)
  }

  /** For the volumes that exist now. */
  static async cachedPagesOf(disk: Disk, folder: string, cachedBytesMax: number): Promise<CachedPages> {
    const isThere = await disk.exists(folder)
    const volumes = isThere ? await listVolumes(disk, folder) : []
    return new CachedPages(volumes.at(-1) ?? 0, PAYLOAD_VOLUME_BYTES_MAX, cachedBytesMax)
  }

  /**
   * The payload of a row, verified to be of this row and whole: lent, if its volume is open and the page cache likely
   * has it. Throws `corruptNeedle`, also if the volume is gone (the payload may have moved: read the row again), and
   * `deviceFailed`.
   */
  read(family: Family, key: RowKey, place: PayloadVolumePlace): LentSoon<Uint8Array> {
    const reads = this.forms.map(isSealed => readOf(family, key, place, isSealed))
    for (const read of reads) {
      const lent = this.sync?.reads.read(() => this.readSync(read))
      if (lent !== undefined) return new Lent(lent)
    }
    return this.readSlowly(reads)
  }

  private readSync({ place, range, isWanted, names }: NeedleRead): Uint8Array | undefined {
    const stretch = stretchOf(place)
    const file = this.sync?.cached.has(place.volume, stretch) === true ? this.files.opened(place.volume) : undefined
    if (file === undefined || stretch.lengthBytes > this.memory.length) return undefined
    const bytes = readNeedle(file, { place, range, isWanted, names, allocate: this.lendMemory, use: "resident" })
    assert(bytes instanceof Uint8Array, "a resident read does not wait")
    return bytes
  }

  private async readSlowly([read, ...others]: readonly NeedleRead[]): Promise<Uint8Array> {
    assert(read !== undefined, "names have a form")
    const { volume } = read.place
    try {
      const payload = await this.files.use(volume, file => readNeedle(file, read))
      this.sync?.cached.note(volume, stretchOf(read.place))
      return payload
    } catch (error) {
      if (others.length > 0 && isFailure(error, "corruptNeedle")) return this.readSlowly(others)
      if (!isAbsent(error)) throw error
      throw fail("corruptNeedle", { message: "the payload's volume is missing", volume }, error)
    }
  }

  /** Closes the handle of a volume that was removed: its space would not come back otherwise. */
  giveUp(volume: number): Promise<void> {
    return this.files.giveUp(volume)
  }

  close(): Promise<void> {
    return this.files.close()
  }
}
