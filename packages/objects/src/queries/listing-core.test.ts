/** The cost of a page depends only on the page, and pages join without gaps. */
import { runsOf } from "@hayloft/base/testing-seed.js"
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { must } from "@hayloft/base/assert.js"
import type { Family } from "@hayloft/base/rows/families.js"
import {
  objectKeyOfText,
  parseAccountId,
  parseBucketId,
  parseBucketName,
  parseIncarnation,
  parsePosition,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { visitRows, type RowVisitor } from "@hayloft/base/rows/row-scan.js"
import { getThrough, MemoryLayer, rangeThrough } from "@hayloft/engine/device/index.js"
import { encodeRowHead } from "@hayloft/engine/format/records.js"
import { objectRowKey, versionRowKey } from "@hayloft/engine/format/row-key.js"
import { versionIdOf } from "@hayloft/engine/format/objects/version-id.js"
import { encodeVersion, NO_DETAILS, type VersionHead } from "@hayloft/engine/format/objects/version-record.js"
import { soleProcess, type QueryView, type MetadataRow } from "@hayloft/engine/metadata/index.js"
import type { Bucket, ListEntry, VersionEntry, VersionsPage } from "../contract.js"
import { commonPrefixOf, listVersions } from "./listing-core.js"
import { listObjects, pageOf } from "./object-page-core.js"

const bucket: Bucket = {
  id: parseBucketId(1),
  name: parseBucketName("bucket"),
  owner: parseAccountId("root"),
  createdMs: 0,
  location: "",
  versioning: "enabled",
  settings: [],
  settingsVersion: 1,
}
const random = new Uint8Array(8)

/** Rows that count how many of them a scan has read. */
class CountedView implements QueryView {
  readonly rows = new MemoryLayer<MetadataRow>()
  readonly position = parsePosition(0)
  readonly incarnations = soleProcess(parseIncarnation(1))
  readonly generationMark = undefined
  touched = 0

  get(family: Family, key: RowKey): MetadataRow | undefined {
    this.touched += 1
    return getThrough([this.rows], family, key)
  }

  *range(family: Family, range: KeyRange): Generator<readonly [RowKey, MetadataRow]> {
    for (const pair of rangeThrough([this.rows], family, range)) {
      this.touched += 1
      yield pair
    }
  }

  scan(family: Family, range: KeyRange, visitor: RowVisitor): void {
    visitRows(this.range(family, range), visitor)
  }

  put(text: string, order: number, kind: "current" | "old" | "marker" = "current"): void {
    const head: VersionHead = {
      isMarker: kind === "marker",
      isNull: false,
      hasDetails: false,
      isShared: false,
      isLocked: false,
      storageClass: "STANDARD",
      checksumAlgorithm: undefined,
      checksumType: undefined,
      sizeBytes: 1,
      modifiedMs: 1,
      order,
      random,
      md5: new Uint8Array(16),
      parts: 0,
    }
    const value = encodeVersion({ head, content: { kind: "inline" }, checksumValue: undefined, details: NO_DETAILS })
    const row = objectRowKey(bucket.id, objectKeyOfText(text))
    if (kind === "current") this.rows.set("current", row, { value, payload: undefined })
    else this.rows.set("versions", versionRowKey(row, order), { value, payload: undefined })
  }

  remove(text: string): void {
    this.rows.drop("current", objectRowKey(bucket.id, objectKeyOfText(text)))
  }

  cost(run: () => void): number {
    this.touched = 0
    run()
    return this.touched
  }
}

const ROWS = 100_000
const keyOf = (i: number) =>
  `folder-${String(i % 1000).padStart(3, "0")}/${String(Math.floor(i / 1000)).padStart(5, "0")}`
const large = new CountedView()

before(() => {
  for (let i = 0; i < ROWS; i += 1) large.put(keyOf(i), 10)
})

const nameOfVersion = (entry: VersionEntry): string => {
  if (entry.kind === "prefix") return entry.prefix
  return entry.kind === "version" ? entry.object.key : entry.key
}

const page = (view: CountedView, change: Partial<Parameters<typeof listObjects>[1]> = {}) =>
  pageOf(listObjects(view, { bucket, prefix: "", delimiter: "", after: "", max: 1000, ...change }))

test("a page among 100,000 keys reads only its own rows, wherever it starts", () => {
  for (const after of ["", "folder-500/00050", "folder-999/00098", "zzz"]) {
    let shown = 0
    const cost = large.cost(() => void (shown = page(large, { after }).entries.length))
    assert.ok(cost <= shown + 2, `${cost} rows for ${shown} entries after "${after}"`)
  }
  const cost = large.cost(() => void page(large, { prefix: "folder-77", max: 50 }))
  assert.ok(cost <= 52, `${cost} rows for 50 entries`)
})

test("pages of objects and of versions equal sorting and folding all keys, whatever is below a prefix", () => {
  const piece = fc.constantFrom("a", "b", "aa", "/", "//", "a/", "/b", "\u00ff", "\u{1f600}")
  const texts = fc.uniqueArray(
    fc.array(piece, { minLength: 1, maxLength: 5 }).map(pieces => pieces.join("")),
    {
      maxLength: 60,
    },
  )
  const sizes = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 8 })
  const scope = fc.record({ prefix: fc.constantFrom("", "a", "a/"), delimiter: fc.constantFrom("", "/", "a", "//") })
  fc.assert(
    fc.property(texts, sizes, scope, fc.integer({ min: 1, max: 9 }), (some, groups, { prefix, delimiter }, max) => {
      const many = groups.flatMap((size, g) => Array.from({ length: size }, (_, i) => `a/g${g}/${i}`))
      const view = new CountedView()
      for (const text of [...some, ...many]) view.put(text, 1)
      const keys = [...new Set([...some, ...many])].map(text => String(objectKeyOfText(text))).sort()
      const folded = keys
        .filter(key => key.startsWith(prefix))
        .map(key => commonPrefixOf(key, { prefix, delimiter }) ?? key)
      const shown: string[] = []
      for (let after: string | undefined = ""; after !== undefined;) {
        const { entries, next } = page(view, { prefix, delimiter, after, max })
        shown.push(...entries.map(entry => (entry.kind === "prefix" ? entry.prefix : entry.object.key)))
        after = next
      }
      assert.deepEqual(shown, [...new Set(folded)])
      const versions: string[] = []
      let marker: VersionsPage["next"] = { keyMarker: "", versionIdMarker: undefined }
      while (marker !== undefined) {
        const of: VersionsPage = listVersions(view, { bucket, prefix, delimiter, max, ...marker })
        versions.push(...of.entries.map(nameOfVersion))
        marker = of.next
      }
      assert.deepEqual(versions, [...new Set(folded)])
    }),
    { numRuns: runsOf(100) },
  )
})

