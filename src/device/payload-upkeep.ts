/**
 * Upkeep of payload volumes, carried out inside checkpoints: what lives in a volume that is mostly dead
 * moves to the open one, its rows get their new places in the checkpoint's transaction, and the empty
 * volume is removed.
 *
 * Promises  A volume is removed only in a checkpoint after the one that emptied it, once its readers
 *           have been told to look their rows up again, and after a walk has found no row that points
 *           into it. A reader that still holds an old place finds nothing there and looks again.
 * Refuses   To move what cannot be read: its volume stays, and is passed over until the next start.
 * Limits    PAYLOAD_UPKEEP_LIMITS.
 */
import { isFailure } from "../base/failures.js"
import type { Family } from "../base/families.js"
import type { RowKey } from "../base/ids.js"
import { decodeBaseRow, encodeBaseRow, type VolumePlace } from "../format/base-row.js"
import type { VolumePosition } from "../format/volume.js"
import type { StoreReader, StoreWrite } from "../seams/store/contract.js"
import type { FoundInVolume, PayloadShelf } from "./contract.js"
import { placeIn, type PayloadBooks } from "./payload-books.js"
import { emptyVolumes, PAYLOAD_UPKEEP_LIMITS, volumeToMove } from "./payload-upkeep-core.js"
import type { CountedVolume, PayloadUpkeepLimits } from "./payload-upkeep-core.js"

/** Whether a checkpoint writes this row anyway. */
export type IsWritten = (family: Family, key: RowKey) => boolean

interface Moved {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array
  readonly to: VolumePlace
}

/** One device's, kept from checkpoint to checkpoint. */
export class PayloadUpkeep {
  private readonly passed = new Set<number>()
  /** How far the walk through a volume has come whose living payloads are being moved. */
  private reached: { readonly volume: number; readonly position: VolumePosition | undefined } | undefined

  constructor(
    readonly shelf: PayloadShelf,
    private readonly limits: PayloadUpkeepLimits = PAYLOAD_UPKEEP_LIMITS,
  ) {}

  counted(books: PayloadBooks): readonly CountedVolume[] {
    return this.shelf.list().map(volume => ({ ...volume, livingBytes: books.livingBytes(volume.volume) }))
  }

  /** Volumes into which no row points, by the books; those that cannot be removed are left out. */
  emptied(books: PayloadBooks): readonly number[] {
    return emptyVolumes(this.counted(books)).filter(volume => !this.passed.has(volume))
  }

  /** Removes those of the volumes into which really no row of the base points. */
  async remove(store: StoreReader, books: PayloadBooks, volumes: readonly number[]): Promise<readonly number[]> {
    const empty = new Set(emptyVolumes(this.counted(books)))
    const removed: number[] = []
    for (const volume of volumes) {
      if (!empty.has(volume) || this.passed.has(volume)) continue
      const { livingBytes, isDamaged } = await this.living(store, volume)
      if (livingBytes > 0) books.correct(volume, livingBytes)
      else if (isDamaged) this.passed.add(volume)
      else {
        await this.shelf.remove(volume)
        removed.push(volume)
      }
    }
    return removed
  }

  private async living(store: StoreReader, volume: number) {
    let [livingBytes, isDamaged] = [0, false]
    for await (const found of this.walk(volume, undefined)) {
      if (found.kind === "damage") isDamaged = true
      if (found.kind !== "payloads") continue
      for (const { family, key, place } of found.payloads) {
        if (pointsAt(store, family, key, place)) livingBytes += this.shelf.bytesOf(key, place.lengthBytes)
      }
    }
    return { livingBytes, isDamaged }
  }

  /** A volume that cannot be read is a damaged one: what needs none of it must go on. */
  private async *walk(volume: number, from: VolumePosition | undefined): AsyncGenerator<FoundInVolume> {
    try {
      yield* this.shelf.walk(volume, from)
    } catch (error) {
      if (!isFailure(error, "deviceFailed")) throw error
      yield { kind: "damage" }
    }
  }

  /**
   * Moves living payloads of the deadest volume of which they fit in `bytesMax`, flushed; gives the rows to be
   * committed. On a full disk nothing is moved. `done` is to be called when they are committed.
   */
  async move(
    store: StoreReader,
    books: PayloadBooks,
    isWritten: IsWritten,
    bytesMax = Infinity,
  ): Promise<{ readonly writes: readonly StoreWrite[]; readonly done: () => void }> {
    const victim = volumeToMove(this.counted(books), this.passed, this.limits, bytesMax)
    if (victim === undefined) return { writes: [], done: () => undefined }
    const { volume } = victim
    if (victim.isOpen) await this.shelf.seal()
    const from = this.reached?.volume === volume ? this.reached.position : undefined
    try {
      const { moved, reached, isOver, skipped } = await this.moveFrom(store, volume, from, isWritten)
      await this.shelf.flush()
      for (const each of moved) {
        books.replacing(store, each.family, each.key)
        books.placed(each.family, each.key, each.to)
      }
      const done = (): void => {
        // What this checkpoint itself has put there moves with the next.
        this.reached = skipped > 0 ? undefined : { volume, position: reached }
        // What still seems to live there is damaged, or miscounted.
        if (isOver && skipped === 0 && books.livingBytes(volume) > 0) this.passed.add(volume)
      }
      return { writes: moved.map(({ family, key, value, to }) => rowWrite(family, key, value, to)), done }
    } catch (error) {
      if (!isFailure(error, "deviceFull")) throw error
      return { writes: [], done: () => undefined }
    }
  }

  private async moveFrom(store: StoreReader, volume: number, from: VolumePosition | undefined, isWritten: IsWritten) {
    const moved: Moved[] = []
    let [reached, bytes, skipped] = [from, 0, 0]
    for await (const found of this.walk(volume, from)) {
      if (found.kind === "position") {
        reached = found.position
        if (bytes >= this.limits.movedBytesMax) return { moved, reached, isOver: false, skipped }
      }
      if (found.kind !== "payloads") continue
      const movable = found.payloads.filter(({ family, key }) => !isWritten(family, key))
      skipped += found.payloads.length - movable.length
      const living = movable.flatMap(payload => {
        const value = pointsAt(store, payload.family, payload.key, payload.place)
        return value ? [{ ...payload, value }] : []
      })
      const payloads = await this.shelf.readRun(living)
      for (const [i, { family, key, value }] of living.entries()) {
        const payload = payloads[i]
        if (payload === undefined) continue
        const to = this.shelf.append({ family, key, payload })
        if (to.in === "volume") moved.push({ family, key, value, to })
        bytes += payload.length
      }
    }
    return { moved, reached, isOver: true, skipped }
  }
}

/** The value of the row that points exactly there; undefined where none does. */
function pointsAt(store: StoreReader, family: Family, key: RowKey, at: VolumePlace): Uint8Array | undefined {
  const row = store.get(family, key)
  const place = row && placeIn(family, key, row)
  if (row === undefined || place?.volume !== at.volume || place.offsetBytes !== at.offsetBytes) return undefined
  return decodeBaseRow(family, key, row).value
}

const rowWrite = (family: Family, key: RowKey, value: Uint8Array, place: VolumePlace): StoreWrite => ({
  family,
  key,
  value: encodeBaseRow(family, key, value, place),
})
