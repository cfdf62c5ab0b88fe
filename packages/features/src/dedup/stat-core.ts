/** Figures of deduplication: the contributions of some rows of a bucket. Pure. */
import type { z } from "zod"
import type { ReadOnly } from "@hayloft/base/read-only.js"
import {
  parseObjectRowKey,
  objectRowKeyOf,
  bucketRowKey,
  suffixRange,
  uploadOfPartRowKey,
} from "@hayloft/engine/format/row-key.js"
import type { BucketId, MultipartId, RowKey } from "@hayloft/base/ids.js"
import { versionOfRow, type VersionFamily } from "@hayloft/engine/format/objects/deleted-version.js"
import { decodeSegment } from "@hayloft/engine/format/records.js"
import { decodeReferences } from "@hayloft/engine/format/objects/references-record.js"
import { multipartIdOfSuffix } from "@hayloft/engine/format/objects/version-id.js"
import { decodeVersion, type Content } from "@hayloft/engine/format/objects/version-record.js"
import { query, type MetadataRow, type RowView } from "@hayloft/engine/metadata/index.js"
import { bytesOfParts, sourcesOf, versionOfSegments } from "@hayloft/objects/door/rows.js"
import type { DEDUP } from "./schemas.js"

/** In this order; a version that moves from one family to the next while a bucket is written may count twice. */
const STAT_FAMILIES = [
  "current",
  "versions",
  "deleted",
  "segments",
  "references",
  "blockDigests",
  "blockIndex",
] as const
type StatFamily = (typeof STAT_FAMILIES)[number]

export type DedupFigures = ReadOnly<Omit<z.output<typeof DEDUP>, "state" | "releasedReferencedBytes">>

export const NO_FIGURES: DedupFigures = {
  versions: 0,
  logicalBytes: 0,
  ownBytes: 0,
  versionsWithReferences: 0,
  references: 0,
  referencedBytes: 0,
  referencedSegments: 0,
  releasedSegments: 0,
  releasedBytes: 0,
  digestRows: 0,
  indexedBlocks: 0,
}

export interface StatPlace {
  readonly family: number
  readonly from: RowKey
  /** Uploads of the row before that are counted already: versions of a key may share their bytes, which count once. */
  readonly seen?: { readonly stem: RowKey; readonly uploads: ReadonlySet<string> } | undefined
}

interface StatPage {
  readonly found: Partial<DedupFigures>
  /** Rows of references of segments that were released. */
  readonly released: readonly RowKey[]
  /** It is undefined at the end. */
  readonly next: StatPlace | undefined
}

/** The figures that the rows of a bucket add up to, in a page of one family. */
export const statFrom = query(
  "DedupStatFrom",
  (view, bucketId: BucketId, place: StatPlace, rowsMax: number): StatPage => {
    const family = STAT_FAMILIES[place.family]
    if (family === undefined) return { found: {}, released: [], next: undefined }
    const page = new Page(view, family, place.seen)
    const range = { ...suffixRange(bucketRowKey(bucketId)), start: place.from, expectedRows: rowsMax + 1 }
    let rows = 0
    for (const [rowKey, row] of view.range(family, range)) {
      if (rows === rowsMax) return page.end({ family: place.family, from: rowKey, seen: page.seen })
      rows += 1
      page.add(rowKey, row)
    }
    const next = place.family + 1
    return page.end(STAT_FAMILIES[next] && { family: next, from: bucketRowKey(bucketId) })
  },
)

class Page {
  private readonly found: { -readonly [Name in keyof DedupFigures]?: number } = {}
  private readonly released: RowKey[] = []
  /** The last lookup of whether versions have segments. */
  private owner: { readonly stem: RowKey; readonly has: boolean; readonly isReleased: boolean } | undefined

  seen: { readonly stem: RowKey; readonly uploads: Set<string> } | undefined

  constructor(
    private readonly view: RowView,
    private readonly family: StatFamily,
    seen: StatPlace["seen"],
  ) {
    this.seen = seen && { ...seen, uploads: new Set(seen.uploads) }
  }

  private seenOf(stem: RowKey): Set<string> {
    if (this.seen?.stem !== stem) this.seen = { stem, uploads: new Set() }
    return this.seen.uploads
  }

