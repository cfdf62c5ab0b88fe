/**
 * Folders as buckets: scripts of MinIO make a bucket by `mkdir -p /data/BUCKET` before they start the server.
 *
 * Promises  Only empty folders with names of buckets are taken, and only where no other file is beside them, or in the data folder
 *           of a store. They are removed, because the bucket takes their place, and are made again if the store does not start.
 */
import { existsSync } from "node:fs"
import { mkdir, readdir, rmdir } from "node:fs/promises"
import { join } from "node:path"
import { parseNewBucketName } from "@hayloft/base/ids.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { isDeviceName, SUPERBLOCK_NAME } from "@hayloft/engine/device/index.js"
import type { ProvidedBucket } from "@hayloft/node/config/index.js"

interface BucketFolders {
  readonly buckets: readonly ProvidedBucket[]
  /** The folders are there again. */
  restore(): Promise<void>
}

/** Takes the folders away that stand for buckets. */
export async function takeBucketFolders(dataFolders: readonly string[]): Promise<BucketFolders> {
  const found = await mapBounded(dataFolders, DEVICES_MAX, foldersIn)
  const taken: string[] = []
  const names = new Set<string>()
  for (const { folder, name } of found.flat()) {
    const path = join(folder, name)
    const isRemoved = await rmdir(path).then(
      () => true,
      () => false,
    )
    if (!isRemoved) continue
    taken.push(path)
    names.add(name)
  }
  return {
    buckets: [...names].map(name => ({ name: parseNewBucketName(name), access: undefined })),
    restore: async () => void (await mapBounded(taken, DEVICES_MAX, path => mkdir(path, { recursive: true }))),
  }
}

async function foldersIn(folder: string): Promise<readonly { readonly folder: string; readonly name: string }[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const others = entries.filter(({ name }) => !isDeviceName(name))
  const mayBeBuckets = await mapBounded(others, DEVICES_MAX, async entry => {
    if (!entry.isDirectory() || !isBucketName(entry.name)) return false
    return (await readdir(join(folder, entry.name)).catch(() => [""])).length === 0
  })
  // Files of something else: the start refuses the folder, and nothing in it may change.
  const isForeign = mayBeBuckets.includes(false) && !existsSync(join(folder, SUPERBLOCK_NAME))
  return isForeign ? [] : others.filter((_, at) => mayBeBuckets[at]).map(({ name }) => ({ folder, name }))
}

function isBucketName(name: string): boolean {
  try {
    return parseNewBucketName(name) === name
  } catch {
    return false
  }
}
