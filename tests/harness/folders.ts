/** Folders for tests, below the system's temporary one, gone when the work is done. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-test-"))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** Names of `count` data folders below one. */
export const dataFolders = (folder: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => join(folder, `disk${index + 1}`))
