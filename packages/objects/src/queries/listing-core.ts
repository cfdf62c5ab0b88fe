/**
 * Listings of versions and uploads: pages over a view, in byte order. Pure. (Objects: `object-page-core.ts`.)
 *
 * A listing is a range scan; a common prefix of more than a few rows is skipped by one seek.
 */
import type { MultipartId, ObjectKey, RowKey, VersionId } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { mapAll } from "@hayloft/base/failing-last.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import {
  afterKeyPrefix,
  afterObjectKey,
  foldingOf,
  multipartRowKey,
  objectRowKey,
  parseObjectRowKey,
  prefixRange,
  versionRowKey,
} from "@hayloft/engine/format/row-key.js"
import { decodeRowHead, decodeUpload } from "@hayloft/engine/format/records.js"
import {
  decodeListedVersion,
  decodeVersion,
  decodeVersionHead,
  NO_DETAILS,
  versionIdOfHead,
  writtenMsOf,
  type VersionDetails,
  type VersionHead,
} from "@hayloft/engine/format/objects/version-record.js"
import {
  isMultipartId,
  multipartIdOfSuffix,
  NULL_VERSION,
  partsOfVersionId,
} from "@hayloft/engine/format/objects/version-id.js"
import type { MetadataRow, RowView } from "@hayloft/engine/metadata/index.js"
import type {
  Bucket,
  ContentHeaders,
  ListedObject,
  ListPage,
  ListRequest,
  ListVersionsRequest,
  UploadListEntry,
  VersionEntry,
  VersionsPage,
  WrittenVersion,
} from "../contract.js"
import { mergedVersions } from "./merged-versions.js"
import { multipartInfoOf } from "./object-info-core.js"
import { findVersion, readDetails } from "../commands/found-versions-core.js"

interface Scope {
  readonly bucket: Bucket
  readonly prefix: string
  readonly delimiter: string
}

/** The common prefix that a key belongs to, if any. */
export function commonPrefixOf(key: string, { prefix, delimiter }: Omit<Scope, "bucket">): string | undefined {
  if (delimiter === "" || !key.startsWith(prefix)) return undefined
  const at = key.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : key.slice(0, at + delimiter.length)
}

/** The start of a page: after a key, or after the whole common prefix that contains it. */
export function startAfter(scope: Scope, after: string): RowKey {
  const common = commonPrefixOf(after, scope)
  return common === undefined ? afterObjectKey(scope.bucket.id, after) : afterKeyPrefix(scope.bucket.id, common)
}

export const later = (a: RowKey, b: RowKey): RowKey => (a > b ? a : b)

/** One row of a scan, with its key and content. */
interface ScannedRow {
  readonly key: ObjectKey
  readonly rowKey: RowKey
  readonly row: MetadataRow
}

type Scan = (range: KeyRange) => Iterable<ScannedRow>

/**
 * Rows of a common prefix that are passed one by one: an engine that leaves out all but the first may do so for each of
 * two families.
 */
const STEPS_MAX = 2

/**
 * Walks rows from `start` to the end of the scope's prefix and folds each common prefix into one entry. `takeRow`
 * returns the entry of a row, or undefined to skip it. Returns true if `max` entries were reached and more may follow.
 */
function walk(
  scope: Scope,
  scan: Scan,
  start: RowKey,
  max: number,
  takePrefix: (prefix: string) => void,
  takeRow: (row: ScannedRow) => boolean,
): boolean {
  const { start: first, end } = prefixRange(scope.bucket.id, scope.prefix)
  const shared = { end, expectedRows: max + 1, ...foldingOf(scope.prefix, scope.delimiter) }
  let from = later(start, first)
  let taken = 0
  let [common, stepped]: [common: string | undefined, stepped: number] = [undefined, 0]
  for (;;) {
    let seek: RowKey | undefined
    for (const row of from < end ? scan({ start: from, ...shared }) : []) {
      if (common !== undefined && row.key.startsWith(common)) {
        stepped += 1
        if (stepped <= STEPS_MAX) continue
        seek = afterKeyPrefix(scope.bucket.id, common)
        break
      }
      if (taken >= max) return true
      common = commonPrefixOf(row.key, scope)
      stepped = 0
      if (common !== undefined) takePrefix(common)
      if (common !== undefined || takeRow(row)) taken += 1
    }
    if (seek === undefined) return false
    from = seek
  }
}

