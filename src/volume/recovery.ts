/**
 * Recovery: what a device's volumes hold beyond the mark of its base, told to the rows; and the last
 * group, where nothing vouches for it, taken along to be written once more.
 *
 * Promises  Running it again, or after any crash inside it, gives the same rows.
 * Limits    One group is held in memory.
 */
import type { VolumeId } from "../base/ids.js"
import type { DeviceRows } from "../device/contract.js"
import type { NeedleHeader } from "../format/needle.js"
import type { VolumePosition } from "../format/volume.js"
import type { Disk, DiskFile } from "../seams/disk/contract.js"
import type { VolumeDamage } from "./contract.js"
import { listVolumes, volumePath } from "./files.js"
import type { EncodedNeedle } from "./group-core.js"
import type { ScannedGroup } from "./group-reader.js"
import type { IndexWrite } from "./index-writes.js"
import { indexWrite } from "./index-writes.js"
import { RECOVERY_BATCH_ROWS } from "./limits.js"
import { scanVolumes } from "./scan.js"
import type { VolumeHome } from "./writer.js"

/** A last group as it lies on disk, or in the page cache only. */
export interface UnvouchedGroup {
  readonly headers: readonly NeedleHeader[]
  readonly needles: readonly EncodedNeedle[]
  /** Where the volume ends if the group is believed as it is. */
  readonly after: VolumePosition
}

/** What a walk through the folder left behind, before anything new is written. */
export interface Recovered {
  /** Where the newest volume ends for certain. */
  readonly sealed: VolumePosition | undefined
  readonly unvouched: UnvouchedGroup | undefined
  readonly lastVolume: number
  /** Lengths of the volumes, ascending. */
  readonly sizes: ReadonlyMap<VolumeId, number>
  readonly damages: readonly VolumeDamage[]
}

export async function recoverVolumes(
  disk: Disk,
  rows: DeviceRows,
  home: VolumeHome,
  from: VolumePosition | undefined,
): Promise<Recovered> {
  const ids = await listVolumes(disk, home.folder)
  const last = ids.at(-1)
  const damages: VolumeDamage[] = []
  let position = from
  let doubt: { readonly group: ScannedGroup; readonly before: VolumePosition } | undefined
  const batch: IndexWrite[] = []
  for await (const event of scanVolumes(disk, { ...home, from, upTo: undefined })) {
    if (event.kind === "needle") batch.push(indexWrite(event.needle.header, event.needle.place))
    else if (event.kind === "damage") damages.push(event.damage)
    else if (event.kind === "unvouched") doubt = event
    else if (event.kind === "position") {
      // A volume that was only begun is passed over: even its header may be in the page cache only.
      if (event.position.groups === 0) continue
      if (!isSame(event.position, doubt?.group.after)) doubt = undefined
      position = event.position
    }
    if (batch.length >= RECOVERY_BATCH_ROWS) rows.apply(batch.splice(0))
  }
  rows.apply(batch)
  const sizes = new Map<VolumeId, number>()
  for (const id of ids) {
    sizes.set(id, await withFile(disk, volumePath(home.folder, id), "read", file => file.sizeBytes()))
  }
  return {
    sealed: doubt !== undefined && isSame(position, doubt.group.after) ? doubt.before : position,
    unvouched: doubt === undefined ? undefined : await readUnvouched(disk, home.folder, doubt.group),
    lastVolume: Math.max(last ?? 0, from?.volumeId ?? 0),
    sizes,
    damages,
  }
}

const isSame = (a: VolumePosition | undefined, b: VolumePosition | undefined): boolean =>
  a !== undefined && b !== undefined && a.volumeId === b.volumeId && a.offsetBytes === b.offsetBytes

/** The group's needles as encoded; undefined for a group of none, which was written only to vouch for another. */
async function readUnvouched(disk: Disk, folder: string, group: ScannedGroup): Promise<UnvouchedGroup | undefined> {
  if (group.needles.length === 0) return undefined
  return withFile(disk, volumePath(folder, group.header.volumeId), "write", async file => {
    // Of use where there is no room to write it again.
    await file.sync()
    const needles: EncodedNeedle[] = []
    for (const { place } of group.needles) {
      const bytes = new Uint8Array(place.headerBytes + place.bodyBytes)
      await file.read(bytes, place.offsetBytes)
      needles.push({ header: bytes.subarray(0, place.headerBytes), body: bytes.subarray(place.headerBytes) })
    }
    return { headers: group.needles.map(({ header }) => header), needles, after: group.after }
  })
}

async function withFile<T>(
  disk: Disk,
  path: string,
  mode: "read" | "write",
  use: (file: DiskFile) => Promise<T>,
): Promise<T> {
  const file = await disk.open(path, mode)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}
