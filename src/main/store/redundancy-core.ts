/** What a store may lose, in plain and true words. Pure. */
import { textOfPolicy, tolerance, type Policy } from "../../base/policy.js"

export interface DeviceOnDisk {
  readonly path: string
  /** Equal for folders on one file system: they count as one disk. */
  readonly fileSystemId: string
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/** "any 3 of 7 disks may fail", or what folders on one disk really protect against. */
export function redundancyInWords(policy: Policy, metaCopies: number, devices: readonly DeviceOnDisk[]): string {
  const lost = Math.min(tolerance(policy), metaCopies - 1)
  const disks = new Set(devices.map(device => device.fileSystemId)).size
  const shape = textOfPolicy(policy)
  if (lost === 0) {
    return `${shape} in ${plural(devices.length, "folder")} on ${plural(disks, "disk")}: no disk may fail; a lost disk loses objects`
  }
  if (disks === devices.length) return `${shape}: any ${lost} of ${disks} disks may fail without loss`
  const perDisk = Math.max(...foldersPerDisk(devices))
  const protects = disks === 1 ? 0 : Math.floor(lost / perDisk)
  const against =
    protects > 0
      ? `any ${protects} of ${disks} disks may fail without loss`
      : "protects against bit rot and deleted folders, not against the disk"
  return `${shape} in ${plural(devices.length, "folder")} on ${plural(disks, "disk")}: ${against}`
}

function foldersPerDisk(devices: readonly DeviceOnDisk[]): number[] {
  const counts = new Map<string, number>()
  for (const { fileSystemId } of devices) counts.set(fileSystemId, (counts.get(fileSystemId) ?? 0) + 1)
  return [...counts.values()]
}
