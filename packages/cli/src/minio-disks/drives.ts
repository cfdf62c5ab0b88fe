/**
 * The disks of a stopped MinIO: which folders belong to which set.
 *
 * A MinIO has pools, a pool has sets of disks, and an object lies on all disks of one set. Each disk knows the ids of all disks
 * of its pool. A folder that is missing, empty or unreadable is a lost disk. One that MinIO has begun to fill again, after it was
 * replaced, says nothing by what it lacks.
 *
 * Refuses   Throws `wrongFolders` if no folder is a disk of MinIO, if two are of different MinIOs, or the same disk.
 */
import { readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { parseDriveFormat } from "./drive-format.js"
import { checkDrives, setsOf, type Drive, type DriveSet, type NamedDrive } from "./drive-sets-core.js"
import { DiskFailure } from "./failure.js"

export const SYSTEM_FOLDER = ".minio.sys"
/** MinIO's notes on a disk that it fills after a replacement; it removes them at the end. */
const HEALING = join(SYSTEM_FOLDER, "buckets", ".healing.bin")

export interface MinioDrives {
  readonly sets: readonly DriveSet[]
  /** Disks that were replaced, and do not have all of their objects again. */
  readonly unhealed: ReadonlySet<Drive>
  /** Each folder that could not be used, each set that lacks disks, and each disk that is not healed. */
  readonly gaps: readonly string[]
  /** Sets that may have had objects of which no disk that is left knows the name. */
  readonly problems: readonly string[]
}

export async function openDrives(folders: readonly string[]): Promise<MinioDrives> {
  const gaps: string[] = []
  const named: NamedDrive[] = []
  for (const folder of folders) {
    try {
      named.push({ folder, format: parseDriveFormat(await formatTextOf(folder)) })
    } catch (error) {
      gaps.push(`${folder}: left out, ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  checkDrives(named, gaps)
  const unhealed = new Set<Drive>()
  for (const { folder } of named) {
    if (!(await isHealing(folder))) continue
    unhealed.add(folder)
    gaps.push(`${folder}: was replaced, and MinIO has not filled it again: what it lacks is read from the other disks`)
  }
  const { sets, problems, gaps: gapsOfSets } = setsOf(named, unhealed)
  return { sets, unhealed, gaps: [...gaps, ...gapsOfSets], problems }
}

/** A file that cannot be looked at is there. */
const isHealing = (folder: string): Promise<boolean> =>
  stat(join(folder, HEALING)).then(
    () => true,
    (error: unknown) => !(error instanceof Error && "code" in error && error.code === "ENOENT"),
  )

async function formatTextOf(folder: string): Promise<string> {
  try {
    return await readFile(join(folder, SYSTEM_FOLDER, "format.json"), "utf8")
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable"
    const why = code === "ENOENT" || code === "ENOTDIR" ? "it is no disk of MinIO" : `it cannot be read (${code})`
    throw new DiskFailure("wrongFolders", `${why}: there is no ${SYSTEM_FOLDER}/format.json`)
  }
}
