/**
 * Inline payloads: small objects whose bytes travel with their rows through the log and come to rest
 * here at a checkpoint, because values of this size make a base slow and twice as large.
 *
 * The writer belongs to a checkpoint and has volumes of its own, so that it shares nothing with the
 * needles' writer on another thread. The base rows hold the places, so nothing here is ever scanned.
 *
 * Promises  After `flush` every payload appended before can be read at its place.
 * Refuses   To go on after a failed write: the next append begins a new volume, and what had not been
 *           flushed has to be appended again.
 * Limits    Payloads wait in memory until `flush`: the checkpoint that calls bounds them.
 */
import { assert, must } from "../base/assert.js"
import { asFailure, type Failure } from "../base/failures.js"
import type { Family } from "../base/families.js"
import type { RowKey } from "../base/ids.js"
import { parseVolumeId } from "../base/ids.js"
import { subBlockChecksums } from "../base/sub-block.js"
import type { PayloadPlace, PayloadSink } from "../device/contract.js"
import type { NeedleHeader } from "../format/needle.js"
import { encodeNeedleHeader, payloadHeaderBytes, payloadSeed } from "../format/needle.js"
import { VOLUME_PAGE_BYTES } from "../format/volume.js"
import type { Disk } from "../seams/disk/contract.js"
import { listVolumes, VolumeFiles } from "./files.js"
import type { EncodedNeedle } from "./group-core.js"
import { groupBytes, needleBytes, offsetInGroup } from "./group-core.js"
import type { VolumeLimits } from "./limits.js"
import { PAYLOAD_PIECE_BYTES, VOLUME_LIMITS } from "./limits.js"
import { readNeedle } from "./needle-read.js"
import type { VolumeHome } from "./writer.js"
import { VolumeWriter } from "./writer.js"

export type PayloadVolumePlace = Extract<PayloadPlace, { readonly in: "volume" }>

/** The group that is being gathered: where it will lie is settled before it is written. */
interface Piece {
  readonly volume: number
  readonly offsetBytes: number
  readonly needles: EncodedNeedle[]
  bytes: number
}

export class PayloadVolumes implements PayloadSink {
  private piece: Piece | undefined
  private failure: Failure | undefined
  /** The writes asked for so far, one after another; never rejects. */
  private written: Promise<void> = Promise.resolve()
  private readonly writer: VolumeWriter

  private constructor(
    disk: Disk,
    home: VolumeHome,
    private readonly limits: VolumeLimits,
    private lastVolume: number,
  ) {
    this.writer = new VolumeWriter(disk, home, "payloads", undefined)
  }

  /** `home.folder` is the payloads' own. Nothing is written before the first payload. */
  static async open(disk: Disk, home: VolumeHome, limits: VolumeLimits = VOLUME_LIMITS): Promise<PayloadVolumes> {
    await disk.makeFolder(home.folder)
    const ids = await listVolumes(disk, home.folder)
    return new PayloadVolumes(disk, home, limits, ids.at(-1) ?? 0)
  }

  append(request: { readonly family: Family; readonly key: RowKey; readonly payload: Uint8Array }): PayloadVolumePlace {
    const { family, key, payload } = request
    const checksums = subBlockChecksums(payload, payloadSeed(family, key))
    const header = encodeNeedleHeader({ kind: "payload", family, key, bodyBytes: payload.length, checksums })
    const needle = { header, body: payload }
    const piece = this.pieceFor(needleBytes(needle))
    const offsetBytes = offsetInGroup(piece.offsetBytes, piece.bytes)
    piece.needles.push(needle)
    piece.bytes += needleBytes(needle)
    if (piece.bytes >= PAYLOAD_PIECE_BYTES || piece.needles.length >= this.limits.groupNeedlesMax) this.writePiece()
    return { in: "volume", volume: piece.volume, offsetBytes, lengthBytes: payload.length }
  }

  /** Throws `deviceFull` or `deviceFailed` where any write since the last flush failed. */
  async flush(): Promise<void> {
    if (this.piece !== undefined && this.piece.needles.length > 0) this.writePiece()
    await this.written
    const { failure } = this
    if (failure === undefined) return
    this.failure = undefined
    this.piece = undefined
    throw failure
  }

  async close(): Promise<void> {
    await this.written
    await this.writer.leave()
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
    this.piece = { volume: this.lastVolume, offsetBytes: VOLUME_PAGE_BYTES, needles: [], bytes: 0 }
    return this.piece
  }

  private writePiece(): void {
    const piece = must(this.piece, "a piece was gathered")
    const after = piece.offsetBytes + groupBytes(piece.bytes)
    this.piece = { volume: piece.volume, offsetBytes: after, needles: [], bytes: 0 }
    this.written = this.written.then(() => this.write(piece))
  }

  private async write(piece: Piece): Promise<void> {
    if (this.failure !== undefined) return
    try {
      const isOpen = this.writer.isOpen && this.writer.position?.volumeId === piece.volume
      if (!isOpen) await this.writer.begin(parseVolumeId(piece.volume))
      assert(this.writer.position?.offsetBytes === piece.offsetBytes, "pieces are written where they were placed")
      await this.writer.write(piece.needles)
    } catch (error) {
      await this.writer.leave()
      this.failure = asFailure(error)
    }
  }
}

/** Reads the payloads that rows point at; belongs to the thread that serves. */
export class PayloadReader {
  private readonly files: VolumeFiles

  constructor(disk: Disk, folder: string, limits: VolumeLimits = VOLUME_LIMITS) {
    this.files = new VolumeFiles(disk, folder, limits.filesOpenMax)
  }

  /** The payload of a row, verified to be of this row and whole. Throws `corruptNeedle`, `deviceFailed`. */
  read(family: Family, key: RowKey, place: PayloadVolumePlace): Promise<Uint8Array> {
    const { volume, offsetBytes, lengthBytes } = place
    const headerBytes = payloadHeaderBytes(key, lengthBytes)
    const isWanted = (header: NeedleHeader): boolean =>
      header.kind === "payload" && header.family === family && header.key === key
    return this.files.use(volume, file =>
      readNeedle(
        file,
        { volume, offsetBytes, headerBytes, bodyBytes: lengthBytes },
        { offsetBytes: 0, lengthBytes },
        isWanted,
      ),
    )
  }

  close(): Promise<void> {
    return this.files.close()
  }
}