  end(next: StatPlace | undefined): StatPage {
    return { found: this.found, released: this.released, next }
  }

  private count(name: keyof DedupFigures, amount: number): void {
    this.found[name] = (this.found[name] ?? 0) + amount
  }

  add(rowKey: RowKey, row: MetadataRow): void {
    switch (this.family) {
      case "current":
      case "versions":
      case "deleted":
        return this.addVersion(this.family, rowKey, row)
      case "segments":
        return this.addSegment(rowKey, row)
      case "references":
        return this.addReferences(rowKey, row)
      case "blockDigests":
        return this.count("digestRows", 1)
      case "blockIndex":
        return this.count("indexedBlocks", 1)
    }
  }

  private addVersion(family: VersionFamily, rowKey: RowKey, { value }: MetadataRow): void {
    const { head, content } = versionOfRow(family, value)
    if (head.isMarker) return
    this.count("versions", 1)
    this.count("logicalBytes", head.sizeBytes)
    if (content.kind === "segments") return
    if (!head.isShared || !this.isSeen(family, rowKey, content)) this.count("ownBytes", head.sizeBytes)
  }

  /** Returns true if another version of the key has the same bytes, and has been counted. */
  private isSeen(family: VersionFamily, rowKey: RowKey, content: Content): boolean {
    const id = bytesIdOf(content)
    if (id === undefined || family === "current") return false
    const row = objectRowKeyOf(rowKey)
    const current = this.view.get("current", row)
    if (current !== undefined && bytesIdOf(decodeVersion(current.value).content) === id) return true
    const uploads = this.seenOf(row)
    if (uploads.has(id)) return true
    uploads.add(id)
    return false
  }

  private addSegment(rowKey: RowKey, { value }: MetadataRow): void {
    const stem = uploadOfPartRowKey(rowKey)
    const segment = decodeSegment(value)
    const [sources, bytes] = [sourcesOf(segment), bytesOfParts(segment.parts)]
    const { has, isReleased } = this.ownerOf(stem)
    if (has) this.count("ownBytes", bytes)
    else if (isReleased) this.count("releasedBytes", bytes)
    // Others are being deleted.
    if (!has || sources.length === 0) return
    for (const { lengthBytes } of sources) {
      this.count("references", 1)
      this.count("referencedBytes", lengthBytes)
    }
    if (this.seen?.stem === stem) return
    this.count("versionsWithReferences", 1)
    this.seenOf(stem)
  }

  private ownerOf(stem: RowKey): NonNullable<Page["owner"]> {
    if (this.owner?.stem === stem) return this.owner
    const row = objectRowKeyOf(stem)
    const id = multipartIdOfSuffix(parseObjectRowKey(stem).suffix)
    const has = isCurrent(this.view, row, id) || versionOfSegments(this.view, row, id) !== undefined
    const references = has ? undefined : this.view.get("references", stem)
    const isReleased = references !== undefined && decodeReferences(references.value).isReleased
    return (this.owner = { stem, has, isReleased })
  }

  private addReferences(rowKey: RowKey, { value }: MetadataRow): void {
    const { count, isReleased } = decodeReferences(value)
    if (count > 0) this.count("referencedSegments", 1)
    if (!isReleased) return
    this.count("releasedSegments", 1)
    this.released.push(rowKey)
  }
}

const isCurrent = (view: RowView, row: RowKey, id: MultipartId): boolean => {
  const found = view.get("current", row)
  const content = found && decodeVersion(found.value).content
  return content?.kind === "segments" && content.multipartId === id
}

const bytesIdOf = (content: Content): string | undefined =>
  content.kind === "extent" ? content.extent.uploadId : undefined

export const addFigures = (sum: DedupFigures, found: Partial<DedupFigures>): DedupFigures => {
  const all: { -readonly [Name in keyof DedupFigures]: number } = { ...sum }
  for (const name of FIGURE_NAMES) all[name] += found[name] ?? 0
  return all
}

const FIGURE_NAMES = [
  "versions",
  "logicalBytes",
  "ownBytes",
  "versionsWithReferences",
  "references",
  "referencedBytes",
  "referencedSegments",
  "releasedSegments",
  "releasedBytes",
  "digestRows",
  "indexedBlocks",
] satisfies readonly (keyof DedupFigures)[]
