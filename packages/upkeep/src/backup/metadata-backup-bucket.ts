/** The snapshots of the metadata in the system bucket: their names, and those that are there. */
import { objectKeyOfText, type ObjectKey } from "@hayloft/base/ids.js"
import { parseObjectRowKey, prefixRange } from "@hayloft/engine/format/row-key.js"
import { decodeVersionHead } from "@hayloft/engine/format/objects/version-record.js"
import type { RowView } from "@hayloft/engine/metadata/index.js"
import { SYSTEM_BUCKET_ID } from "@hayloft/objects/index.js"

const PREFIX = "metadata/"
const CHUNK_KEY = /^(metadata\/\d{16}-\d{10})\/(\d{8})(\.last)?$/

const ORDER_DIGITS = 16

/** The name of a snapshot: its order, and the process incarnation that writes it. Sorts by order. */
export const snapshotName = (order: number, incarnation: number): string =>
  `${PREFIX}${String(order).padStart(ORDER_DIGITS, "0")}-${String(incarnation).padStart(10, "0")}`

/**
 * The order of a snapshot that starts now: its position, or one above that of the newest complete one, if that is more.
 * Positions of several processes do not show which of their snapshots is newer.
 */
export const nextOrder = (newest: StoredSnapshot | undefined, position: number): number =>
  Math.max(position, newest === undefined ? 0 : orderOf(newest.name) + 1)

const orderOf = (name: string): number => Number(name.slice(PREFIX.length, PREFIX.length + ORDER_DIGITS))

export const chunkKey = (snapshot: string, number: number, isLast: boolean): ObjectKey =>
  objectKeyOfText(`${snapshot}/${String(number).padStart(8, "0")}${isLast ? ".last" : ""}`)

/** The snapshot and number of a chunk in the system bucket; undefined for other keys. */
export function chunkOfKey(
  key: ObjectKey,
): { readonly snapshot: string; readonly number: number; readonly isLast: boolean } | undefined {
  const [, snapshot, number, last] = CHUNK_KEY.exec(key) ?? []
  return snapshot === undefined ? undefined : { snapshot, number: Number(number), isLast: last !== undefined }
}

/** A snapshot as the rows of its chunks describe it. */
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
      // Keys are in order: the snapshot is complete if as many chunks precede the last one as its number states.
      isComplete: isLast && before.keys.length === number + 1,
      sizeBytes: before.sizeBytes + sizeBytes,
      modifiedMs: Math.max(before.modifiedMs, modifiedMs),
    })
  }
  return [...byName.values()]
}

/** All snapshots except the newest complete ones and the one being written. */
export function outdatedSnapshots(
  snapshots: readonly StoredSnapshot[],
  kept: number,
  writing: string | undefined,
): readonly StoredSnapshot[] {
  const newest = snapshots.filter(({ isComplete }) => isComplete).slice(-kept)
  return snapshots.filter(snapshot => !newest.includes(snapshot) && snapshot.name !== writing)
}
