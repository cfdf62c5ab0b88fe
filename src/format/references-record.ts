/**
 * References to segments (family `references`): how many segments of other objects have these bytes too, see decision 82.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { fail } from "../base/failures.js"
import { numberOfClass, STORAGE_CLASSES, type StorageClass } from "../base/storage-class.js"
import { packRecord, pick, RecordReader } from "./pack.js"
import { withoutTail } from "./records.js"

/** How many segments of other objects reference segments (family `references`). */
export interface ReferencesRecord {
  readonly count: number
  /** No version of the key has them any more: they are deleted with the last reference. */
  readonly isReleased: boolean
  /**
   * The class of the first object that referenced the segments, and their own class at that time: its redundancy stays.
   */
  readonly storageClass: StorageClass
  /** Deduplication adds no references: the segments are being deleted, have lost bytes, or were encrypted or moved. */
  readonly isClosed?: true
  /** How often the record has changed: one that is the same as before was not changed and changed back. Absent: never counted. */
  readonly changes?: number
  /** The segments are a pack: no object was ever theirs, and those that were packed reference them. */
  readonly pack?: PackFacts
}

/** The facts about a pack when it was made. */
interface PackFacts {
  readonly objects: number
  /** Bytes of these objects: what is between and behind them does not count. */
  readonly bytes: number
}

/** Earlier releases refuse a state that they do not know, and packs. */
export function encodeReferences({ count, isReleased, storageClass, ...more }: ReferencesRecord): Uint8Array {
  const { isClosed, changes, pack } = more
  const members = [count, isReleased ? 1 : 0, numberOfClass(storageClass)]
  const packed = pack && [pack.objects, pack.bytes]
  const format = pack !== undefined ? PACK_FORMAT : isClosed ? 2 : 1
  return packRecord(format, [...members, ...withoutTail([isClosed && 1, changes, packed])])
}

const PACK_FORMAT = 3

export function decodeReferences(bytes: Uint8Array): ReferencesRecord {
  const row = RecordReader.open("references", bytes, PACK_FORMAT)
  const [count, isReleased] = [row.number(), row.number() === 1]
  const references = { count, isReleased, storageClass: pick(STORAGE_CLASSES, row.number(), "storage class") }
  const state = row.optional(() => row.number())
  const changes = row.optional(() => row.number())
  const pack = row.optional(() => readPackFacts(row.row()))
  const isState = row.format === PACK_FORMAT ? (state ?? 1) === 1 : state === (row.format === 2 ? 1 : undefined)
  if (!isState || (pack === undefined) !== (row.format !== PACK_FORMAT))
    throw fail("corruptRecord", { what: "references", field: "state" })
  const counted = { ...(state === 1 && { isClosed: true as const }), ...(changes !== undefined && { changes }) }
  return { ...references, ...counted, ...(pack && { pack }) }
}

const readPackFacts = (row: RecordReader): PackFacts => ({ objects: row.number(), bytes: row.number() })

/** The record after another change. */
export const changedReferences = (before: ReferencesRecord, change: Partial<ReferencesRecord>): ReferencesRecord => ({
  ...{ ...before, ...change },
  changes: (before.changes ?? 0) + 1,
})
