/** Folders for tests, below the system's temporary one, gone when the work is done. */
import { existsSync, statfsSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { freemem, tmpdir } from "node:os"
import { join } from "node:path"

const MEMORY = "/dev/shm"
const MEMORY_BYTES_LEAST = 8 * 1024 ** 3

/**
 * In memory, where there is plenty: a disk that others keep busy for seconds is, to a store all of whose
 * folders lie on it, one that does not answer.
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

/** Names of `count` data folders below one. */
export const dataFolders = (folder: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => join(folder, `disk${index + 1}`))
