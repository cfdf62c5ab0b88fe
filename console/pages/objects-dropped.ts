/**
 * The files of what was dropped or chosen, with their paths below it: folders are walked through.
 *
 * Limits  `FILES_MAX` at once: what a browser can show and keep.
 */
import { ApiError } from "../api/client.js"
import { countText } from "../parts/format.js"

export const FILES_MAX = 5_000

export interface NamedFile {
  /** Without a slash at its beginning. */
  readonly path: string
  readonly file: File
}

const tooMany = (): ApiError =>
  new ApiError(0, "tooMuch", `These are more than ${countText(FILES_MAX)} files: upload fewer, or use an S3 client.`)

const fileOf = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject))

/** A reader gives a folder's entries in pieces, the last one empty. */
const pieceOf = (reader: FileSystemDirectoryReader): Promise<readonly FileSystemEntry[]> =>
  new Promise((resolve, reject) => reader.readEntries(resolve, reject))

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile
const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory

async function collect(entry: FileSystemEntry, found: NamedFile[]): Promise<void> {
  if (isFile(entry)) {
    if (found.length >= FILES_MAX) throw tooMany()
    found.push({ path: entry.fullPath.replace(/^\//, ""), file: await fileOf(entry) })
  } else if (isFolder(entry)) {
    const reader = entry.createReader()
    for (let piece = await pieceOf(reader); piece.length > 0; piece = await pieceOf(reader))
      for (const inner of piece) await collect(inner, found)
  }
}

/** Call it while the drop is handled: the browser takes its list away then. Throws an `ApiError`. */
export async function filesOfDrop({ items }: DataTransfer): Promise<readonly NamedFile[]> {
  const dropped = [...items].map(item => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }))
  const found: NamedFile[] = []
  for (const { entry, file } of dropped) {
    if (entry !== null) await collect(entry, found)
    else if (file !== null) found.push({ path: file.name, file })
  }
  return found
}

/** The files that a field has chosen. Throws an `ApiError`. */
export function filesOfField(files: FileList | null): readonly NamedFile[] {
  const found = [...(files ?? [])].map(file => ({ path: file.webkitRelativePath || file.name, file }))
  if (found.length > FILES_MAX) throw tooMany()
  return found
}
