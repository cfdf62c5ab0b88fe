/**
 * The versions of a bucket at moments: which version of a key was the latest one then. Pure.
 *
 * A walk reads the current and older versions of many keys in their order. It steps over rows that it need not read, or
 * seeks past many of them: so keys with many versions cost little.
 *
 * Limits  A walk ends once it has looked at its number of rows: another query then goes on behind the last key.
 */
import { failingLast, type OrElse } from "@hayloft/base/failing-last.js"
import { firstOf } from "@hayloft/base/first-of.js"
import type { ObjectKey, RowKey } from "@hayloft/base/ids.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import {
  afterKeyPrefix,
  afterObjectKey,
  objectRowKeyOf,
  parseObjectRowKey,
  prefixRange,
  suffixRange,
  versionRowKey,
} from "@hayloft/engine/format/row-key.js"
import {
  decodeListedVersion,
  decodeVersion,
  decodeVersionHead,
  expiryOfRecord,
  shownBytesOf,
  orderOfVersion,
  versionIdOfHead,
} from "@hayloft/engine/format/objects/version-record.js"
import type { MetadataRow, RowView } from "@hayloft/engine/metadata/index.js"
import type {
  ObjectDifference,
  DifferencesPage,
  DifferencesRequest,
  ListEntry,
  ListPage,
  ListRequest,
  ObjectThen,
} from "@hayloft/objects/contract.js"
import {
  commonPrefixOf,
  type Extras,
  headersOf,
  later,
  listed,
  readDetails,
  startAfter,
  type VersionMatch,
  withExtras,
} from "@hayloft/objects/door/rows.js"

export interface WalkLimits {
  /** Rows that one query looks at; a seek counts as `seekRows`. */
  readonly rowsPerQuery: number
  readonly seekRows: number
  /** Rows that are stepped over before a seek. */
  readonly steps: number
}

export const WALK_LIMITS: WalkLimits = { rowsPerQuery: 4_000, seekRows: 32, steps: 8 }

const EXPECTED_ROWS_MAX = 2_000

const SECOND_US = 1_000_000

/** The latest version of a key at a moment, an object or a delete marker; undefined: the key had none. */
export function findAt(view: RowView, row: RowKey, atUs: number): VersionMatch | undefined {
  const current = view.get("current", row)
  const head = current && decodeVersionHead(current.value)
  if (current && head && head.order <= atUs) return { head, family: "current", rowKey: row, row: current }
  const older = { ...suffixRange(row), start: versionRowKey(row, atUs), expectedRows: 1 }
  const first = firstOf(view.range("versions", older))
  return first && matchOf("versions", first)
}

function matchOf(family: "current" | "versions", [rowKey, row]: readonly [RowKey, MetadataRow]): VersionMatch {
  return { head: decodeVersionHead(row.value), family, rowKey, row }
}

const TERMINATOR = "\x00"

/** The version if it is an object that had not expired by then. */
export function objectOf(found: VersionMatch | undefined, atUs: number): VersionMatch | undefined {
  if (found === undefined || found.head.isMarker) return undefined
  const expiresAtSeconds = expiryOfRecord(found.row.value)
  return expiresAtSeconds !== undefined && expiresAtSeconds * SECOND_US <= atUs ? undefined : found
}

/** A key with its latest version at each moment of a walk. */
interface KeyAtMoments {
  readonly key: ObjectKey
  readonly row: RowKey
  /** In the order of the moments. */
  readonly found: readonly (VersionMatch | undefined)[]
}

/** The rows of one family in a range, one at a time. */
class RowCursor {
  top: readonly [RowKey, MetadataRow] | undefined
  private rows: Iterator<readonly [RowKey, MetadataRow]>

  constructor(
    private readonly view: RowView,
    readonly family: "current" | "versions",
    private readonly range: KeyRange,
  ) {
    this.rows = view.range(family, range)[Symbol.iterator]()
    this.step()
  }

  step(): void {
    const next = this.rows.next()
    this.top = next.done === true ? undefined : next.value
  }

