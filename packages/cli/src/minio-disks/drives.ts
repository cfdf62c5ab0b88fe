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
import { parseDriveFormat, type DriveFormat } from "./drive-format.js"
import { DiskFailure } from "./failure.js"

export const SYSTEM_FOLDER = ".minio.sys"
/** MinIO's notes on a disk that it fills after a replacement; it removes them at the end. */
const HEALING = join(SYSTEM_FOLDER, "buckets", ".healing.bin")

/** The folder of a disk. */
export type Drive = string

/** In the order of the set; undefined: lost. */
export type DriveSet = readonly (Drive | undefined)[]

export interface MinioDrives {
  readonly sets: readonly DriveSet[]
  /** Disks that were replaced, and do not have all of their objects again. */
  readonly unhealed: ReadonlySet<Drive>
  /** Each folder that could not be used, each set that lacks disks, and each disk that is not healed. */
  readonly gaps: readonly string[]
  /** Sets that may have had objects of which no disk that is left knows the name. */
  readonly problems: readonly string[]
}

interface Named {
  readonly folder: string
  readonly format: DriveFormat
}

export async function openDrives(folders: readonly string[]): Promise<MinioDrives> {
  const [gaps, problems]: [string[], string[]] = [[], []]
  const named: Named[] = []
  for (const folder of folders) {
    try {
      named.push({ folder, format: parseDriveFormat(await formatTextOf(folder)) })
    } catch (error) {
      gaps.push(`${folder}: left out, ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  const [first] = named
  if (first === undefined) throw wrongFolders(`no folder is a disk of MinIO: ${gaps.join("; ")}`)
  for (const { folder, format } of named) {
    if (format.deployment !== first.format.deployment)
      throw wrongFolders(`${folder} and ${first.folder} are disks of different MinIOs: import each by itself`)
    const twin = named.find(other => other.folder !== folder && other.format.drive === format.drive)
    if (twin !== undefined) throw wrongFolders(`${folder} and ${twin.folder} are the same disk: name one of them`)
  }
  const unhealed = new Set<Drive>()
  for (const { folder } of named) {
    if (!(await isHealing(folder))) continue
    unhealed.add(folder)
    gaps.push(`${folder}: was replaced, and MinIO has not filled it again: what it lacks is read from the other disks`)
  }
  const pools = new Map(named.map(({ format: { sets } }) => [JSON.stringify(sets), sets]))
  const sets = [...pools.values()].flatMap((pool, i) =>
    pool.map((ids, j) => {
      const set = ids.map(id => named.find(({ format }) => format.drive === id)?.folder)
      const lost = set.filter(drive => drive === undefined).length
      const ignorant = lost + set.filter(drive => drive !== undefined && unhealed.has(drive)).length
      const name = `set ${j + 1} of pool ${i + 1}`
      if (lost === set.length) problems.push(`${name}: none of its ${lost} disks is there, and none of its objects`)
      // Half of the disks know each object that was acknowledged.
      else if (2 * ignorant > set.length) {
        const what = ignorant === lost ? "are not there" : "are not there or not healed"
        problems.push(`${name}: ${ignorant} of its ${ids.length} disks ${what}, which may have had more objects`)
      } else if (lost > 0) gaps.push(`${name}: ${lost} of its ${ids.length} disks are not there`)
      return set
    }),
  )
  return { sets, unhealed, gaps, problems }
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

const wrongFolders = (message: string): DiskFailure => new DiskFailure("wrongFolders", message)
