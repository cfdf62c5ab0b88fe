/**
 * Disks of this machine that could become devices: mounted file systems that are empty, by the table of mounts of Linux. On
 * other systems there are none to offer: a person names a folder.
 *
 * Limits  `LOOKED_AT_MAX` file systems, and a few names in each.
 */
import { opendir, readFile, stat, statfs } from "node:fs/promises"
import type { FreeDisk } from "@hayloft/admin/index.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { diskOf, disksIn, systemSourceIn, type Mount } from "./mounts-core.js"

const MOUNTS = "/proc/mounts"
const LOOKED_AT_MAX = 64
const AT_ONCE = 4
/** File systems make them. */
const OWN_NAMES = new Set(["lost+found", ".Trash-0", ".zfs", "System Volume Information"])

/** It ends at the first name that is not of the file system itself. */
async function isEmpty(folder: string): Promise<boolean> {
  for await (const { name } of await opendir(folder)) if (!OWN_NAMES.has(name)) return false
  return true
}

/** Returns undefined if the file system cannot be read, or has something. */
async function lookedAt({ source, folder, kind }: Mount, system: string | undefined): Promise<FreeDisk | undefined> {
  try {
    if (!(await isEmpty(folder))) return undefined
    const [{ dev }, { bsize, blocks, bavail }] = [await stat(folder), await statfs(folder)]
    const isOnSystem = system !== undefined && diskOf(source) === diskOf(system)
    const sizes = { totalBytes: bsize * blocks, freeBytes: bsize * bavail }
    return {
      mount: folder,
      path: `${folder}/hayloft`,
      source,
      fileSystemKind: kind,
      disk: String(dev),
      isOnSystem,
      ...sizes,
    }
  } catch {
    return undefined
  }
}

/** The largest first, and those of the system disk last. */
export async function freeDisks(): Promise<readonly FreeDisk[]> {
  const table = await readFile(MOUNTS, "utf8").catch(() => "")
  const mounts = disksIn(table).slice(0, LOOKED_AT_MAX)
  const found = await mapBounded(mounts, AT_ONCE, mount => lookedAt(mount, systemSourceIn(table)))
  return found
    .filter(disk => disk !== undefined)
    .toSorted((a, b) => Number(a.isOnSystem) - Number(b.isOnSystem) || b.totalBytes - a.totalBytes)
}
