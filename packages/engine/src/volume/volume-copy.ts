/**
 * Volume copy: copies everything that still counts out of one volume, in steps, so that it can be removed.
 *
 * A needle that the index points at is read, verified and written to the open volume; the index follows only if it
 * still points at the old place when the copy is about to be written. A tombstone is copied while an older volume could
 * contain its needle, and the needle has not been written again. The copies are recorded, so that they can be undone
 * (see `copy-undo.ts`).
 *
 * Promises  After "done" nothing in the index points at the volume, and a scan without it gives the same index as one
 *           with it.
 * Refuses   To copy needles that fail their checksums, or to drop them: a part of one may be the last there is. Such a
 *           needle is reported and marked suspect, and the volume is kept ("held") until it has been rebuilt or
 *           removed.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { RowKey, VolumeId } from "@hayloft/base/ids.js"
import type { NeedleHeader, NeedleId, NeedlePlace } from "../format/needles/needle.js"
import { decodeNeedlePlace, encodeNeedleHeader, needleIdOfKey, needleKeyOf } from "../format/needles/needle.js"
import type { CompactionLimits } from "./limits.js"
import type { ReadableFile } from "./files.js"
import { groupBytes } from "./group-core.js"
import { isUnreadable } from "./files.js"
import { readWhole, type WholeNeedle } from "./needle-read.js"
import { isSameNeedlePlace } from "./needle-read-core.js"
import type { RowWalk } from "./row-walk.js"
import type { ScanEvents } from "./scan.js"
import type { VolumeUpkeep } from "./upkeep.js"
import type { NeedleCopy } from "./write-queue.js"

export type OnDamage = (id: NeedleId) => void

interface Found {
  readonly key: RowKey
  readonly place: NeedlePlace
}

/** A needle of which a copy was to be written, and its index row from before. */
export interface Copied {
  readonly key: RowKey
  readonly row: Uint8Array
}

/** Space that copies may use. */
export interface CopySpace {
  readonly copySpaceBytes: number
  /** Only the reserve remains. */
  readonly isFull: boolean
  /** No further volume fits beside the reserve. */
  readonly isShort: boolean
}

const NOTHING = new Uint8Array(0)

export class VolumeCopy {
  private readonly walk: ScanEvents
  private readonly file: ReadableFile
  /** Read and to be written. */
  private batch: NeedleCopy[] = []
  private batchBytes = 0
  private isWalked = false
  /** Headers cannot show all needles here: the index is searched as well. */
  private isDoubtful = false
  private search: RowWalk | undefined
  private found: Found[] = []
  private readonly damaged = new Set<RowKey>()
  private walkedBytes = 0
  /** Bytes of the copies. */
  copiedBytes = 0
  /** The list is undefined if the copies are too many to be undone. */
  copied: Copied[] | undefined = []

  constructor(
    private readonly upkeep: VolumeUpkeep,
    readonly volumeId: VolumeId,
    private readonly keepsTombstones: boolean,
    private readonly onDamage: OnDamage,
    private readonly limits: CompactionLimits,
    private readonly space: CopySpace,
  ) {
    this.walk = upkeep.walkVolume(volumeId)
    this.file = upkeep.fileOf(volumeId)
  }

  /** Throws `deviceFull`, also if only the checkpoint's share of the reserve remains; `deviceFailed`. */
  async step(signal: AbortSignal): Promise<"busy" | "done" | "held"> {
    if (!this.isBatchFull) {
      if (!this.isWalked) await this.walkSome(signal)
      else await this.searchSome(signal)
    }
    if (this.isBatchFull || this.isAllRead) await this.flush()
    if (this.isWalked) this.search ??= this.searchIfDoubtful()
    if (!this.isAllRead || this.batch.length > 0) return "busy"
    return this.damaged.size === 0 ? "done" : "held"
  }

  progress(): string {
    return `copying volume ${this.volumeId}, ${this.search === undefined ? "at" : "behind"} byte ${this.walkedBytes}`
  }

  private get isBatchFull(): boolean {
    return this.batchBytes >= this.limits.copyBytes || this.batch.length >= this.limits.copyNeedlesMax
  }

  /** Everything has been read: by the headers, and by the index if that was searched. */
  private get isAllRead(): boolean {
    return this.isWalked && this.found.length === 0 && this.search?.isOver !== false
  }

