/**
 * `hayloft volume rebuild-index FOLDER`: removes the needle index of a device of a stopped store. The next start reads
 * all its volumes and rebuilds the index; the metadata in the same store is unaffected.
 */
import type { KeyOptions } from "./device-cipher.js"
import type { CliIo } from "../io.js"
import { answer, type OutputOptions } from "../output.js"
import { withStoppedFolder } from "./stopped-folder.js"
import { plural } from "../text.js"

export async function rebuildIndexCommand(
  io: CliIo,
  folder: string,
  options: OutputOptions & KeyOptions,
): Promise<void> {
  const [{ TableStores }, { discardIndex, foldersOf }] = await Promise.all([
    import("@hayloft/engine/table/index.js"),
    import("@hayloft/node/index.js"),
  ])
  await withStoppedFolder(io, folder, options, async ({ path, disk, deviceId, cipher }) => {
    const host = { disk, deviceId, cipher }
    const rows = await discardIndex(new TableStores(), foldersOf(path).metadataStore, host)
    const text = `removed ${plural(rows, "row")} of the index; the next start rebuilds it from the volumes in ${path}\n`
    await answer(io, options, { folder: path, rows }, text)
  })
}
