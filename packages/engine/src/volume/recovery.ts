/**
 * Recovery: adds the needles beyond the mark of a device's metadata store to the rows, and reads the last group, if it
 * is unvouched, to be written once more.
 *
 * Promises  Running it again, or after any crash inside it, results in the same rows. The bytes of the last group have
 *           been verified as they were read: a disk with occasional read errors causes no lasting damage.
 * Limits    One group is in memory.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { VolumeId } from "@hayloft/base/ids.js"
import type { DeviceRows } from "../device/contract.js"
import type { NeedleHeader } from "../format/needles/needle.js"
import { needleHeaderChecksum } from "../format/needles/needle.js"
import type { VolumePosition } from "../format/needles/volume.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"
import type { VolumeDamage } from "./contract.js"
import { listVolumes, volumePath } from "./files.js"
import type { EncodedNeedle } from "./group-core.js"
import type { ScannedGroup, ScannedNeedle } from "./group-reader.js"
import type { IndexWrite } from "./index-writes.js"
import { indexWrite } from "./index-writes.js"
import { RECOVERY_BATCH_ROWS } from "./limits.js"
import { readWhole, type WholeNeedle } from "./needle-read.js"
import { scanVolumes } from "./scan.js"
import type { VolumeDirectory } from "./writer.js"

/** Attempts for each needle on a disk with occasional read errors. */
const TRIES_MAX = 3

/** A last group as it is on disk, or in the page cache only. */
export interface UnvouchedGroup {
  readonly headers: readonly NeedleHeader[]
  readonly needles: readonly EncodedNeedle[]
  /** The place where the volume ends if the group is accepted as it is. */
  readonly after: VolumePosition
}

/** Result of a walk through the folder, before anything new is written. */
export interface Recovered {
  /** The place where the newest volume certainly ends. */
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
  directory: VolumeDirectory,
  from: VolumePosition | undefined,
): Promise<Recovered> {
  const ids = await listVolumes(disk, directory.folder)
  const last = ids.at(-1)
  const damages: VolumeDamage[] = []
  let position = from
  let doubt: { readonly group: ScannedGroup; readonly before: VolumePosition } | undefined
  const batch: IndexWrite[] = []
  for await (const event of scanVolumes(disk, { ...directory, from, upTo: undefined })) {
    if (event.kind === "needle") batch.push(indexWrite(event.needle.header, event.needle.place))
    else if (event.kind === "damage") damages.push(event.damage)
    else if (event.kind === "unvouched") doubt = event
    else if (event.kind === "position") {
      // A volume that was only begun is skipped: even its header may be in the page cache only.
      if (event.position.groups === 0) continue
      if (!isSame(event.position, doubt?.group.after)) doubt = undefined
      position = event.position
    }
    if (batch.length >= RECOVERY_BATCH_ROWS) rows.apply(batch.splice(0))
  }
  rows.apply(batch)
  const sizes = new Map<VolumeId, number>()
  for (const id of ids) {
    sizes.set(id, await withFile(disk, volumePath(directory.folder, id), "read", file => file.sizeBytes()))
  }
  const unvouched = doubt && (await readUnvouched(disk, directory.folder, doubt.group))
  const isDoubted = unvouched !== "unreadable" && isSame(position, doubt?.group.after)
  return {
    sealed: isDoubted ? doubt?.before : position,
    unvouched: unvouched === "unreadable" ? undefined : unvouched,
    lastVolume: Math.max(last ?? 0, from?.volumeId ?? 0),
    sizes,
    damages,
  }
}

const isSame = (a: VolumePosition | undefined, b: VolumePosition | undefined): boolean =>
  a !== undefined && b !== undefined && a.volumeId === b.volumeId && a.offsetBytes === b.offsetBytes

/**
 * The group's needles as encoded; undefined for an empty group, which was written only to confirm another. Unreadable:
 * needles that were good a moment ago no longer are, so that the group must be accepted in its place.
 */
async function readUnvouched(
  disk: Disk,
  folder: string,
  group: ScannedGroup,
): Promise<UnvouchedGroup | "unreadable" | undefined> {
  if (group.needles.length === 0) return undefined
  return withFile(disk, volumePath(folder, group.header.volumeId), "write", async file => {
    // Useful if there is no space to write it again, or it cannot be read.
    await file.sync()
    const needles: EncodedNeedle[] = []
    for (const needle of group.needles) {
      const whole = await readSame(file, needle)
      if (whole === undefined) return "unreadable"
      needles.push(whole)
    }
    return { headers: group.needles.map(({ header }) => header), needles, after: group.after }
  })
}

/** The needle that was met there; undefined if it cannot be read again. */
async function readSame(file: DiskFile, { place, checksum }: ScannedNeedle): Promise<WholeNeedle | undefined> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    try {
      const whole = await readWhole(file, place)
      if (needleHeaderChecksum(whole.header) === checksum) return whole
    } catch (error) {
      if (!isFailure(error, "corruptNeedle")) throw error
    }
  }
  return undefined
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
