/**
 * The files that the admin port serves: the project's own docs/ folder, and the built web console.
 *
 * Refuses  Names that are not in its own listing, so that no path leads out of the folder.
 */
import { readdir, readFile } from "node:fs/promises"
import { join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import type { StaticFiles } from "@hayloft/admin/index.js"

/** Relative to dist/packages/server/src/. */
const folderOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

class FolderFiles implements StaticFiles {
  constructor(
    private readonly folder: string,
    private readonly shown: RegExp,
  ) {}

  async list(): Promise<readonly string[]> {
    const entries = await readdir(this.folder, { recursive: true, withFileTypes: true }).catch(() => [])
    return entries
      .filter(entry => entry.isFile() && this.shown.test(entry.name))
      .map(entry => relative(this.folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
      .sort()
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return (await this.list()).includes(name) ? readFile(join(this.folder, name)) : undefined
  }
}

export const documents = (): StaticFiles => new FolderFiles(folderOf("../../../../docs"), /\.(md|json)$/)

/** Empty if the console was not built. */
export const consoleFiles = (): StaticFiles => new FolderFiles(folderOf("../../../web"), /\.(html|svg|js|css|gz)$/)
