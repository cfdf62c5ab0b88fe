/** Folders for tests below the system's temporary folder, removed when the work is done. */
import { existsSync, statfsSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { freemem, tmpdir } from "node:os"
import { join } from "node:path"
import { after, before } from "node:test"

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

const newFolder = (parent: string): Promise<string> => mkdtemp(join(parent, "hayloft-test-"))

const removeFolder = (folder: string): Promise<void> =>
  rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })

export async function withFolder<T>(work: (folder: string) => Promise<T>, parent = tmpdir()): Promise<T> {
  const folder = await newFolder(parent)
  try {
    return await work(folder)
  } finally {
    await removeFolder(folder)
  }
}

/** A folder for all tests of a file, in memory if possible: they are about servers, not about disks. Before them `begin` starts what they use, and returns how to stop it after them. */
export function forTestsOfFile(begin: (folder: string) => Promise<() => Promise<unknown>>): void {
  let folder: string | undefined
  let stop: (() => Promise<unknown>) | undefined
  before(async () => {
    folder = await newFolder(quietParent())
    stop = await begin(folder)
  })
  after(async () => {
    await stop?.()
    if (folder !== undefined) await removeFolder(folder)
  })
}

/** Returns the names of `count` data folders below a folder. */
export const dataFolders = (folder: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => join(folder, `disk${index + 1}`))
