/**
 * The system bucket: what the store keeps for itself as objects, and where the snapshots of the metadata
 * lie in it.
 *
 * It has a row in `buckets`, so that its objects are written, judged, repaired, coded anew and released
 * like all others; no name leads to it, no account owns it, and no id that is ever given out is its.
 */
import type { BucketId, ObjectKey } from "../../base/ids.js"
import { objectKeyOfText, parseAccountId, parseBucketId, parseBucketName } from "../../base/ids.js"
import { encodeBucket } from "../../format/records.js"
import { bucketRowKey, parseObjectRowKey, prefixRange } from "../../format/row-key.js"
import { decodeVersionHead } from "../../format/version-record.js"
import { command, type RowView } from "../../metadata/index.js"
import type { Bucket } from "../contract.js"

/** The highest possible; those given out begin with 1. Needles carry it: never change it. */
export const SYSTEM_BUCKET_ID: BucketId = parseBucketId(Number.MAX_SAFE_INTEGER)

export const SYSTEM_BUCKET: Bucket = {
  id: SYSTEM_BUCKET_ID,
  name: parseBucketName("hayloft.system"),
  owner: parseAccountId("hayloft.system"),
  createdMs: 0,
  location: "",
  versioning: "never",
  settings: [],
  settingsVersion: 1,
}

/** Gives the system bucket its row, where it has none yet. */
export const ensureSystemBucket = command<[], void>({
  name: "EnsureSystemBucket",
  touches: () => [["buckets", bucketRowKey(SYSTEM_BUCKET_ID)]],
  decide(view) {
    const rowKey = bucketRowKey(SYSTEM_BUCKET_ID)
    if (view.get("buckets", rowKey)) return { writes: [], result: undefined }
    const value = encodeBucket({ ...SYSTEM_BUCKET, state: "open" })
    return { writes: [{ family: "buckets", key: rowKey, value }], result: undefined }
  },
})

const PREFIX = "metadata/"
const CHUNK_KEY = /^(metadata\/\d{16}-\d{10})\/(\d{8})(\.last)?$/

/** The name of a snapshot: the position and the life in which it began. In the order of their beginnings. */
export const snapshotName = (fromPosition: number, incarnation: number): string =>
  `${PREFIX}${String(fromPosition).padStart(16, "0")}-${String(incarnation).padStart(10, "0")}`

export const chunkKey = (snapshot: string, number: number, isLast: boolean): ObjectKey =>
  objectKeyOfText(`${snapshot}/${String(number).padStart(8, "0")}${isLast ? ".last" : ""}`)

/** Which chunk of which snapshot an object of the system bucket is; undefined: none. */
export function chunkOfKey(
  key: ObjectKey,
): { readonly snapshot: string; readonly number: number; readonly isLast: boolean } | undefined {
  const [, snapshot, number, last] = CHUNK_KEY.exec(key) ?? []
  return snapshot === undefined ? undefined : { snapshot, number: Number(number), isLast: last !== undefined }
}

/** A snapshot as its chunks' rows tell of it. */
export interface StoredSnapshot {
  readonly name: string
  readonly keys: readonly ObjectKey[]
  readonly isComplete: boolean
  readonly sizeBytes: number
  /** When its latest chunk was written. */
  readonly modifiedMs: number
}

/** Oldest first. */
export function storedSnapshots(view: RowView): readonly StoredSnapshot[] {
  const byName = new Map<string, StoredSnapshot & { keys: ObjectKey[] }>()
  for (const [rowKey, row] of view.range("current", prefixRange(SYSTEM_BUCKET_ID, PREFIX))) {
    const { key } = parseObjectRowKey(rowKey)
    const chunk = chunkOfKey(key)
    if (chunk === undefined) continue
    const { snapshot: name, number, isLast } = chunk
    const { sizeBytes, modifiedMs } = decodeVersionHead(row.value)
    const before = byName.get(name) ?? { name, keys: [], isComplete: false, sizeBytes: 0, modifiedMs: 0 }
    before.keys.push(key)
    byName.set(name, {
      ...before,
      // Keys come in order: the last is complete with as many before it as its number says.
      isComplete: isLast && before.keys.length === number + 1,
      sizeBytes: before.sizeBytes + sizeBytes,
      modifiedMs: Math.max(before.modifiedMs, modifiedMs),
    })
  }
  return [...byName.values()]
}

/** All but the newest complete ones, and but the one being written. */
export function outdatedSnapshots(
  snapshots: readonly StoredSnapshot[],
  kept: number,
  writing: string | undefined,
): readonly StoredSnapshot[] {
  const newest = snapshots.filter(({ isComplete }) => isComplete).slice(-kept)
  return snapshots.filter(snapshot => !newest.includes(snapshot) && snapshot.name !== writing)
}
