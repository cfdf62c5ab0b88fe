/**
 * The versions of an object, from what the disks of its set say. Pure.
 *
 * MinIO writes a version to most disks of a set before it is acknowledged. So one that fewer disks have is the rest of a write
 * that failed, or of a deletion that a disk has missed, unless disks are lost or unreadable: then it may have been one of the
 * acknowledged ones, and is told. The same holds for a disk that was replaced and is not healed: it has new versions only.
 */
import { hexOf } from "@hayloft/base/bytes.js"
import type { Drive, DriveSet } from "./drive-sets-core.js"
import type { StoredObject, StoredVersion } from "./stored-version.js"

/** A disk says this about an object. */
export type DriveReport =
  | { readonly kind: "versions"; readonly versions: readonly StoredVersion[] }
  | { readonly kind: "absent" }
  /** It is lost, or cannot be read. */
  | { readonly kind: "unknown"; readonly why: string }

/** The place where one shard of a version is: all that disks do not have in common. */
export interface ShardHolder {
  readonly drive: string
  /** Slots are counted from 0 on. */
  readonly slot: number
  readonly inline: StoredObject["inline"]
  readonly wholeSums: StoredObject["wholeSums"]
}

export type MergedVersion =
  | { readonly kind: "marker"; readonly id: string; readonly modifiedNs: bigint }
  | {
      readonly kind: "object"
      readonly id: string
      readonly modifiedNs: bigint
      readonly stored: StoredObject
      /** At least as many as are needed. */
      readonly holders: readonly ShardHolder[]
    }

interface LostVersion {
  /** Empty: nothing is known of the object but its name. */
  readonly id: string
  readonly modifiedNs: bigint
  readonly why: string
}

export interface MergedObject {
  /** The newest first. */
  readonly versions: readonly MergedVersion[]
  /** Versions that too few of the disks have that are left, with why. */
  readonly lost: readonly LostVersion[]
  /** The number of versions that were never acknowledged, or are deleted. */
  readonly leftovers: number
  /** Disks whose metadata could not be read, with why. */
  readonly damaged: readonly string[]
  /** Disks that lack a version, once for each of `versions`. */
  readonly lacking: readonly Drive[]
}

interface Witness {
  readonly drive: string
  readonly position: number
  readonly version: StoredVersion
}

/** `reports`: one for each disk of the set. */
export function mergeReports(
  set: DriveSet,
  reports: readonly DriveReport[],
  unhealed: ReadonlySet<Drive>,
): MergedObject {
  const groups = new Map<string, Witness[]>()
  for (const [position, report] of reports.entries()) {
    const drive = set[position]
    if (report.kind !== "versions" || drive === undefined) continue
    for (const version of report.versions) {
      const key = `${version.kind} ${version.id} ${version.modifiedNs}`
      const group = groups.get(key) ?? []
      groups.set(key, [...group, { drive, position, version }])
    }
  }
  const versions: MergedVersion[] = []
  const lost: LostVersion[] = []
  const lacking: Drive[] = []
  let leftovers = 0
  for (const group of groups.values()) {
    const [first] = group
    if (first === undefined) continue
    const { id, modifiedNs } = first.version
    const needed = first.version.kind === "object" ? first.version.code.dataShards : Math.ceil(set.length / 2)
    const without = othersThan(group, set, reports)
    const mayHave =
      reports.filter(({ kind }) => kind === "unknown").length + without.filter(each => unhealed.has(each)).length
    if (group.length >= needed) {
      versions.push(mergedOf(group, first))
      lacking.push(...without)
    } else if (group.length + mayHave >= needed) {
      lost.push({ id, modifiedNs, why: `${group.length} of its disks are left, and ${needed} are needed` })
    } else leftovers += 1
  }
  const damaged = reports.flatMap(report => (report.kind === "unknown" && report.why !== "" ? [report.why] : []))
  if (groups.size === 0 && damaged.length > 0) lost.push({ id: "", modifiedNs: 0n, why: damaged.join("; ") })
  return { versions: versions.sort(newestFirst), lost, leftovers, damaged, lacking }
}

/** Disks that can be read, and do not have the version of these. */
const othersThan = (group: readonly Witness[], set: DriveSet, reports: readonly DriveReport[]): readonly Drive[] =>
  set.flatMap((drive, position) => {
    const isWithout = reports[position]?.kind !== "unknown" && !group.some(witness => witness.position === position)
    return drive !== undefined && isWithout ? [drive] : []
  })

export const newestFirst = (a: MergedVersion, b: MergedVersion): number =>
  a.modifiedNs === b.modifiedNs ? (a.id < b.id ? -1 : a.id > b.id ? 1 : 0) : a.modifiedNs < b.modifiedNs ? 1 : -1

function mergedOf(group: readonly Witness[], { version: { id, modifiedNs } }: Witness): MergedVersion {
  const objects = group.flatMap(({ drive, position, version }) =>
    version.kind === "object" ? [{ drive, position, stored: version }] : [],
  )
  const stored = mostAgreed(objects.map(witness => witness.stored))
  if (stored === undefined) return { kind: "marker", id, modifiedNs }
  const holders = objects.flatMap(({ drive, position, stored: { code, dataFolder, inline, wholeSums } }) => {
    const isIts = dataFolder === stored.dataFolder && code.distribution[position] === code.shard
    return isIts ? [{ drive, slot: code.shard - 1, inline, wholeSums }] : []
  })
  return { kind: "object", id, modifiedNs, stored, holders }
}

/** A disk that was away while tags or retention changed has the metadata from before. */
function mostAgreed(objects: readonly StoredObject[]): StoredObject | undefined {
  if (objects.length <= 1) return objects[0]
  const counts = new Map<string, { readonly stored: StoredObject; count: number }>()
  for (const stored of objects) {
    const print = printOf(stored)
    const known = counts.get(print)
    if (known === undefined) counts.set(print, { stored, count: 1 })
    else known.count += 1
  }
  return [...counts.values()].reduce((most, other) => (other.count > most.count ? other : most)).stored
}

/** All that disks have in common. */
function printOf({ dataFolder, code, parts, user, system }: StoredObject): string {
  const { dataShards, parityShards, blockBytes, distribution } = code
  const names = (map: ReadonlyMap<string, string | Uint8Array>): readonly string[] =>
    [...map].map(([name, value]) => `${name}=${typeof value === "string" ? value : hexOf(value)}`).sort()
  return JSON.stringify([
    dataFolder,
    [dataShards, parityShards, blockBytes, distribution],
    parts,
    names(user),
    names(system),
  ])
}
