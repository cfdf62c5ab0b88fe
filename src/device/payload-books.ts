/**
 * Payload books: how many bytes of each payload volume are pointed at by rows of the base. What a
 * volume has beyond them is dead: payloads that were overwritten, deleted or moved, and padding.
 *
 * The counts stand among the base's marks and change in the transaction that changes the rows: a
 * checkpoint reads the row that it overwrites or deletes, and books its place as dead. A base from
 * before there were books is counted once by a walk through its rows. A count that is wrong (a place
 * in a rotten trailer was believed) costs space, never a payload: a volume is removed only after a walk
 * through it has found no row that points into it.
 */
import { isFailure } from "../base/failures.js"
import { FAMILIES, familyOfNumber, REPLICATED_FAMILIES, type Family } from "../base/families.js"
import { rowKeyOf, type RowKey } from "../base/ids.js"
import { decodeBaseRow, encodeBaseRow, type VolumePlace } from "../format/base-row.js"
import type { StoreReader, StoreWrite } from "../seams/store/contract.js"

/** Which families have had payloads; there once the volumes are counted. */
const BOOKS_MARK = rowKeyOf("payloads")
const VOLUME_MARKS = { start: rowKeyOf("payloads/"), end: rowKeyOf("payloads0") }
const volumeMark = (volume: number): RowKey => rowKeyOf(`payloads/${String(volume).padStart(10, "0")}`)
const volumeOfMark = (key: RowKey): number => Number(key.slice(VOLUME_MARKS.start.length))
const COUNT_BYTES = 8
const ALL_KEYS = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(64)) }

/** How many bytes a payload of a row takes in its volume. */
export type PayloadBytes = (key: RowKey, lengthBytes: number) => number

export class PayloadBooks {
  private readonly changed = new Set<number>()
  private hasNewFamily = false

  private constructor(
    private readonly bytesOf: PayloadBytes,
    private readonly families: Set<Family>,
    private readonly living: Map<number, number>,
    /** They stand in the base as they are here, but for what has changed. */
    private readonly isKept: boolean,
  ) {}

  /** As the base has them, counted where it has none. */
  static open(store: StoreReader, bytesOf: PayloadBytes): PayloadBooks {
    const kept = markOf(store, BOOKS_MARK)
    if (kept === undefined) return PayloadBooks.count(store, bytesOf)
    const families = [...kept].flatMap(number => familyOfNumber(number) ?? [])
    const living = new Map<number, number>()
    for (const [key, row] of store.range("marks", VOLUME_MARKS)) {
      const { value } = decodeBaseRow("marks", key, row)
      if (value.length === COUNT_BYTES) living.set(volumeOfMark(key), Number(Buffer.from(value).readBigUInt64LE(0)))
    }
    return new PayloadBooks(bytesOf, new Set(families), living, true)
  }

  private static count(store: StoreReader, bytesOf: PayloadBytes): PayloadBooks {
    const books = new PayloadBooks(bytesOf, new Set(), new Map(), false)
    for (const family of REPLICATED_FAMILIES) {
      for (const [key, row] of store.range(family, ALL_KEYS)) {
        const place = placeIn(family, key, row)
        if (place !== undefined) books.placed(family, key, place)
      }
    }
    return books
  }

  livingBytes(volume: number): number {
    return this.living.get(volume) ?? 0
  }

  /** The base's row of a key is about to be overwritten or deleted. */
  replacing(store: StoreReader, family: Family, key: RowKey): void {
    if (!this.families.has(family)) return
    const row = store.get(family, key)
    const place = row && placeIn(family, key, row)
    if (place !== undefined) this.add(place.volume, -this.bytesOf(key, place.lengthBytes))
  }

  /** A row of the base is about to point at a place. */
  placed(family: Family, key: RowKey, place: VolumePlace): void {
    if (!this.families.has(family)) this.hasNewFamily = true
    this.families.add(family)
    this.add(place.volume, this.bytesOf(key, place.lengthBytes))
  }

  /** What a walk through a volume found. */
  correct(volume: number, livingBytes: number): void {
    this.add(volume, livingBytes - this.livingBytes(volume))
  }

  /** To be committed with the rows. */
  writes(): StoreWrite[] {
    const volumes = this.isKept ? this.changed : this.living.keys()
    const counts = [...volumes].map((volume): StoreWrite => {
      const count = Buffer.alloc(COUNT_BYTES)
      count.writeBigUInt64LE(BigInt(this.livingBytes(volume)))
      return markWrite(volumeMark(volume), this.livingBytes(volume) === 0 ? undefined : count)
    })
    if (this.isKept && !this.hasNewFamily) return counts
    const numbers = [...this.families].map(family => FAMILIES[family])
    return [...counts, markWrite(BOOKS_MARK, Uint8Array.from(numbers))]
  }

  private add(volume: number, bytes: number): void {
    this.living.set(volume, Math.max(0, this.livingBytes(volume) + bytes))
    this.changed.add(volume)
  }
}

/** The place that a row points at; none in a row that fails its check. */
export function placeIn(family: Family, key: RowKey, row: Uint8Array): VolumePlace | undefined {
  try {
    return decodeBaseRow(family, key, row).place
  } catch (error) {
    if (isFailure(error, "corruptRow")) return undefined
    throw error
  }
}

function markOf(store: StoreReader, key: RowKey): Uint8Array | undefined {
  const row = store.get("marks", key)
  return row && decodeBaseRow("marks", key, row).value
}

const markWrite = (key: RowKey, value: Uint8Array | undefined): StoreWrite => ({
  family: "marks",
  key,
  value: value && encodeBaseRow("marks", key, value, undefined),
})