const scanFamily = (view: RowView, family: "current" | "uploads"): Scan =>
  function* (range) {
    for (const [rowKey, row] of view.range(family, range)) yield { key: parseObjectRowKey(rowKey).key, rowKey, row }
  }

export function listed(key: ObjectKey, { value }: MetadataRow): ListedObject {
  const { modifiedMs: lastModifiedMs, ...shown } = decodeListedVersion(value)
  return { key, lastModifiedMs, ...shown }
}

/** The fields that a request asks for beyond the head of a record. */
export type Extras = Pick<ListRequest, "withOwners" | "withTypes" | "withRestores" | "withOrders">

/** The same fields of one object. */
export type ListedExtras = Pick<ListedObject, "owner" | "contentType" | "symlink" | "restore" | "written">

export const showsExtras = ({ withOwners, withTypes, withRestores, withOrders }: Extras): boolean =>
  withOwners === true || withTypes === true || withRestores === true || withOrders === true

const writtenOf = (head: VersionHead): WrittenVersion => ({ versionId: versionIdOfHead(head), orderUs: head.order })

const headerIn = (headers: VersionDetails["headers"], name: keyof ContentHeaders): string | undefined =>
  headers.find(([known]) => known === name)?.[1]

/** A listed object with what the request asks for. */
export function withExtras(
  view: RowView,
  bucket: Bucket,
  object: ListedObject,
  row: MetadataRow,
  extras: Extras,
): ListedObject {
  return { ...object, ...extrasOf(view, bucket, object.key, row, extras) }
}

/** The fields of an object that the request asks for beside those of its head. */
function extrasOf(
  view: RowView,
  { id }: Bucket,
  key: ObjectKey,
  { value }: MetadataRow,
  { withOwners, withTypes, withRestores, withOrders }: Extras,
): ListedExtras {
  const record = decodeVersion(value)
  const { acl, headers } =
    withOwners === true || withTypes === true ? readDetails(view, objectRowKey(id, key), record) : NO_DETAILS
  return {
    ...(withOwners === true && { owner: acl?.owner }),
    ...(withTypes === true && { contentType: headerIn(headers, "contentType"), symlink: headerIn(headers, "symlink") }),
    ...(withRestores === true && { restore: record.restore }),
    ...(withOrders === true && { written: writtenOf(record.head) }),
  }
}

/** The further fields that the request asks for, of each entry of a page of objects. */
export function extrasOfPage(
  view: RowView,
  bucket: Bucket,
  { entries }: ListPage,
  extras: Extras,
): readonly ListedExtras[] {
  return mapAll(entries, entry => {
    if (entry.kind !== "object") return {}
    const { key } = entry.object
    const row = view.get("current", objectRowKey(bucket.id, key))
    return row === undefined ? {} : extrasOf(view, bucket, key, row, extras)
  })
}

function scanVersions(view: RowView): Scan {
  return function* (range) {
    for (const [rowKey, row] of mergedVersions(view, range)) {
      yield { key: parseObjectRowKey(rowKey).key, rowKey, row }
    }
  }
}

/** Returns true if this version is the latest of its row. */
function isLatest(view: RowView, bucket: Bucket, key: ObjectKey, rowKey: RowKey, head: VersionHead): boolean {
  const row = objectRowKey(bucket.id, key)
  if (rowKey === row) return true
  if (!head.isMarker) return false
  const rowHead = view.get("heads", row)
  return rowHead !== undefined && decodeRowHead(rowHead.value).latestOrder === head.order
}

function versionsStart(view: RowView, request: ListVersionsRequest): RowKey {
  const { bucket, keyMarker, versionIdMarker } = request
  if (keyMarker === "") return rowKeyOf("")
  if (versionIdMarker === undefined || commonPrefixOf(keyMarker, request) !== undefined)
    return startAfter(request, keyMarker)
  const row = objectRowKey(bucket.id, parseMarker(keyMarker))
  const order = orderOfMarker(view, row, versionIdMarker)
  if (order === undefined) return startAfter(request, keyMarker)
  // If the marker's version was removed meanwhile, an older one may have become the current one.
  const current = view.get("current", row)
  return current && decodeVersionHead(current.value).order < order ? row : versionRowKey(row, order - 1)
}

/** Markers are byte strings like keys; the marked object need not exist. */
const parseMarker = (marker: string): ObjectKey => marker as ObjectKey

