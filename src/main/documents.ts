/**
 * Serves the project's own docs/ folder on the admin port.
 *
 * Refuses  Names that are not in its own listing, so that no path leads out of the folder.
 */
import { readdir, readFile } from "node:fs/promises"
import { join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import type { Documents } from "../admin/index.js"

const SHOWN = /\.(md|json)$/
/** Relative to dist/src/main/. */
const DOCS_FOLDER = fileURLToPath(new URL("../../../docs", import.meta.url))

export class FolderDocuments implements Documents {
  constructor(private readonly folder: string = DOCS_FOLDER) {}

  async list(): Promise<readonly string[]> {
    const entries = await readdir(this.folder, { recursive: true, withFileTypes: true }).catch(() => [])
    return entries
      .filter(entry => entry.isFile() && SHOWN.test(entry.name))
      .map(entry => relative(this.folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
      .sort()
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return (await this.list()).includes(name) ? readFile(join(this.folder, name)) : undefined
  }
}
