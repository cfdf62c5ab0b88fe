/**
 * Payload usage: how many bytes of each payload volume rows of the metadata store point at. The rest of a volume is
 * dead: payloads that were overwritten, deleted or moved, and padding.
 *
 * The counts are marks of the store and change with the rows: a checkpoint adds the payloads that it places, a merge
 * subtracts those that it drops. So a payload counts as live until a merge meets the row that replaced it. A count that
 * is too high costs space, one that is too low a walk: a volume is removed only after a walk through it has found no
 * row that points into it.
 */
import type { Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { decodeStoredRow, encodeStoredRow, type VolumePlace } from "../../format/tables/stored-row.js"
import type { StoreReader, StoreWrite } from "@hayloft/base/seams/store/contract.js"

const VOLUME_MARKS = { start: rowKeyOf("payloads/"), end: rowKeyOf("payloads0") }
const volumeMark = (volume: number): RowKey => rowKeyOf(`payloads/${String(volume).padStart(10, "0")}`)
const volumeOfMark = (key: RowKey): number => Number(key.slice(VOLUME_MARKS.start.length))
const COUNT_BYTES = 8

/** Number of bytes that the payload of a row occupies in its volume. */
type PayloadBytes = (key: RowKey, lengthBytes: number) => number

export class PayloadUsage {
  private readonly changed = new Set<number>()

  private constructor(
    private readonly bytesOf: PayloadBytes,
    private readonly live: Map<number, number>,
  ) {}

  static open(store: StoreReader, bytesOf: PayloadBytes): PayloadUsage {
    const live = new Map<number, number>()
    for (const [key, row] of store.range("marks", VOLUME_MARKS)) {
      const { value } = decodeStoredRow("marks", key, row)
      if (value.length === COUNT_BYTES) live.set(volumeOfMark(key), Number(Buffer.from(value).readBigUInt64LE(0)))
    }
    return new PayloadUsage(bytesOf, live)
  }

  liveBytes(volume: number): number {
    return this.live.get(volume) ?? 0
  }

  /** A row is about to point at a place. */
  placed(key: RowKey, place: VolumePlace): void {
    this.add(place.volume, this.bytesOf(key, place.lengthBytes))
  }

  /** No row points at a place any more. */
  left(key: RowKey, place: VolumePlace): void {
    this.add(place.volume, -this.bytesOf(key, place.lengthBytes))
  }

  /** No row has this stored value any more. */
  readonly dropped = (family: Family, key: RowKey, row: Uint8Array): void => {
    const { place } = decodeStoredRow(family, key, row)
    if (place !== undefined) this.left(key, place)
  }

  /** Sets the result of a walk through a volume. */
  correct(volume: number, liveBytes: number): void {
    this.add(volume, liveBytes - this.liveBytes(volume))
  }

  /** To be committed with the rows. */
  writes(): StoreWrite[] {
    return [...this.changed].map((volume): StoreWrite => {
      const liveBytes = this.liveBytes(volume)
      const count = Buffer.alloc(COUNT_BYTES)
      count.writeBigUInt64LE(BigInt(liveBytes))
      const value = liveBytes === 0 ? undefined : encodeStoredRow(count, undefined)
      return { family: "marks", key: volumeMark(volume), value }
    })
  }

  private add(volume: number, bytes: number): void {
    this.live.set(volume, Math.max(0, this.liveBytes(volume) + bytes))
    this.changed.add(volume)
  }
}
