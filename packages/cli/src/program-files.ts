/**
 * Files that come with the program: beside its code, or within the executable (tools/executables.mjs), which is a program
 * without any file of its own.
 */
import { readFileSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"

/** Folders of such files, relative to dist/packages/cli/src/. */
const FOLDERS = { docs: "../../../../docs", web: "../../../web" } as const

/** Node before 20.16 does not have it, and can be no executable. */
const sea = "getBuiltinModule" in process ? process.getBuiltinModule("node:sea") : undefined
/** The names of all files within the executable. */
const NAMES = "files.json"

export const isExecutable = (): boolean => sea?.isSea() === true

/** The text of package.json. */
export const packageDescription = (): string =>
  sea?.isSea() === true
    ? sea.getAsset("package.json", "utf8")
    : readFileSync(new URL("../../../../package.json", import.meta.url), "utf8")

/** The paths of the files of a folder, within it, with slashes; none if the folder does not exist. */
export async function programFiles(folder: keyof typeof FOLDERS): Promise<readonly string[]> {
  if (sea?.isSea() === true) {
    const prefix = `${folder}/`
    const names: unknown = JSON.parse(sea.getAsset(NAMES, "utf8"))
    if (!Array.isArray(names)) return []
    return names.flatMap((name: unknown) =>
      typeof name === "string" && name.startsWith(prefix) ? [name.slice(prefix.length)] : [],
    )
  }
  const path = pathOf(folder)
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter(entry => entry.isFile())
    .map(entry => relative(path, join(entry.parentPath, entry.name)).split(sep).join("/"))
}

/** Reads one of the listed files. */
export async function readProgramFile(folder: keyof typeof FOLDERS, name: string): Promise<Uint8Array> {
  if (sea?.isSea() === true) return new Uint8Array(sea.getAsset(`${folder}/${name}`))
  return readFile(join(pathOf(folder), name))
}

const pathOf = (folder: keyof typeof FOLDERS): string => fileURLToPath(new URL(FOLDERS[folder], import.meta.url))
