/**
 * Buckets with object lock of a stopped store, as its metadata stores on disk tell: a command that gives data up has to
 * name them.
 *
 * Leaves out   What only commit logs contain: nothing after an orderly stop. What no metadata store tells: those of a
 *              store whose metadata is in a database, and rows that cannot be read.
 */
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf, type DeviceId } from "@hayloft/base/ids.js"
import { decodeBucket } from "@hayloft/engine/format/records.js"
import { STORE_PREFIX_BYTES } from "@hayloft/engine/format/device/replica-incarnation.js"
import { bucketIdOfRowKey, bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeStoredRow } from "@hayloft/engine/format/tables/stored-row.js"
import type { LockedBucket } from "@hayloft/objects/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { StoreReader, Stores } from "@hayloft/base/seams/store/contract.js"

export interface MetadataFolder {
  readonly metadataStore: string
  readonly deviceId: DeviceId
  readonly cipher: DeviceCipher | undefined
}

const EVERYTHING = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(16)) }

/** In the order of their names. */
export async function lockedBucketsIn(
  stores: Stores,
  disk: Disk,
  folders: readonly MetadataFolder[],
): Promise<readonly LockedBucket[]> {
  const found = new Map<string, LockedBucket>()
  for (const { metadataStore, deviceId, cipher } of folders) {
    if (!(await disk.exists(metadataStore))) continue
    try {
      const store = await stores.openReader(metadataStore, { disk, deviceId, cipher, isReadOnly: true })
      try {
        for (const bucket of lockedIn(store)) found.set(bucket.name, bucket)
      } finally {
        await store.close()
      }
    } catch (error) {
      // Another folder may tell, and the plan says what becomes unreadable. Without a key none tells.
      if (!isFailure(error) || isFailure(error, "wrongMasterKey")) throw error
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function* lockedIn(store: StoreReader): Generator<LockedBucket> {
  for (const [key, stored] of store.range("buckets", EVERYTHING)) {
    const rowKey = rowKeyOf(key.slice(STORE_PREFIX_BYTES))
    // The row of the last assigned id.
    if (bucketIdOfRowKey(rowKey) === 0 || rowKey !== bucketRowKey(bucketIdOfRowKey(rowKey))) continue
    const { id, name, policy, lock } = decodeBucket(decodeStoredRow("buckets", key, stored).value)
    if (lock !== undefined) yield { id, name, policy }
  }
}
