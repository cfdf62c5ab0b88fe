/**
 * `hayloft volume rebuild-index FOLDER`: forgets the needle index of a device whose store is stopped. The
 * next start reads all its volumes and makes the index anew; the names, which lie beside it, stay.
 */
import type { CliIo } from "./io.js"
import { answer, type OutputOptions } from "./output.js"
import { withStoppedFolder } from "./stopped-folder.js"

export async function rebuildIndexCommand(io: CliIo, folder: string, options: OutputOptions): Promise<void> {
  const [{ TableStores }, { discardSource }, { VOLUMES_SOURCE }, { foldersOf }] = await Promise.all([
    import("../table/index.js"),
    import("../device/index.js"),
    import("../volume/index.js"),
    import("../node/index.js"),
  ])
  await withStoppedFolder(io, folder, async ({ path, disk, deviceId }) => {
    const host = { disk, deviceId }
    const rows = await discardSource(new TableStores(), foldersOf(path).metadataStore, host, VOLUMES_SOURCE, "needles")
    const text = `forgot ${rows} row${rows === 1 ? "" : "s"} of the index; the next start reads all volumes in ${path} and makes it anew\n`
    await answer(io, options, { folder: path, rows }, text)
  })
}
