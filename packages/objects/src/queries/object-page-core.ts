/**
 * Pages of objects: scans `current` in place. Pure.
 *
 * A common prefix is skipped by one seek, or by steps if it contains few keys. So a page costs the same in a bucket of
 * a thousand and of ten million keys, and old versions cost nothing.
 */
import { rowKeyOf } from "@hayloft/base/ids.js"
import type { RowVisitor } from "@hayloft/base/row-scan.js"
import { afterKeyPrefix, KEY_IN_ROW_AT, objectKeyAt, prefixRange } from "@hayloft/engine/format/row-key.js"
import { listedVersionAt } from "@hayloft/engine/format/version-record.js"
import type { QueryView } from "@hayloft/engine/metadata/index.js"
import type { ListEntry, ListPage, ListRequest } from "../contract.js"
import { commonPrefixOf, later, startAfter } from "./listing-core.js"

/** A seek costs as much as several steps; the best number of steps is learned from the previous prefixes. */
const STEPS = { first: 4, min: 1, max: 8 } as const

class ObjectPage implements RowVisitor {
  readonly entries: ListEntry[] = []
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
    if (this.entries.length >= this.request.max) {
      this.isFull = true
      return false
    }
    const key = objectKeyAt(bytes, keyAt, valueAt)
    const common = commonPrefixOf(key, this.request)
    if (common === undefined) {
      const version = listedVersionAt(bytes, valueAt, end)
      const { sizeBytes, etag, modifiedMs, storageClass, checksumAlgorithm, checksumType } = version
      const object = { key, sizeBytes, etag, lastModifiedMs: modifiedMs, storageClass, checksumAlgorithm, checksumType }
      this.entries.push({ kind: "object", object })
    } else this.takePrefix(common, bytes, keyAt + KEY_IN_ROW_AT)
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
    this.entries.push({ kind: "prefix", prefix })
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

export function listObjects(rows: Pick<QueryView, "scan">, request: ListRequest): ListPage {
  if (request.max <= 0) return { entries: [], next: undefined }
  const page = new ObjectPage(request)
  const range = prefixRange(request.bucket.id, request.prefix)
  // With a delimiter, one row may stand for many.
  const expected = request.delimiter === "" ? { expectedRows: request.max + 1 } : {}
  let start = later(request.after === "" ? rowKeyOf("") : startAfter(request, request.after), range.start)
  for (;;) {
    rows.scan("current", { start, end: range.end, ...expected }, page)
    const common = page.seekPast
    if (common === undefined || page.isFull) break
    start = afterKeyPrefix(request.bucket.id, common)
    page.passed()
  }
  const { entries, isFull } = page
  const last = entries.at(-1)
  if (!isFull || !last) return { entries, next: undefined }
  return { entries, next: last.kind === "prefix" ? last.prefix : last.object.key }
}
