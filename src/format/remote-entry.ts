/**
 * Remote entries: what the store knows of an object of a remote bucket, as the body of an object of the system bucket. The bytes of
 * the object are cached in blocks, which are further objects there.
 *
 * MessagePack, positional: format (1), id of the entry, kind (0: changing, 1: cached, 2: changed). Of a cached object then its size, the bytes of
 * a block, ETag, whether that is the MD5 of the bytes (0, 1), time of modification, time of the last comparison, content headers and
 * user metadata. Both are lists of texts: name, value, name, value …
 */
import { fail } from "../base/failures.js"
import { packRecord, RecordReader } from "./pack.js"

type Pairs = readonly (readonly [name: string, value: string])[]

/**
 * Changing: a write of the object is under way, or was when its process died or the remote did not say how it ended: what a reader
 * gets meanwhile must not be cached. Changed: it is over, and nothing is cached yet.
 */
interface ChangingEntry {
  readonly kind: "changing" | "changed"
  /** Random, so that no two entries have the same bytes. */
  readonly id: string
}

export interface CachedEntry {
  readonly kind: "cached"
  /** Random; names of blocks begin with it. */
  readonly id: string
  readonly sizeBytes: number
  /** The bytes of each block but the last one. */
  readonly blockBytes: number
  /** As the remote shows it, without quotes; "" if it shows none. */
  readonly etag: string
  readonly etagIsMd5: boolean
  readonly lastModifiedMs: number
  /** When the remote said last that the object is still this one. */
  readonly checkedMs: number
  readonly headers: Pairs
  readonly userMetadata: Pairs
}

export type RemoteEntry = ChangingEntry | CachedEntry

const FORMAT = 1
const [CHANGING, CACHED, CHANGED] = [0, 1, 2]

function pairsOf(row: RecordReader): Pairs {
  const texts = row.texts()
  return Array.from({ length: texts.length / 2 }, (_, i) => [texts[2 * i] ?? "", texts[2 * i + 1] ?? ""])
}

export function encodeRemoteEntry(entry: RemoteEntry): Uint8Array {
  const { id } = entry
  if (entry.kind !== "cached") return packRecord(FORMAT, [id, entry.kind === "changing" ? CHANGING : CHANGED])
  const { sizeBytes, blockBytes, etag, etagIsMd5, lastModifiedMs, checkedMs, headers, userMetadata } = entry
  const described = [sizeBytes, blockBytes, etag, etagIsMd5 ? 1 : 0, lastModifiedMs, checkedMs]
  return packRecord(FORMAT, [id, CACHED, ...described, headers.flat(), userMetadata.flat()])
}

/** Throws `corruptRecord`. */
export function decodeRemoteEntry(bytes: Uint8Array): RemoteEntry {
  const row = RecordReader.open("remote entry", bytes, FORMAT)
  const [id, kind] = [row.text(), row.number()]
  if (kind === CHANGING) return { kind: "changing", id }
  if (kind === CHANGED) return { kind: "changed", id }
  if (kind !== CACHED) throw fail("corruptRecord", { what: "remote entry", kind })
  const [sizeBytes, blockBytes, etag, isMd5] = [row.number(), row.number(), row.text(), row.number()]
  const [lastModifiedMs, checkedMs] = [row.number(), row.number()]
  const described = { sizeBytes, blockBytes, etag, etagIsMd5: isMd5 === 1, lastModifiedMs, checkedMs }
  return { kind: "cached", id, ...described, headers: pairsOf(row), userMetadata: pairsOf(row) }
}
