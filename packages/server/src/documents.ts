/**
 * The files that the admin port serves: the project's own docs/ folder, and the built web console.
 *
 * Refuses  Names that are not in its own listing, so that no path leads out of the folder.
 */
import type { StaticFiles } from "@hayloft/admin/index.js"
import { programFiles, readProgramFile } from "@hayloft/cli/program-files.js"

class FolderFiles implements StaticFiles {
  constructor(
    private readonly folder: "docs" | "web",
    private readonly shown: RegExp,
  ) {}

  async list(): Promise<readonly string[]> {
    const names = await programFiles(this.folder)
    return names.filter(name => this.shown.test(name)).sort()
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return (await this.list()).includes(name) ? readProgramFile(this.folder, name) : undefined
  }
}

export const documents = (): StaticFiles => new FolderFiles("docs", /\.(md|json)$/)

/** Empty if the console was not built. */
export const consoleFiles = (): StaticFiles => new FolderFiles("web", /\.(html|svg|js|css|gz)$/)
