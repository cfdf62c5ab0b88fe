/**
 * Pages of objects: scans `current` in place. Pure.
 *
 * A page is the bytes of the rows that it shows, as far as a listing shows them; they are decoded where the page is used. That
 * may be another thread, to which a hundred objects take ten times as long to send.
 *
 * A common prefix is skipped by one seek, or by steps if it contains few keys. So a page costs the same in a bucket of
 * a thousand and of ten million keys, and old versions cost nothing.
 */
import { rowKeyOf } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { RowVisitor } from "@hayloft/base/rows/row-scan.js"
import { bufferOf } from "@hayloft/engine/format/encoding/buffer-of.js"
import { afterKeyPrefix, foldingOf, KEY_IN_ROW_AT, objectKeyAt, prefixRange } from "@hayloft/engine/format/row-key.js"
import { listedEndAt, listedVersionAt } from "@hayloft/engine/format/objects/version-record.js"
import type { QueryView } from "@hayloft/engine/metadata/index.js"
import type { ListEntry, ListPage, ListRequest } from "../contract.js"
import { commonPrefixOf, later, startAfter, type ListedExtras } from "./listing-core.js"

/** A page of a listing in bytes. */
interface PageRows {
  /** Entry after entry: see `EntryRows`. */
  readonly bytes: Uint8Array
  readonly isFull: boolean
}

const BYTES_AT_FIRST = 16 * KIB
/** The lengths of the key and of the record, before each entry. */
const [KEY_LENGTH_BYTES, RECORD_LENGTH_BYTES] = [2, 4]
const LENGTHS_BYTES = KEY_LENGTH_BYTES + RECORD_LENGTH_BYTES

/** Entries in bytes: an object's row key and the listed part of its record, or a common prefix without a record. */
class EntryRows {
  count = 0
  private buffer = Buffer.allocUnsafe(BYTES_AT_FIRST)
  private end = 0

  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.end)
  }

  addRow(bytes: Buffer, keyAt: number, valueAt: number, end: number): void {
    const at = this.begin(valueAt - keyAt, end - valueAt)
    bytes.copy(this.buffer, at, keyAt, end)
  }

  addPrefix(prefix: string): void {
    const at = this.begin(prefix.length, 0)
    this.buffer.write(prefix, at, "latin1")
  }

  /** Returns where the bytes of the entry begin. */
  private begin(keyBytes: number, recordBytes: number): number {
    const at = this.end + LENGTHS_BYTES
    this.end = at + keyBytes + recordBytes
    this.count += 1
    if (this.end > this.buffer.length) {
      const grown = Buffer.allocUnsafe(2 * this.end)
      this.buffer.copy(grown)
      this.buffer = grown
    }
    this.buffer.writeUInt16BE(keyBytes, at - LENGTHS_BYTES)
    this.buffer.writeUInt32BE(recordBytes, at - RECORD_LENGTH_BYTES)
    return at
  }
}

function entryAt(bytes: Buffer, keyAt: number, valueAt: number, end: number): ListEntry {
  if (valueAt === end) return { kind: "prefix", prefix: bytes.toString("latin1", keyAt, valueAt) }
  const version = listedVersionAt(bytes, valueAt, end)
  const { sizeBytes, etag, modifiedMs, storageClass, checksumAlgorithm, checksumType } = version
  const key = objectKeyAt(bytes, keyAt, valueAt)
  const object = { key, sizeBytes, etag, lastModifiedMs: modifiedMs, storageClass, checksumAlgorithm, checksumType }
  return { kind: "object", object }
}