function orderOfMarker(view: RowView, row: RowKey, versionId: VersionId): number | undefined {
  if (versionId !== NULL_VERSION) return partsOfVersionId(versionId).order
  return findVersion(view, row, versionId)?.head.order
}

const versionWithExtras = (
  view: RowView,
  request: ListVersionsRequest,
  entry: VersionEntry,
  row: MetadataRow | undefined,
): VersionEntry =>
  entry.kind !== "version" || row === undefined
    ? entry
    : { ...entry, object: withExtras(view, request.bucket, entry.object, row, request) }

export function listVersions(view: RowView, request: ListVersionsRequest): VersionsPage {
  const entries: VersionEntry[] = []
  if (request.max <= 0) return { entries, next: undefined }
  const { bucket } = request
  /** The rows of objects, by the places of their entries. */
  const rows = new Map<number, MetadataRow>()
  const more = walk(
    request,
    scanVersions(view),
    versionsStart(view, request),
    request.max,
    prefix => entries.push({ kind: "prefix", prefix }),
    ({ key, rowKey, row }) => {
      const head = decodeVersionHead(row.value)
      const shared = { versionId: versionIdOfHead(head), isLatest: isLatest(view, bucket, key, rowKey, head) }
      const written = request.withOrders === true && { written: writtenOf(head) }
      if (!head.isMarker) rows.set(entries.length, row)
      return head.isMarker
        ? entries.push({ kind: "marker", ...shared, key, lastModifiedMs: head.modifiedMs, ...written }) > 0
        : entries.push({
            kind: "version",
            ...shared,
            writtenMs: writtenMsOf(head),
            object: listed(key, row),
          }) > 0
    },
  )
  const shown = showsExtras(request)
    ? mapAll(entries.entries(), ([at, entry]) => versionWithExtras(view, request, entry, rows.get(at)))
    : entries
  const last = shown.at(-1)
  if (!more || !last) return { entries: shown, next: undefined }
  if (last.kind === "prefix") return { entries: shown, next: { keyMarker: last.prefix, versionIdMarker: undefined } }
  const keyMarker = last.kind === "marker" ? last.key : last.object.key
  return { entries: shown, next: { keyMarker, versionIdMarker: last.versionId } }
}

export interface ListUploadsRequest extends Scope {
  readonly keyMarker: string
  readonly uploadIdMarker: MultipartId | undefined
  readonly max: number
  /** Uploads of renames, which no client sees, are listed too. */
  readonly withRenames?: boolean
}

export interface UploadsPage {
  readonly entries: readonly UploadListEntry[]
  readonly next: { readonly keyMarker: string; readonly uploadIdMarker: MultipartId | undefined } | undefined
}

function uploadsStart(request: ListUploadsRequest): RowKey {
  const { bucket, keyMarker, uploadIdMarker } = request
  if (keyMarker === "") return rowKeyOf("")
  const inPrefix = commonPrefixOf(keyMarker, request) !== undefined
  if (uploadIdMarker === undefined || inPrefix || !isMultipartId(uploadIdMarker)) return startAfter(request, keyMarker)
  return rowKeyOf(multipartRowKey(objectRowKey(bucket.id, parseMarker(keyMarker)), uploadIdMarker) + "\x00")
}

export function listUploads(view: RowView, request: ListUploadsRequest): UploadsPage {
  const entries: UploadListEntry[] = []
  if (request.max <= 0) return { entries, next: undefined }
  const more = walk(
    request,
    scanFamily(view, "uploads"),
    uploadsStart(request),
    request.max,
    prefix => entries.push({ kind: "prefix", prefix }),
    ({ key, rowKey, row }) => {
      const multipartId = multipartIdOfSuffix(parseObjectRowKey(rowKey).suffix)
      const record = decodeUpload(row.value)
      if (record.renamedBy !== undefined && request.withRenames !== true) return false
      const upload = multipartInfoOf(key, multipartId, record)
      return entries.push({ kind: "upload", upload }) > 0
    },
  )
  const last = entries.at(-1)
  if (!more || !last) return { entries, next: undefined }
  if (last.kind === "prefix") return { entries, next: { keyMarker: last.prefix, uploadIdMarker: undefined } }
  return { entries, next: { keyMarker: last.upload.key, uploadIdMarker: last.upload.multipartId } }
}
