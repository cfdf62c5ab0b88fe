/**
 * `hayloft volume rebuild-index FOLDER`: forgets the needle index of a device whose store is stopped. The
 * next start reads all its volumes and makes the index anew; the names, which lie beside it, stay.
 */
import { resolve } from "node:path"
import { fail } from "../../base/failures.js"
import { RealDisk } from "../../seams/disk/index.js"
import { RealLocks } from "../../seams/lock/index.js"
import type { CliIo } from "./io.js"
import { answer, type OutputOptions } from "./output.js"

export async function rebuildIndexCommand(io: CliIo, folder: string, options: OutputOptions): Promise<void> {
  const [{ TableStores }, { discardSource, readSuperblock }, { VOLUMES_SOURCE }, { foldersOf }] = await Promise.all([
    import("../../table/index.js"),
    import("../../device/index.js"),
    import("../../volume/index.js"),
    import("../engine/folders.js"),
  ])
  const path = resolve(io.workingFolder, folder)
  const disk = new RealDisk()
  const superblock = await readSuperblock(disk, path)
  if (superblock === undefined) throw fail("invalidConfig", { message: `${path} is no data folder` })
  const lock = await new RealLocks().take(path)
  try {
    const host = { disk, deviceId: superblock.deviceId }
    const rows = await discardSource(new TableStores(), foldersOf(path).base, host, VOLUMES_SOURCE, "needles")
    const text = `forgot ${rows} row${rows === 1 ? "" : "s"} of the index; the next start reads all volumes in ${path} and makes it anew\n`
    await answer(io, options, { folder: path, rows }, text)
  } finally {
    await lock.release()
  }
}
