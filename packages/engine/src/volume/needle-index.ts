/**
 * Needle index: where each needle of a device is stored. Rows of the device that are never logged, because a scan of
 * the volumes restores them; with the usage of the volumes that they point at. A needle that its volume does not contain any
 * more, because the file is gone or was cut short, counts as missing, so that repair rebuilds it at once
 * instead of after the next scrub.
 *
 * A needle whose bytes were found bad is suspect: it counts as missing, so that it is rebuilt, and can still be read,
 * because its intact parts may be the last there are. A new copy ends that. Suspicion does not outlive the process; the
 * scrub that found the damage saves it.
 *
 * Limits    SUSPECT_MAX; beyond it the oldest is trusted again until it is next read or scrubbed.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { RowKey, VolumeId } from "@hayloft/base/ids.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { DeviceRows } from "../device/contract.js"
import type { NeedleHeader, NeedlePlace } from "../format/needles/needle.js"
import { decodeNeedlePlace, decodeShardShape, needleKeyOf } from "../format/needles/needle.js"
import { VolumeUsages } from "./usage.js"
import type { IndexedNeedle } from "./contract.js"
import type { IndexWrite } from "./index-writes.js"
import { indexWrite } from "./index-writes.js"
import { SUSPECT_MAX } from "./limits.js"
import { RowWalk } from "./row-walk.js"

export class NeedleIndex {
  readonly usages: VolumeUsages
  private readonly suspect = new Set<RowKey>()

  /** `sizes`: the existing volumes, ascending, with their lengths, which do not grow any more. */
  constructor(
    private readonly rows: DeviceRows,
    private readonly sizes: ReadonlyMap<VolumeId, number>,
  ) {
    this.usages = new VolumeUsages(rows, sizes)
  }

  placeOf(key: RowKey): NeedlePlace | undefined {
    const row = this.rows.get("needles", key)
    return row === undefined ? undefined : decodeNeedlePlace(row.value)
  }

  private isInVolume({ volume, offsetBytes, headerBytes, bodyBytes }: NeedlePlace): boolean {
    const id = parseVolumeId(volume)
    // The size of a volume of this process grows.
    return (
      this.usages.get(id) !== undefined && offsetBytes + headerBytes + bodyBytes <= (this.sizes.get(id) ?? Infinity)
    )
  }

  /** Neither suspect nor missing in its volume. */
  has(key: RowKey): boolean {
    const place = this.isTrusted(key) ? this.placeOf(key) : undefined
    return place !== undefined && this.isInVolume(place)
  }

  warm(key: RowKey): Promise<void> | undefined {
    return this.rows.warm("needles", [key])
  }

  /** In the order of the keys, without those that are missing in their volumes. Throws `corruptRow`. */
  *indexed(range: KeyRange): Iterable<IndexedNeedle> {
    for (const [key, { value }] of this.rows.range("needles", range)) {
      const place = decodeNeedlePlace(value)
      if (!this.isInVolume(place)) continue
      yield { key, bodyBytes: place.bodyBytes, shape: decodeShardShape(value), isSuspect: !this.isTrusted(key) }
    }
  }

  walk(): RowWalk {
    return new RowWalk(this.rows, ["needles"])
  }

  isTrusted(key: RowKey): boolean {
    return !this.suspect.has(key)
  }

  markSuspect(key: RowKey): void {
    this.suspect.add(key)
    const [oldest] = this.suspect
    if (this.suspect.size > SUSPECT_MAX && oldest !== undefined) this.suspect.delete(oldest)
  }

  /** Found bad and not written again since. */
  suspectKeys(): Iterable<RowKey> {
    return this.suspect
  }

  /** Brings the rows into memory that the usage will look up. */
  prepare(headers: readonly NeedleHeader[]): Promise<void> | undefined {
    const keys = headers.flatMap(header => (header.kind === "payload" ? [] : [needleKeyOf(header.id)]))
    const affected = keys.filter(key => this.usages.isAffectedBy(key))
    return affected.length === 0 ? undefined : this.rows.warm("needles", affected)
  }

  /** Records that needles are durable at these places, in this order. */
  written(headers: readonly NeedleHeader[], places: readonly NeedlePlace[]): void {
    const writes = headers.map((header, i) => indexWrite(header, must(places[i], "each needle has a place")))
    this.apply(writes, places)
    for (const { key } of writes) this.suspect.delete(key)
  }

  /** The row of a needle; its place is in it. */
  rowOf(key: RowKey): Uint8Array | undefined {
    return this.rows.get("needles", key)?.value
  }

  /** Records that the same needle is at the place in this row. */
  pointAt(key: RowKey, row: Uint8Array): void {
    this.apply([{ family: "needles", key, value: row }], [decodeNeedlePlace(row)])
  }

  private apply(writes: readonly IndexWrite[], places: readonly NeedlePlace[]): void {
    try {
      this.usage(writes, places)
    } catch (error) {
      // The metadata store cannot return the needle's old place.
      if (!isFailure(error)) throw error
      this.usages.recount()
    }
    this.rows.apply(writes)
  }

  private usage(writes: readonly IndexWrite[], places: readonly NeedlePlace[]): void {
    const moved = new Map<RowKey, NeedlePlace | undefined>()
    for (const [i, { key, value }] of writes.entries()) {
      const place = must(places[i], "each needle has a place")
      if (value === undefined) this.usages.addTombstone(parseVolumeId(place.volume), place.headerBytes)
      if (!this.usages.isAffectedBy(key)) continue
      const to = value === undefined ? undefined : place
      this.usages.moved(moved.has(key) ? moved.get(key) : this.placeOf(key), to)
      moved.set(key, to)
    }
  }
}
