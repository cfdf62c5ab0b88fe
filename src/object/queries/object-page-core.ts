/**
 * Pages of objects: what a scan of `current` shows, taken where the rows lie. Pure.
 *
 * A common prefix is passed by one seek, or by steps where few keys lie below it, so a page costs the same in a bucket of a
 * thousand and of ten million keys, and old versions cost nothing.
 */
import { rowKeyOf } from "../../base/ids.js"
import type { RowVisitor } from "../../base/row-scan.js"
import { afterKeyPrefix, KEY_IN_ROW_AT, objectKeyAt, prefixRange } from "../../format/row-key.js"
import { listedVersionAt } from "../../format/version-record.js"
import type { QueryView } from "../../metadata/index.js"
import type { ListEntry, ListPage, ListRequest } from "../contract.js"
import { commonPrefixOf, later, startAfter } from "./listing-core.js"

/** A seek costs as much as some steps; how many pay is learned from the prefixes before. */
const STEPS = { first: 4, min: 1, max: 8 } as const

class ObjectPage implements RowVisitor {
  readonly entries: ListEntry[] = []
  /** There are more than fit. */
  isFull = false
  /** The prefix that the last row taken lies below, and its keys' bytes as rows have them. */
  private common: string | undefined
  private commonBytes: Buffer = Buffer.alloc(0)
  private stepped = 0
  private steps: number = STEPS.first

  constructor(private readonly request: ListRequest) {}

  /** The common prefix that is to be passed by a seek. */
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
      const { sizeBytes, etag, modifiedMs, checksumAlgorithm, checksumType } = listedVersionAt(bytes, valueAt, end)
      const object = { key, sizeBytes, etag, lastModifiedMs: modifiedMs, checksumAlgorithm, checksumType }
      this.entries.push({ kind: "object", object })
    } else this.takePrefix(common, bytes, keyAt + KEY_IN_ROW_AT)
    return true
  }

  /** The seek past the prefix is under way. */
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

  /** From its end: what lies behind a prefix differs there first. */
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
  let start = later(request.after === "" ? rowKeyOf("") : startAfter(request, request.after), range.start)
  for (;;) {
    rows.scan("current", { start, end: range.end }, page)
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