  private isStepOver(taken: number, signal: AbortSignal): boolean {
    return this.isBatchFull || taken >= this.limits.stepNeedlesMax || signal.aborted
  }

  /** If usage still counts live bytes here once all copies are written, the headers cannot reach them either. */
  private searchIfDoubtful(): RowWalk | undefined {
    const left = this.upkeep.usages.get(this.volumeId)?.liveNeedles ?? 0
    const isDoubtful = this.isDoubtful || (this.batch.length === 0 && left > 0)
    return isDoubtful ? this.upkeep.index.walk() : undefined
  }

  private async walkSome(signal: AbortSignal): Promise<void> {
    for (let taken = 0; !this.isStepOver(taken, signal); taken += 1) {
      const { value: event, done } = await this.walk.next()
      if (done === true) {
        this.isWalked = true
        return
      }
      if (event.kind === "needle") await this.consider(event.needle.header, event.needle.place)
      else if (event.kind === "damage") this.isDoubtful = true
      else if (event.kind === "position") this.walkedBytes = event.position.offsetBytes
    }
  }

  private async consider(header: NeedleHeader, place: NeedlePlace): Promise<void> {
    if (header.kind === "payload") return
    const key = needleKeyOf(header.id)
    const warm = this.upkeep.index.warm(key)
    if (warm) await warm
    if (header.kind === "shard") await this.take(key, place)
    else if (this.keepsTombstones) {
      const isWanted = (): boolean => this.upkeep.index.placeOf(key) === undefined
      if (isWanted()) this.add({ decoded: header, header: encodeNeedleHeader(header), body: NOTHING, isWanted })
    }
  }

  /** Needles of the index that the walk did not meet: behind damage, or damaged itself. */
  private async searchSome(signal: AbortSignal): Promise<void> {
    if (this.found.length === 0) {
      this.search?.step(this.limits.stepRowsMax, (_, key, { value }) => {
        const place = decodeNeedlePlace(value)
        if (place.volume === this.volumeId) this.found.push({ key, place })
      })
    }
    for (let taken = 0; !this.isStepOver(taken, signal); taken += 1) {
      const next = this.found.pop()
      if (next === undefined) return
      await this.take(next.key, next.place)
    }
  }

  private async take(key: RowKey, place: NeedlePlace): Promise<void> {
    const isHere = (): boolean => isSameNeedlePlace(this.upkeep.index.placeOf(key), place)
    const row = this.upkeep.index.rowOf(key)
    if (row === undefined || !isHere()) return
    const loaded = await loadNeedle(this.file, key, place)
    if (loaded !== undefined) {
      this.note({ key, row })
      this.add({ ...loaded, header: this.upkeep.headerOfCopy(loaded), isWanted: isHere })
    } else if (isHere() && !this.damaged.has(key)) {
      this.isDoubtful = true
      this.damaged.add(key)
      this.upkeep.index.markSuspect(key)
      this.onDamage(needleIdOfKey(key))
    }
  }

  private note(copied: Copied): void {
    if (this.copied !== undefined && this.copied.length < this.limits.undoNeedlesMax) this.copied.push(copied)
    else this.copied = undefined
  }

  private add(copy: NeedleCopy): void {
    this.batch.push(copy)
    this.batchBytes += copy.header.length + copy.body.length
  }

  private async flush(): Promise<void> {
    if (this.batch.length === 0) return
    if (this.space.copySpaceBytes < groupBytes(this.batchBytes)) {
      throw fail("deviceFull", { message: "the remaining space is kept for a checkpoint", volume: this.volumeId })
    }
    await this.upkeep.copy(this.batch)
    this.copiedBytes += this.batchBytes
    this.batch = []
    this.batchBytes = 0
  }
}

/**
 * The needle of this key, whole and verified, in memory of its own; undefined if its bytes have changed, or cannot be
 * read. Throws `deviceFailed` if the bytes are not at fault.
 */
export async function loadNeedle(
  file: ReadableFile,
  key: RowKey,
  place: NeedlePlace,
): Promise<WholeNeedle | undefined> {
  try {
    const whole = await readWhole(file, place)
    const isIt = whole.decoded.kind === "shard" && needleKeyOf(whole.decoded.id) === key
    return isIt ? whole : undefined
  } catch (error) {
    if (isFailure(error, "corruptNeedle") || isUnreadable(error)) return undefined
    throw error
  }
}
