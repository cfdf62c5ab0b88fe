/**
 * The baseline of repair and scrub: copies and reads the same bytes with plain file calls, a MiB at a time.
 */
import { execFile } from "node:child_process"
import { open, readdir, rm, stat, type FileHandle } from "node:fs/promises"
import { join } from "node:path"
import { MIB } from "@hayloft/base/limits.js"

/** The files that hold a device's shards. */
export async function volumesOf(folder: string): Promise<string[]> {
  const names = await readdir(join(folder, "volumes"))
  return names.filter(name => name.endsWith(".volume")).map(name => join(folder, "volumes", name))
}

/** Compaction may remove a file at any time; a removed file counts 0 bytes. */
async function unlessGone<T>(use: Promise<T>): Promise<T | undefined> {
  try {
    return await use
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw error
  }
}

export async function bytesOfFiles(paths: readonly string[]): Promise<number> {
  let sum = 0
  for (const path of paths) sum += (await unlessGone(stat(path)))?.size ?? 0
  return sum
}

/** Calls `use` with each piece of the file; a piece is valid until the next call. */
async function eachPiece(path: string, use: (piece: Uint8Array) => Promise<boolean>): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(MIB)
  const file = await unlessGone(open(path, "r"))
  if (file === undefined) return
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length)
      if (bytesRead === 0 || !(await use(buffer.subarray(0, bytesRead)))) return
    }
  } finally {
    await file.close()
  }
}

/** Reads the files from end to end, one after the other; resolves with the bytes. */
export async function plainRead(paths: readonly string[]): Promise<number> {
  let bytes = 0
  for (const path of paths) {
    await eachPiece(path, async piece => {
      bytes += piece.length
      return true
    })
  }
  return bytes
}

/**
 * Copies this many bytes of the files into a new one, and syncs it; writes one of every `readPerWritten` bytes that
 * it reads. Resolves with the number of bytes written.
 */
export async function plainCopy(
  paths: readonly string[],
  to: string,
  { bytes, readPerWritten }: { readonly bytes: number; readonly readPerWritten: number },
): Promise<number> {
  let [copied, pieces] = [0, 0]
  let target: FileHandle | undefined
  try {
    target = await open(to, "wx")
    const file = target
    for (const path of paths) {
      await eachPiece(path, async piece => {
        pieces += 1
        if (pieces % readPerWritten !== 0) return true
        const some = piece.subarray(0, bytes - copied)
        await file.write(some, 0, some.length)
        copied += some.length
        return copied < bytes
      })
      if (copied === bytes) break
    }
    await file.datasync()
    return copied
  } finally {
    await target?.close()
    await rm(to, { force: true })
  }
}

/** Drops the files from the page cache, so that the disk has to read them; false where `dd` cannot. */
export async function dropFromCache(paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    const dropped = await new Promise<boolean>(resolve => {
      execFile("dd", [`if=${path}`, "iflag=nocache", "count=0"], error => resolve(error === null))
    })
    if (!dropped) return false
  }
  return true
}