  /** Continues at this row key. */
  seek(start: RowKey): void {
    const { end } = this.range
    this.rows = start < end ? this.view.range(this.family, { start, end })[Symbol.iterator]() : [][Symbol.iterator]()
    this.step()
  }
}

/** Walks through the keys of a range, in their order. */
class MomentWalk {
  private spent = 0
  private readonly current: RowCursor
  private readonly older: RowCursor

  constructor(
    view: RowView,
    range: KeyRange,
    /** The latest first. */
    private readonly moments: readonly number[],
    private readonly limits: WalkLimits,
    /** The number of keys that will probably be read. */
    expectedKeys: number,
  ) {
    const rows = (perKey: number) => ({ ...range, expectedRows: Math.min(expectedKeys * perKey, EXPECTED_ROWS_MAX) })
    this.current = new RowCursor(view, "current", rows(1))
    this.older = new RowCursor(view, "versions", rows(moments.length))
  }

  get isSpent(): boolean {
    return this.spent >= this.limits.rowsPerQuery
  }

  /** The next key; undefined at the end of the range. */
  next(): KeyAtMoments | undefined {
    const { current, older } = this
    const [top, version] = [current.top?.[0], older.top?.[0]]
    const row = top !== undefined && (version === undefined || top < version) ? top : version && objectRowKeyOf(version)
    if (row === undefined) return undefined
    this.spent += 1
    const present = top === row ? current.top : undefined
    const found = this.moments.map(atUs =>
      present !== undefined && orderOfVersion(present[1].value) <= atUs
        ? matchOf("current", present)
        : this.findOlder(row, atUs),
    )
    if (present !== undefined) current.step()
    this.passOlder(row)
    return { key: parseObjectRowKey(row).key, row, found }
  }

  /** Continues at this row. */
  seek(start: RowKey): void {
    this.current.seek(start)
    this.seekOlder(start)
  }

  /** Earlier rows are newer than all later requests need: the walk passes them. */
  private findOlder(row: RowKey, atUs: number): VersionMatch | undefined {
    for (let steps = 0; ; steps += 1) {
      const { top } = this.older
      if (top?.[0].startsWith(row) !== true) return undefined
      if (orderOfVersion(top[1].value) <= atUs) return matchOf("versions", top)
      if (steps === this.limits.steps) this.seekOlder(versionRowKey(row, atUs))
      else this.stepOlder()
    }
  }

  private passOlder(row: RowKey): void {
    for (let steps = 0; this.older.top?.[0].startsWith(row) === true; steps += 1) {
      if (steps === this.limits.steps) this.seekOlder(afterRow(row))
      else this.stepOlder()
    }
  }

  private stepOlder(): void {
    this.spent += 1
    this.older.step()
  }

  private seekOlder(start: RowKey): void {
    this.spent += this.limits.seekRows
    this.older.seek(start)
  }
}

/** A row key behind all rows of the object: no row key has another byte than these where the terminator is. */
const afterRow = (row: RowKey): RowKey => rowKeyOf(`${row.slice(0, -TERMINATOR.length)}\x01`)

interface ListingAt {
  readonly atUs: number
  readonly extras: Extras
  readonly limits: WalkLimits
}

/** A page of the objects that there were at a moment. */
export const listObjectsAt = (view: RowView, request: ListRequest, at: ListingAt): ListPage =>
  failingLast(attempt => listAt(view, request, at, attempt))

