/**
 * Usage: how much of each volume is written, and how much of that is live.
 *
 * Written bytes are known from the files. Live bytes are those that the index points at: after a start they are unknown
 * until the index has been walked, in steps. Changes meanwhile are counted correctly: a change counts if the walk has
 * passed its row, and is left to the walk otherwise. Tombstones of volumes that an earlier process wrote are unknown
 * until those volumes have been walked.
 *
 * These numbers serve choices and reports. Nothing is ever deleted because of one.
 */
import type { RowKey, VolumeId } from "@hayloft/base/ids.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import type { DeviceRows } from "../device/contract.js"
import type { NeedlePlace } from "../format/needles/needle.js"
import { decodeNeedlePlace } from "../format/needles/needle.js"
import { VOLUME_PAGE_BYTES } from "../format/needles/volume.js"
import { RowWalk } from "./row-walk.js"

export interface VolumeUsage {
  readonly volumeId: VolumeId
  readonly writtenBytes: number
  /** Headers and bodies of needles that the index points at. */
  readonly liveBytes: number
  readonly liveNeedles: number
  /** Bytes of tombstones; undefined if they have not been counted. */
  readonly tombstoneBytes: number | undefined
}

type OpenUsage = { -readonly [Name in keyof VolumeUsage]: VolumeUsage[Name] }

interface VolumeTotals {
  readonly volumes: number
  readonly writtenBytes: number
  /** It is undefined until the index has been walked. */
  readonly liveBytes: number | undefined
}

type PlacedBytes = Pick<NeedlePlace, "volume" | "headerBytes" | "bodyBytes">

export class VolumeUsages {
  /** Volumes that exist as files. */
  private readonly volumes = new Map<VolumeId, OpenUsage>()
  /** Missing volumes that the index still points at. */
  private readonly missing = new Map<VolumeId, OpenUsage>()
  private walk: RowWalk

  /** `sizes`: the existing volumes, ascending, with their lengths. */
  constructor(
    private readonly rows: DeviceRows,
    sizes: ReadonlyMap<VolumeId, number>,
  ) {
    this.walk = new RowWalk(rows, ["needles"])
    for (const [volumeId, writtenBytes] of sizes) {
      this.volumes.set(volumeId, { ...emptyUsage(volumeId), writtenBytes, tombstoneBytes: undefined })
    }
  }

  get isCounted(): boolean {
    return this.walk.isOver
  }

  /** Counts the needles of so many rows of the index. Throws `corruptRow`. */
  countSome(rowsMax: number): void {
    this.walk.step(rowsMax, (_, __, { value }) => this.add(decodeNeedlePlace(value), 1))
  }

  /** Live bytes are unknown again: a change could not be looked up. */
  recount(): void {
    this.walk = new RowWalk(this.rows, ["needles"])
    this.missing.clear()
    for (const usage of this.volumes.values()) Object.assign(usage, { liveBytes: 0, liveNeedles: 0 })
  }

  /** Returns true if a change of this row of the index must be reported. */
  isAffectedBy(key: RowKey): boolean {
    return this.walk.hasPassed("needles", key)
  }

  /** A row of the index for which `isAffectedBy` was true points elsewhere now. */
  moved(from: PlacedBytes | undefined, to: PlacedBytes | undefined): void {
    if (from !== undefined) this.add(from, -1)
    if (to !== undefined) this.add(to, 1)
  }

  began(volumeId: VolumeId): void {
    this.volumes.set(volumeId, { ...emptyUsage(volumeId), writtenBytes: VOLUME_PAGE_BYTES })
  }

  /** The volume has this length now. */
  wrote(volumeId: VolumeId, writtenBytes: number): void {
    this.at(volumeId).writtenBytes = writtenBytes
  }

  addTombstone(volumeId: VolumeId, bytes: number): void {
    const usage = this.at(volumeId)
    if (usage.tombstoneBytes !== undefined) usage.tombstoneBytes += bytes
  }

  /** Records the tombstones of a walked volume that is not written any more. */
  foundTombstones(volumeId: VolumeId, bytes: number): void {
    this.at(volumeId).tombstoneBytes = bytes
  }

  removed(volumeId: VolumeId): void {
    this.volumes.delete(volumeId)
  }

  get(volumeId: VolumeId): VolumeUsage | undefined {
    return this.volumes.get(volumeId)
  }

  /** The existing volumes, ascending. */
  list(): readonly VolumeUsage[] {
    return [...this.volumes.values()]
  }

  /** The missing volumes that the index still points at. */
  listMissing(): readonly VolumeUsage[] {
    return [...this.missing.values()].filter(({ liveNeedles }) => liveNeedles > 0)
  }

  totals(): VolumeTotals {
    let [writtenBytes, liveBytes] = [0, 0]
    for (const usage of this.volumes.values()) {
      writtenBytes += usage.writtenBytes
      liveBytes += usage.liveBytes
    }
    return { volumes: this.volumes.size, writtenBytes, liveBytes: this.isCounted ? liveBytes : undefined }
  }

  private add({ volume, headerBytes, bodyBytes }: PlacedBytes, sign: 1 | -1): void {
    const usage = this.at(parseVolumeId(volume))
    usage.liveBytes += sign * (headerBytes + bodyBytes)
    usage.liveNeedles += sign
  }

  private at(volumeId: VolumeId): OpenUsage {
    const known = this.volumes.get(volumeId) ?? this.missing.get(volumeId)
    if (known !== undefined) return known
    const usage = emptyUsage(volumeId)
    this.missing.set(volumeId, usage)
    return usage
  }
}

const emptyUsage = (volumeId: VolumeId): OpenUsage => ({
  volumeId,
  writtenBytes: 0,
  liveBytes: 0,
  liveNeedles: 0,
  tombstoneBytes: 0,
})
