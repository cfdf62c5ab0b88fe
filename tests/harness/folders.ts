/** Folders for tests below the system's temporary folder, removed when the work is done. */
import { existsSync, statfsSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { freemem, tmpdir } from "node:os"
import { join } from "node:path"

const MEMORY = "/dev/shm"
const MEMORY_BYTES_LEAST = 8 * 1024 ** 3

/**
 * In memory if there is enough of it: a store treats a disk that other processes keep busy for seconds as hung, and
 * all its folders are on it.
 */
export function quietParent(): string {
  if (freemem() < MEMORY_BYTES_LEAST || !existsSync(MEMORY)) return tmpdir()
  const { bavail, bsize } = statfsSync(MEMORY)
  return bavail * bsize < MEMORY_BYTES_LEAST ? tmpdir() : MEMORY
}

export async function withFolder<T>(work: (folder: string) => Promise<T>, parent = tmpdir()): Promise<T> {
  const folder = await mkdtemp(join(parent, "hayloft-test-"))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** Returns the names of `count` data folders below a folder. */
export const dataFolders = (folder: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => join(folder, `disk${index + 1}`))
