/**
 * Folders of this machine as trees of files: listed in the order of keys, and written so that nothing leaves the folder.
 *
 * Order     of the UTF-8 bytes of the whole path, as stores list keys. Memory holds the names of one folder at each depth.
 * Links     to a file count as that file; links to a folder are not followed. Nothing is written through a link below
 *           the target folder.
 */
import { lstat, mkdir, readdir, rmdir, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import { CliError, messageOf } from "../exit-codes.js"
import { printable } from "../text.js"

interface LocalFile {
  /** Below the root, with "/" between names. */
  readonly name: string
  readonly sizeBytes: number
  /** Rounded, since file systems keep fractions of milliseconds that a store does not. */
  readonly modifiedMs: number
}

export interface TreeReports {
  /** Reports a path that should be a file or a folder and cannot be read. */
  problem(message: string): void
  /** Reports a path that is not a file, and was left out. */
  note(message: string): void
}

/** Compares as stores order keys: by UTF-8 bytes. */
export const compareNames = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** The files below a folder. */
export async function* filesBelow(root: string, reports: TreeReports, path = ""): AsyncGenerator<LocalFile> {
  const entries = await readdir(join(root, path), { withFileTypes: true }).catch((error: unknown) => {
    if (path === "") throw error
    reports.problem(messageOf(error))
    return []
  })
  // A folder's own name ends with "/" in the paths below it.
  const sorted = entries.map(entry => ({ entry, order: entry.isDirectory() ? `${entry.name}/` : entry.name }))
  sorted.sort((a, b) => compareNames(a.order, b.order))
  for (const { entry } of sorted) {
    const name = path === "" ? entry.name : `${path}/${entry.name}`
    if (entry.name.includes("\ufffd")) reports.problem(`${printable(join(root, name))}: its name is not UTF-8`)
    else if (entry.isDirectory()) yield* filesBelow(root, reports, name)
    else {
      const file = await fileAt(root, name, reports)
      if (file !== undefined) yield file
    }
  }
}

async function fileAt(root: string, name: string, reports: TreeReports): Promise<LocalFile | undefined> {
  try {
    const found = await stat(join(root, name))
    if (found.isFile()) return { name, sizeBytes: found.size, modifiedMs: Math.round(found.mtimeMs) }
    const what = found.isDirectory() ? "a link to a folder is not followed" : "it is not a file"
    reports.note(`${printable(join(root, name))}: left out, ${what}`)
  } catch (error) {
    reports.problem(messageOf(error))
  }
  return undefined
}

/** Creates the folders that a file below `root` needs. Throws if one of them is a link or a file, or the file a folder. */
export async function makeFoldersFor(root: string, name: string): Promise<void> {
  await mkdir(root, { recursive: true })
  const pieces = name.split("/")
  let at = root
  for (const [depth, piece] of pieces.entries()) {
    at = join(at, piece)
    const found = await lstat(at).catch(() => undefined)
    const isLast = depth === pieces.length - 1
    if (isLast && found?.isDirectory() === true) throw refusal(root, name, `${at} is a folder`)
    if (isLast) return
    if (found === undefined) await mkdir(at, { recursive: true })
    else if (found.isSymbolicLink()) throw refusal(root, name, `${at} is a link, which may lead outside of the folder`)
    else if (!found.isDirectory()) throw refusal(root, name, `${at} is a file, and a folder is needed`)
  }
}

const refusal = (root: string, name: string, why: string): CliError =>
  new CliError("failed", `${printable(join(root, name))}: not copied, ${printable(why)}`)

/** Removes the folders above a removed file that are empty now, up to `root`. */
export async function removeEmptyFolders(root: string, name: string): Promise<void> {
  for (let path = dirname(name); path !== "."; path = dirname(path)) {
    const isRemoved = await rmdir(join(root, path)).then(
      () => true,
      () => false,
    )
    if (!isRemoved) return
  }
}
