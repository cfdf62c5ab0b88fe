/**
 * The disks of a stopped MinIO: which folders belong to which set.
 *
 * A MinIO has pools, a pool has sets of disks, and an object lies on all disks of one set. Each disk knows the ids of all disks
 * of its pool. A folder that is missing, empty or unreadable is a lost disk.
 *
 * Refuses   Throws `wrongFolders` if no folder is a disk of MinIO, if two are of different MinIOs, or the same disk.
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { parseDriveFormat, type DriveFormat } from "./drive-format.js"
import { DiskFailure } from "./failure.js"

export const SYSTEM_FOLDER = ".minio.sys"

/** The folder of a disk. */
export type Drive = string

/** In the order of the set; undefined: lost. */
export type DriveSet = readonly (Drive | undefined)[]

interface MinioDrives {
  readonly sets: readonly DriveSet[]
  /** Each folder that could not be used, and each set that lacks disks. */
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
  const pools = new Map(named.map(({ format: { sets } }) => [JSON.stringify(sets), sets]))
  const sets = [...pools.values()].flatMap((pool, i) =>
    pool.map((ids, j) => {
      const set = ids.map(id => named.find(({ format }) => format.drive === id)?.folder)
      const lost = set.filter(drive => drive === undefined).length
      const name = `set ${j + 1} of pool ${i + 1}`
      if (lost === set.length) problems.push(`${name}: none of its ${lost} disks is there, and none of its objects`)
      // Half of the disks know each object that was acknowledged.
      else if (2 * lost > set.length)
        problems.push(`${name}: ${lost} of its ${ids.length} disks are not there, which may have had more objects`)
      else if (lost > 0) gaps.push(`${name}: ${lost} of its ${ids.length} disks are not there`)
      return set
    }),
  )
  return { sets, gaps, problems }
}

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
