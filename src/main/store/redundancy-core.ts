/** What a store may lose, in plain and true words. Pure. */
import { textOfPolicy, tolerance, type Policy } from "../../base/policy.js"

export interface DeviceOnDisk {
  readonly path: string
  /** Equal for folders on one file system: they count as one disk. */
  readonly fileSystemId: string
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/**
 * "any 3 of 7 disks may fail", or what folders on one disk really protect against.
 * `members` hold the names; `missing` devices are gone already.
 */
export function redundancyInWords(
  policy: Policy,
  members: number,
  devices: readonly DeviceOnDisk[],
  missing: number,
): string {
  const survives = Math.max(0, Math.min(tolerance(policy) - missing, members - 1))
  // A store opens with more than half of its devices; giving the others up by word comes later.
  const lost = Math.min(survives, Math.ceil((devices.length + missing) / 2) - 1 - missing)
  const disks = new Set(devices.map(device => device.fileSystemId)).size
  const gone = missing > 0 ? `; ${plural(missing, "device")} missing` : ""
  const where = `${textOfPolicy(policy)} in ${plural(devices.length, "folder")} on ${plural(disks, "disk")}${gone}`
  if (lost <= 0 && survives > 0) {
    return `${where}: the bytes survive ${plural(survives, "lost disk")}, but the store does not open without more than half of its folders`
  }
  if (lost <= 0) return `${where}: no ${missing > 0 ? "further " : ""}disk may fail; a lost disk loses objects`
  const protects = Math.floor(lost / Math.max(...foldersPerDisk(devices)))
  if (protects > 0 && disks > 1) return `${where}: any ${protects} of them may fail without loss`
  return `${where}: protects against bit rot and ${plural(lost, "deleted folder")}, not against the disk`
}

function foldersPerDisk(devices: readonly DeviceOnDisk[]): number[] {
  const counts = new Map<string, number>()
  for (const { fileSystemId } of devices) counts.set(fileSystemId, (counts.get(fileSystemId) ?? 0) + 1)
  return [...counts.values()]
}
