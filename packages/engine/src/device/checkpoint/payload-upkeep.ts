/**
 * Upkeep of payload volumes, carried out inside checkpoints: live payloads of a volume that is mostly dead move to the
 * open one, their rows get the new places in the checkpoint's transaction, and the empty volume is removed.
 *
 * Promises  A volume is removed only in a checkpoint after the one that emptied it, once its readers have been told to
 *           read their rows again, and after a walk has found no row that points into it. A reader with an old place
 *           finds nothing there and reads the row again.
 * Refuses   To move or remove payloads that cannot be read, or whose rows cannot: their volume stays, and is skipped
 *           until the next start.
 * Limits    PAYLOAD_UPKEEP_LIMITS.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { decodeStoredRow, encodeStoredRow, type VolumePlace } from "../../format/tables/stored-row.js"
import type { VolumePosition } from "../../format/needles/volume.js"
import type { StoreReader, StoreWrite } from "@hayloft/base/seams/store/contract.js"
import type { VolumeFindings, PayloadShelf } from "../contract.js"
import type { PayloadUsage } from "./payload-usage.js"
import { emptyVolumes, PAYLOAD_UPKEEP_LIMITS, volumeToMove } from "./payload-upkeep-core.js"
import type { CountedVolume, PayloadUpkeepLimits } from "./payload-upkeep-core.js"

/** Returns true if a checkpoint writes this row anyway. */
type IsWritten = (family: Family, key: RowKey) => boolean

interface Moved {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array
  readonly from: VolumePlace
  readonly to: VolumePlace
}

/** The upkeep of one device, kept from checkpoint to checkpoint. */
export class PayloadUpkeep {
  private readonly passed = new Set<number>()
  /** Volumes up to this one are to be emptied, however little of them is dead. */
  emptyUpTo = 0
  /** The device is short of space: less of a volume must be dead. */
  isShort = false
  /** Progress of the walk through the volume whose live payloads are being moved. */
  private reached: { readonly volume: number; readonly position: VolumePosition | undefined } | undefined

  constructor(
    readonly shelf: PayloadShelf,
    private readonly limits: PayloadUpkeepLimits = PAYLOAD_UPKEEP_LIMITS,
  ) {}

  counted(usage: PayloadUsage): readonly CountedVolume[] {
    return this.shelf.list().map(volume => ({ ...volume, liveBytes: usage.liveBytes(volume.volume) }))
  }

  /** Returns true if a volume is worth emptying. */
  hasVictim(usage: PayloadUsage): boolean {
    return this.victim(usage) !== undefined
  }

  private victim(usage: PayloadUsage, bytesMax = Infinity): CountedVolume | undefined {
    const { emptyUpTo, isShort } = this
    return volumeToMove(this.counted(usage), this.passed, this.limits, { bytesMax, emptyUpTo, isShort })
  }

  /** Volumes into which no row points, by the usage; those that cannot be removed are left out. */
  emptied(usage: PayloadUsage): readonly number[] {
    return emptyVolumes(this.counted(usage)).filter(volume => !this.passed.has(volume))
  }

  /** Removes those of the volumes into which no row of the metadata store points. */
  async remove(store: StoreReader, usage: PayloadUsage, volumes: readonly number[]): Promise<readonly number[]> {
    const empty = new Set(emptyVolumes(this.counted(usage)))
    const removed: number[] = []
    for (const volume of volumes) {
      if (!empty.has(volume) || this.passed.has(volume)) continue
      const { liveBytes, isDamaged } = await this.live(store, volume)
      if (liveBytes > 0) usage.correct(volume, liveBytes)
      else if (isDamaged) this.passed.add(volume)
      else {
        await this.shelf.remove(volume)
        removed.push(volume)
      }
    }
    return removed
  }

  private async live(store: StoreReader, volume: number) {
    let [liveBytes, isDamaged] = [0, false]
    for await (const found of this.walk(volume, undefined)) {
      if (found.kind === "damage") isDamaged = true
      if (found.kind !== "payloads") continue
      for (const { family, key, place } of found.payloads) {
        const row = pointsAt(store, family, key, place)
        if (row === "unreadable") isDamaged = true
        else if (row) liveBytes += this.shelf.bytesOf(key, place.lengthBytes)
      }
    }
    return { liveBytes, isDamaged }
  }