/** The page of the bytes, with the further fields of its entries. */
export function pageOf({ bytes: rows, isFull }: PageRows, extras?: readonly ListedExtras[]): ListPage {
  const bytes = bufferOf(rows)
  const entries: ListEntry[] = []
  for (let at = 0; at < bytes.length;) {
    const keyAt = at + LENGTHS_BYTES
    const valueAt = keyAt + bytes.readUInt16BE(at)
    const end = valueAt + bytes.readUInt32BE(at + KEY_LENGTH_BYTES)
    const entry = entryAt(bytes, keyAt, valueAt, end)
    const further = extras?.[entries.length]
    entries.push(further && entry.kind === "object" ? { ...entry, object: { ...entry.object, ...further } } : entry)
    at = end
  }
  const last = entries.at(-1)
  if (!isFull || !last) return { entries, next: undefined }
  return { entries, next: last.kind === "prefix" ? last.prefix : last.object.key }
}

/** A seek costs as much as several steps; the best number of steps is learned from the previous prefixes. */
const STEPS = { first: 4, min: 1, max: 8 } as const

class ObjectPage implements RowVisitor {
  readonly entries = new EntryRows()
  /** More entries exist than fit. */
  isFull = false
  /** The prefix of the last row taken, and the bytes of its keys as in the rows. */
  private common: string | undefined
  private commonBytes: Buffer = Buffer.alloc(0)
  private stepped = 0
  private steps: number = STEPS.first

  constructor(private readonly request: ListRequest) {}

  /** The common prefix that a seek should skip. */
  get seekPast(): string | undefined {
    return this.stepped > this.steps ? this.common : undefined
  }

  row(bytes: Buffer, keyAt: number, valueAt: number, end: number): boolean {
    if (this.common !== undefined && this.isBelowCommon(bytes, keyAt + KEY_IN_ROW_AT, valueAt)) {
      this.stepped += 1
      return this.stepped <= this.steps
    }
    if (this.entries.count >= this.request.max) {
      this.isFull = true
      return false
    }
    const { request } = this
    const common = request.delimiter === "" ? undefined : commonPrefixOf(objectKeyAt(bytes, keyAt, valueAt), request)
    if (common === undefined) this.entries.addRow(bytes, keyAt, valueAt, listedEndAt(bytes, valueAt, end))
    else this.takePrefix(common, bytes, keyAt + KEY_IN_ROW_AT)
    return true
  }

  /** The seek past the prefix has started. */
  passed(): void {
    this.common = undefined
    this.stepped = 0
    this.steps = Math.max(this.steps >> 1, STEPS.min)
  }

  private takePrefix(prefix: string, bytes: Buffer, at: number): void {
    if (this.stepped > 0) this.steps = Math.min(2 * this.steps, STEPS.max)
    this.entries.addPrefix(prefix)
    this.common = prefix
    this.stepped = 0
    if (this.commonBytes.length !== prefix.length) this.commonBytes = Buffer.alloc(prefix.length)
    bytes.copy(this.commonBytes, 0, at, at + prefix.length)
  }

  /** Compares from the end: keys after a prefix differ there first. */
  private isBelowCommon(bytes: Buffer, at: number, end: number): boolean {
    const common = this.commonBytes
    if (end - at < common.length) return false
    for (let i = common.length - 1; i >= 0; i -= 1) if (common[i] !== bytes[at + i]) return false
    return true
  }
}

export function listObjects(rows: Pick<QueryView, "scan">, request: ListRequest): PageRows {
  const page = new ObjectPage(request)
  if (request.max <= 0) return { bytes: page.entries.bytes, isFull: false }
  const range = prefixRange(request.bucket.id, request.prefix)
  const expected = { expectedRows: request.max + 1, ...foldingOf(request.prefix, request.delimiter) }
  let start = later(request.after === "" ? rowKeyOf("") : startAfter(request, request.after), range.start)
  for (;;) {
    rows.scan("current", { start, end: range.end, ...expected }, page)
    const common = page.seekPast
    if (common === undefined || page.isFull) break
    start = afterKeyPrefix(request.bucket.id, common)
    page.passed()
  }
  return { bytes: page.entries.bytes, isFull: page.isFull }
}
