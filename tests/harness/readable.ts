/** The bytes that anybody who has the disks can read. */
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"

/** Returns no bytes for a file that a running server has removed meanwhile. */
async function bytesOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return Buffer.alloc(0)
    throw error
  }
}

/** The longest text that all marks contain: a file without it has none of them, and is searched once. */
function sharedBy([first = "", ...others]: readonly string[]): string {
  for (let length = first.length; length > 0; length -= 1) {
    for (let start = 0; start + length <= first.length; start += 1) {
      const text = first.slice(start, start + length)
      if (others.every(mark => mark.includes(text))) return text
    }
  }
  return ""
}

/** Which of the marks are in the bytes of the folders, by file. */
export async function readable(
  folders: readonly string[],
  marks: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>()
  const shared = sharedBy(marks)
  for (const folder of folders) {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const bytes = await bytesOf(path)
      if (!bytes.includes(shared)) continue
      const inFile = marks.filter(mark => bytes.includes(mark))
      if (inFile.length > 0) found.set(path, inFile)
    }
  }
  return found
}