function listAt(view: RowView, request: ListRequest, { atUs, extras, limits }: ListingAt, attempt: OrElse): ListPage {
  const { bucket, prefix, after, max, afterExactly = false } = request
  const entries: ListEntry[] = []
  if (max <= 0) return { entries, next: undefined }
  const range = prefixRange(bucket.id, prefix)
  const from = afterExactly ? afterObjectKey(bucket.id, after) : startAfter(request, after)
  const start = later(after === "" ? rowKeyOf("") : from, range.start)
  const walk = new MomentWalk(view, { start, end: range.end }, [atUs], limits, max + 1)
  let last: string | undefined
  for (let at = walk.next(); at !== undefined; at = walk.next()) {
    const { key } = at
    const object = objectOf(at.found[0], atUs)
    if (object !== undefined && entries.length >= max) return { entries, next: last }
    const common = object && commonPrefixOf(key, request)
    if (common !== undefined) {
      entries.push({ kind: "prefix", prefix: common })
      last = common
      walk.seek(afterKeyPrefix(bucket.id, common))
    } else if (object !== undefined) {
      const plain = listed(key, object.row)
      entries.push({
        kind: "object",
        object: attempt(() => withExtras(view, bucket, plain, object.row, extras), plain),
      })
      last = key
    }
    if (!walk.isSpent) continue
    const isMidway = object === undefined && commonPrefixOf(key, request) !== undefined
    return { entries, next: common ?? key, ...(isMidway && { isMidway }) }
  }
  return { entries, next: undefined }
}

/** The differences between two moments up to some key, and the count of unchanged objects. */
export const differencesOf = (view: RowView, request: DifferencesRequest, limits: WalkLimits): DifferencesPage =>
  failingLast(attempt => compareMoments(view, request, limits, attempt))

function compareMoments(
  view: RowView,
  request: DifferencesRequest,
  limits: WalkLimits,
  attempt: OrElse,
): DifferencesPage {
  const { bucket, prefix, isOneKey = false, after, until, fromUs, toUs, max } = request
  const range = prefixRange(bucket.id, prefix)
  const start = after === "" ? range.start : later(afterObjectKey(bucket.id, after), range.start)
  const walk = new MomentWalk(view, { start, end: range.end }, [toUs, fromUs], limits, max)
  const differences: ObjectDifference[] = []
  const unchanged = { objects: 0, bytes: 0 }
  let scanned = 0
  const page = (next: string | undefined): DifferencesPage => ({ differences, unchanged, scanned, next })
  for (let at = walk.next(); at !== undefined; at = walk.next()) {
    const { key, row, found } = at
    if ((isOneKey && key !== prefix) || (until !== undefined && key > until)) return page(undefined)
    scanned += 1
    const [then, now] = [objectOf(found[1], fromUs), objectOf(found[0], toUs)]
    if (then !== undefined && now !== undefined && attempt(() => isSame(view, row, then, now), false)) {
      unchanged.objects += 1
      unchanged.bytes += shownBytesOf(now.row.value, now.head)
    } else if (then !== undefined || now !== undefined) {
      const shownOf = (match: VersionMatch | undefined): ObjectThen | undefined =>
        attempt(() => match && shown(view, row, match), undefined)
      differences.push({ key, before: shownOf(then), after: shownOf(now) })
    }
    if (differences.length >= max || walk.isSpent) return page(key)
  }
  return page(undefined)
}

function shown(view: RowView, row: RowKey, { head, row: { value } }: VersionMatch): ObjectThen {
  const { sizeBytes, etag, modifiedMs: lastModifiedMs, storageClass } = decodeListedVersion(value)
  const { websiteRedirect } = headersOf(readDetails(view, row, decodeVersion(value)))
  return { versionId: versionIdOfHead(head), sizeBytes, etag, lastModifiedMs, storageClass, websiteRedirect }
}

/**
 * Returns true if both are the same to readers: a version that was restored is another one with the same bytes and
 * headers.
 */
function isSame(view: RowView, row: RowKey, a: VersionMatch, b: VersionMatch): boolean {
  return a.head.order === b.head.order || describedText(view, row, a) === describedText(view, row, b)
}

/** Without the access control list and the lock, which copies do not have. */
function describedText(view: RowView, row: RowKey, { row: { value } }: VersionMatch): string {
  const { sizeBytes, etag, storageClass } = decodeListedVersion(value)
  const { headers, userMetadata, tags } = readDetails(view, row, decodeVersion(value))
  return JSON.stringify([sizeBytes, etag, storageClass, headers, userMetadata, tags])
}
