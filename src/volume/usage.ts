/**
 * Accounts: how much of each volume is written, and how much of that still lives.
 *
 * What is written is known from the files. What lives is what the index points at: after a start it is
 * unknown until the index has been walked, in steps; what changes meanwhile is counted right, because a
 * change counts where the walk has been and is left to the walk where it has not. Tombstones of volumes
 * that an earlier life wrote are unknown until somebody walked those.
 *
 * Used to choose, and to tell people. Nothing is ever deleted because of a number in here.
 */
import type { RowKey, VolumeId } from "../base/ids.js"
import { parseVolumeId } from "../base/ids.js"
import type { DeviceRows } from "../device/contract.js"
import type { NeedlePlace } from "../format/needle.js"
import { decodeNeedlePlace } from "../format/needle.js"
import { VOLUME_PAGE_BYTES } from "../format/volume.js"
import { RowWalk } from "./row-walk.js"

export interface VolumeUsage {
  readonly volumeId: VolumeId
  readonly writtenBytes: number
  /** Headers and bodies of needles that the index points at. */
  readonly liveBytes: number
  readonly liveNeedles: number
  /** Bytes of tombstones; undefined where nobody has looked. */
  readonly tombstoneBytes: number | undefined
}

type OpenUsage = { -readonly [Name in keyof VolumeUsage]: VolumeUsage[Name] }

interface VolumeTotals {
  readonly volumes: number
  readonly writtenBytes: number
  /** Undefined while the index has not been walked. */
  readonly liveBytes: number | undefined
}

type PlacedBytes = Pick<NeedlePlace, "volume" | "headerBytes" | "bodyBytes">

export class VolumeUsages {
  /** Files. */
  private readonly volumes = new Map<VolumeId, OpenUsage>()
  /** Volumes that the index points at and that are not there. */
  private readonly missing = new Map<VolumeId, OpenUsage>()
  private walk: RowWalk

  /** `sizes`: the volumes that are there, ascending, with their lengths. */
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

  /** Counts what so many rows of the index point at. Throws `corruptRow`. */
  countSome(rowsMax: number): void {
    this.walk.step(rowsMax, (_, __, { value }) => this.add(decodeNeedlePlace(value), 1))
  }

  /** What lives is unknown again: a change could not be looked up. */
  recount(): void {
    this.walk = new RowWalk(this.rows, ["needles"])
    this.missing.clear()
    for (const usage of this.volumes.values()) Object.assign(usage, { liveBytes: 0, liveNeedles: 0 })
  }

  /** Whether a change of this row of the index has to be told. */
  isAffectedBy(key: RowKey): boolean {
    return this.walk.hasPassed("needles", key)
  }

  /** A row of the index that `isAffectedBy` was true for points elsewhere now. */
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

  /** Somebody walked a volume that is not written any more. */
  foundTombstones(volumeId: VolumeId, bytes: number): void {
    this.at(volumeId).tombstoneBytes = bytes
  }

  removed(volumeId: VolumeId): void {
    this.volumes.delete(volumeId)
  }

  get(volumeId: VolumeId): VolumeUsage | undefined {
    return this.volumes.get(volumeId)
  }

  /** The volumes that are there, ascending. */
  list(): readonly VolumeUsage[] {
    return [...this.volumes.values()]
  }

  /** The volumes that the index still points at although they are not there. */
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
