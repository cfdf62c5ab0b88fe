/**
 * Disks of this machine that could become devices: mounted file systems that are empty, by the table of mounts of Linux. On
 * other systems there are none to offer: a person names a folder.
 *
 * Limits  `LOOKED_AT_MAX` file systems, and `TABLE_BYTES_MAX` of the table.
 */
import type { FreeDisk } from "@hayloft/admin/index.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { kernelFile } from "./kernel-file.js"
import { diskOf, disksIn, systemSourceIn, type Mount } from "./mounts-core.js"

const MOUNTS = "/proc/mounts"
const TABLE_BYTES_MAX = 256 * 1024
const LOOKED_AT_MAX = 64
const AT_ONCE = 4
/** File systems make these names themselves. */
const OWN_NAMES = new Set(["lost+found", ".zfs"])

type Reading = Pick<Disk, "open" | "list" | "space">

/** Returns undefined if the file system cannot be read, or has something. */
async function lookedAt(disk: Reading, { source, folder, kind }: Mount, system: string | undefined) {
  try {
    const names = await disk.list(folder)
    if (names.some(name => !OWN_NAMES.has(name))) return undefined
    const { totalBytes, freeBytes, fileSystemId } = await disk.space(folder)
    const isOnSystem = system !== undefined && diskOf(source) === diskOf(system)
    const place = { mount: folder, path: `${folder}/hayloft`, source, fileSystemKind: kind, disk: fileSystemId }
    return { ...place, isOnSystem, totalBytes, freeBytes }
  } catch {
    return undefined
  }
}

/** The largest first, and those of the system disk last. */
export async function freeDisks(disk: Reading): Promise<readonly FreeDisk[]> {
  const table = await kernelFile(disk, MOUNTS, TABLE_BYTES_MAX)
  const mounts = disksIn(table).slice(0, LOOKED_AT_MAX)
  const found = await mapBounded(mounts, AT_ONCE, mount => lookedAt(disk, mount, systemSourceIn(table)))
  return found
    .filter(each => each !== undefined)
    .toSorted((a, b) => Number(a.isOnSystem) - Number(b.isOnSystem) || b.totalBytes - a.totalBytes)
}