test("with a delimiter, a page of prefixes needs one seek each, not a scan of the keys below", () => {
  const cost = large.cost(() => {
    const { entries, next } = page(large, { delimiter: "/" })
    assert.equal(entries.length, 1000)
    assert.equal(next, undefined)
  })
  assert.ok(cost <= 3100, `${cost} rows for 1,000 prefixes`)
})

test("old versions and markers cost a listing nothing, and a page of versions reads only its own", () => {
  const view = new CountedView()
  for (let order = 1; order <= ROWS; order += 1) view.put("b", order, "old")
  for (const [i, key] of ["a", "c", "d"].entries()) view.put(key, ROWS + i)
  view.put("b", ROWS + 9)
  for (let i = 0; i < 1000; i += 1) view.put(`gone-${i}`, 5, "marker")
  const cost = view.cost(() => assert.equal(page(view).entries.length, 4))
  assert.ok(cost <= 6, `${cost} rows for 4 entries`)
  const versionIdMarker = versionIdOf(50_000, random)
  const request = { bucket, prefix: "", delimiter: "", keyMarker: "b", versionIdMarker, max: 100 }
  const costOfVersions = view.cost(() => {
    const { entries } = listVersions(view, request)
    const orders = entries.map(entry => (entry.kind === "version" ? entry.versionId : undefined))
    assert.deepEqual(
      orders,
      Array.from({ length: 100 }, (_, i) => versionIdOf(49_999 - i, random)),
    )
  })
  assert.ok(costOfVersions <= 110, `${costOfVersions} rows for 100 versions`)
})

test("pages of any size join to one listing, with and without a delimiter", () => {
  for (const delimiter of ["", "/", "0/"]) {
    const request = { prefix: "folder-00", delimiter }
    const whole = page(large, { ...request, max: 10_000 }).entries
    for (const max of [1, 7, 100]) {
      const joined: ListEntry[] = []
      for (let after: string | undefined = ""; after !== undefined;) {
        const { entries, next } = page(large, { ...request, after, max })
        joined.push(...entries)
        after = next
      }
      assert.deepEqual(joined, whole, `"${delimiter}" in pages of ${max}`)
    }
  }
})

test("a bucket can be emptied page by page, removing the versions on each page", () => {
  const view = new CountedView()
  view.put("a", 3)
  view.put("a", 2, "old")
  view.put("a", 1, "old")
  const first = listVersions(view, {
    bucket,
    prefix: "",
    delimiter: "",
    keyMarker: "",
    versionIdMarker: undefined,
    max: 1,
  })
  assert.equal(first.entries.length, 1)
  const next = must(first.next, "there are more")
  // The newest version is removed: the previous one becomes the current one.
  view.remove("a")
  view.rows.drop("versions", versionRowKey(objectRowKey(bucket.id, objectKeyOfText("a")), 2))
  view.put("a", 2)
  const rest = listVersions(view, { bucket, prefix: "", delimiter: "", ...next, max: 10 })
  const shown = rest.entries.map(entry => (entry.kind === "version" ? entry.versionId : ""))
  assert.deepEqual(shown, [versionIdOf(2, random), versionIdOf(1, random)])
})

test("a marker is the latest version of its key only while no newer version exists", () => {
  const view = new CountedView()
  view.put("a", 2, "marker")
  view.put("a", 1, "old")
  const row = objectRowKey(bucket.id, objectKeyOfText("a"))
  const head = { lastOrder: 2, lastModifiedMs: 1, nullOrder: 0, versions: 2, latestOrder: 2 }
  view.rows.set("heads", row, { value: encodeRowHead(head), payload: undefined })
  const list = (): readonly VersionEntry[] =>
    listVersions(view, { bucket, prefix: "", delimiter: "", keyMarker: "", versionIdMarker: undefined, max: 10 })
      .entries
  assert.deepEqual(
    list().map(entry => entry.kind !== "prefix" && entry.isLatest),
    [true, false],
  )
  assert.equal(page(view).entries.length, 0)
  view.put("a", 3)
  view.rows.set("heads", row, { value: encodeRowHead({ ...head, latestOrder: 3, versions: 3 }), payload: undefined })
  assert.deepEqual(
    list().map(entry => entry.kind !== "prefix" && entry.isLatest),
    [true, false, false],
  )
})

test("an empty page, and a marker that cannot be a key, are valid", () => {
  assert.deepEqual(page(large, { max: 0 }), { entries: [], next: undefined })
  assert.deepEqual(page(large, { after: "\xff\xff" }).entries, [])
  assert.deepEqual(page(large, { prefix: "\xff" }).entries, [])
  assert.equal(page(large, { after: String(rowKeyOf("\x00")), max: 1 }).entries.length, 1)
})
