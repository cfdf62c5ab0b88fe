/** The sets of disks of a MinIO, by what its disks say of themselves. Pure. */
import type { DriveFormat } from "./drive-format.js"
import { DiskFailure } from "./failure.js"

/** The folder of a disk. */
export type Drive = string

/** In the order of the set; undefined: lost. */
export type DriveSet = readonly (Drive | undefined)[]

export interface NamedDrive {
  readonly folder: Drive
  readonly format: DriveFormat
}

interface DriveSets {
  readonly sets: readonly DriveSet[]
  /** Each set that lacks disks. */
  readonly gaps: readonly string[]
  /** Sets that may have had objects of which no disk that is left knows the name. */
  readonly problems: readonly string[]
}

/** Throws `wrongFolders` if there is no disk, if two are of different MinIOs, or the same disk. */
export function checkDrives(named: readonly NamedDrive[], gaps: readonly string[]): void {
  const [first] = named
  if (first === undefined) throw wrongFolders(`no folder is a disk of MinIO: ${gaps.join("; ")}`)
  for (const { folder, format } of named) {
    if (format.deployment !== first.format.deployment)
      throw wrongFolders(`${folder} and ${first.folder} are disks of different MinIOs: import each by itself`)
    const twin = named.find(other => other.folder !== folder && other.format.drive === format.drive)
    if (twin !== undefined) throw wrongFolders(`${folder} and ${twin.folder} are the same disk: name one of them`)
  }
}

/** Pools are in the order of the disks that name them. */
export function setsOf(named: readonly NamedDrive[], unhealed: ReadonlySet<Drive>): DriveSets {
  const [gaps, problems]: [string[], string[]] = [[], []]
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
  return { sets, gaps, problems }
}

const wrongFolders = (message: string): DiskFailure => new DiskFailure("wrongFolders", message)