  /** A volume that cannot be read counts as damaged: operations that do not need it must continue. */
  private async *walk(volume: number, from: VolumePosition | undefined): AsyncGenerator<VolumeFindings> {
    try {
      yield* this.shelf.walk(volume, from)
    } catch (error) {
      if (!isFailure(error, "deviceFailed")) throw error
      yield { kind: "damage" }
    }
  }

  /**
   * Moves live payloads of the deadest volume that fits in `bytesMax`, flushed; returns the rows to be committed. On a
   * full disk nothing is moved. Call `done` when they are committed.
   */
  async move(
    store: StoreReader,
    usage: PayloadUsage,
    isWritten: IsWritten,
    bytesMax = Infinity,
  ): Promise<{ readonly writes: readonly StoreWrite[]; readonly done: () => void }> {
    const victim = this.victim(usage, bytesMax)
    if (victim === undefined) return { writes: [], done: () => undefined }
    const { volume } = victim
    if (victim.isOpen) await this.shelf.seal()
    const from = this.reached?.volume === volume ? this.reached.position : undefined
    const move = async () => {
      const { moved, reached, isOver, skipped, isDamaged } = await this.moveFrom(store, volume, from, isWritten)
      await this.shelf.flush()
      for (const each of moved) {
        usage.left(each.key, each.from)
        usage.placed(each.key, each.to)
      }
      const isEmptied = isOver && skipped === 0
      // Payloads that were replaced meanwhile, and are not counted yet, are dead as well.
      if (isEmptied && !isDamaged) usage.correct(volume, 0)
      else if (isEmptied) this.passed.add(volume)
      const done = (): void => {
        // Payloads that this checkpoint itself has put there move with the next.
        this.reached = skipped > 0 ? undefined : { volume, position: reached }
      }
      return { writes: moved.map(({ family, key, value, to }) => rowWrite(family, key, value, to)), done }
    }
    return unlessFull(move, () => ({ writes: [], done: () => undefined }))
  }

  private async moveFrom(store: StoreReader, volume: number, from: VolumePosition | undefined, isWritten: IsWritten) {
    const moved: Moved[] = []
    let [reached, bytes, skipped, isDamaged] = [from, 0, 0, false]
    for await (const found of this.walk(volume, from)) {
      if (found.kind === "position") {
        reached = found.position
        if (bytes >= this.limits.movedBytesMax) return { moved, reached, isOver: false, skipped, isDamaged }
      }
      if (found.kind === "damage") isDamaged = true
      if (found.kind !== "payloads") continue
      const movable = found.payloads.filter(({ family, key }) => !isWritten(family, key))
      skipped += found.payloads.length - movable.length
      const live = movable.flatMap(payload => {
        const value = pointsAt(store, payload.family, payload.key, payload.place)
        if (value === "unreadable") isDamaged = true
        return value && value !== "unreadable" ? [{ ...payload, value }] : []
      })
      const payloads = await this.shelf.readRun(live)
      for (const [i, { family, key, value, place: from }] of live.entries()) {
        const payload = payloads[i]
        isDamaged ||= payload === undefined
        if (payload === undefined) continue
        const to = this.shelf.append({ family, key, payload })
        if (to.in === "volume") moved.push({ family, key, value, from, to })
        bytes += payload.length
      }
    }
    return { moved, reached, isOver: true, skipped, isDamaged }
  }
}

/** The value of the row that points exactly there; undefined if there is none. */
function pointsAt(
  store: StoreReader,
  family: Family,
  key: RowKey,
  at: VolumePlace,
): Uint8Array | "unreadable" | undefined {
  try {
    const bytes = store.get(family, key)
    const row = bytes && decodeStoredRow(family, key, bytes)
    return row?.place?.volume === at.volume && row.place.offsetBytes === at.offsetBytes ? row.value : undefined
  } catch (error) {
    if (!isFailure(error, "corruptRow", "deviceFailed")) throw error
    return "unreadable"
  }
}

const rowWrite = (family: Family, key: RowKey, value: Uint8Array, place: VolumePlace): StoreWrite => ({
  family,
  key,
  value: encodeStoredRow(value, place),
  isOlderCounted: true,
})
