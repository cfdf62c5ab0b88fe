/** Manifests of large objects: every fault is named, ETags are Swift's, and ranges touch only what they need. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { lengthOfSegment, type Segment } from "@hayloft/engine/format/objects/segment-list.js"
import {
  checkSegment,
  etagOfDynamic,
  largeObjectOf,
  levelsOf,
  MANIFEST_LIMITS,
  parseDynamicManifest,
  parseManifest,
  rawManifest,
  shownManifest,
} from "./large-objects-core.js"

const OWN = { container: "c", key: "own" }
const MIB = 1024 * 1024
const etagOfManifest = (segments: readonly Segment[]) => hexOf(largeObjectOf(segments).md5)
const sizeOfManifest = (segments: readonly Segment[]) => largeObjectOf(segments).sizeBytes
const md5 = (bytes: string | Uint8Array) => createHash("md5").update(bytes).digest("hex")
const parse = (entries: unknown) => parseManifest(Buffer.from(JSON.stringify(entries)), OWN)

const found = (change: object = {}) => ({
  sizeBytes: 100,
  etag: "e1",
  contentType: "text/plain",
  lastModifiedMs: 0,
  levels: 0,
  ...change,
})

/** The segments of a manifest whose objects all are as `found` says. */
function accept(entries: unknown, change: object = {}): readonly Segment[] {
  const asked = parse(entries)
  return asked.map((segment, index) => {
    const checked = checkSegment(segment, found(change), index === asked.length - 1)
    assert.ok("kind" in checked, JSON.stringify(checked))
    return checked
  })
}

function faultsOf(entries: unknown): readonly string[] {
  try {
    parse(entries)
    return []
  } catch (error) {
    if (isFailure(error, "invalidRequest")) return error.message.trimEnd().split("\n")
    throw error
  }
}

test("all faults of a manifest are named, one a line, with the index of their segment", () => {
  const good = { path: "/c/a", etag: "e1", size_bytes: 10, range: "0-4" }
  assert.deepEqual(
    faultsOf([good, { path: "c/a", size_bytes: "10" }, { data: "YWJj" }, { path: "c/x/", etag: null }]),
    [],
  )
  assert.deepEqual(
    faultsOf([
      7,
      {},
      { path: "c/a", zebra: 1, color: 2 },
      { path: 5 },
      { path: "/c/" },
      { path: "c" },
      { path: "c/a", etag: 5 },
      { path: "c/a", size_bytes: "ten" },
      { path: "c/a", size_bytes: 1.5 },
      { path: "c/a", size_bytes: 0 },
      { path: "//c/own" },
      { path: "c/a", range: "5-1" },
      { path: "c/a", range: "-" },
      { path: "c/a", range: "1-2,3-4" },
      { path: "c/a", size_bytes: 10, range: "10-" },
      { path: "c/a", size_bytes: 10, range: "-0" },
      { data: "?" },
      { data: "" },
      good,
    ]),
    [
      "Index 0: not a JSON object",
      "Index 1: expected keys to include one of 'data' or 'path'",
      'Index 2: extraneous keys "color", "zebra"',
      'Index 3: "path" must be a string',
      "Index 4: path does not refer to an object. Path must be of the form /container/object.",
      "Index 5: path does not refer to an object. Path must be of the form /container/object.",
      'Index 6: "etag" must be a string or null (if provided)',
      "Index 7: invalid size_bytes",
      "Index 8: invalid size_bytes",
      "Index 9: too small; each segment must be at least 1 byte.",
      "Index 10: manifest must not include itself as a segment",
      "Index 11: invalid range",
      "Index 12: invalid range",
      "Index 13: multiple ranges (only one allowed)",
      "Index 14: unsatisfiable range",
      "Index 15: unsatisfiable range",
      "Index 16: data must be valid base64",
      "Index 17: too small; each segment must be at least 1 byte.",
    ],
  )
  assert.deepEqual(faultsOf([{ data: "YWJj" }]), ["Inline data segments require at least one object-backed segment."])
  assert.deepEqual(faultsOf({ path: "c/a" }), ["Manifest must be a list."])
  for (const body of ["[", "", "\xff"])
    assert.throws(() => parseManifest(Buffer.from(body, "latin1"), OWN), { message: "Manifest must be valid JSON.\n" })
})

test("a range is read at once, however many blanks are in it", () => {
  const blanks = " ".repeat(1_000_000)
  assert.deepEqual(faultsOf([{ path: "c/a", range: `${blanks}x` }]), ["Index 0: invalid range"])
  assert.deepEqual(faultsOf([{ path: "c/a", range: `${blanks}1${blanks}-${blanks}2${blanks}` }]), [])
})

test("a manifest is limited in bytes and in segments that are objects; data segments do not count", () => {
  const { segmentsMax, manifestBytesMax } = MANIFEST_LIMITS
  const many = (count: number) => [...Array.from({ length: count }, () => ({ path: "c/a" })), { data: "YQ==" }]
  assert.equal(parse(many(segmentsMax)).length, segmentsMax + 1)
  assert.throws(() => parse(many(segmentsMax + 1)), { message: /must be <= 1000/ })
  assert.throws(
    () => parseManifest(new Uint8Array(manifestBytesMax + 1), OWN),
    error => isFailure(error, "entityTooLarge"),
  )
})

test("the ETag is that of Swift: of whole segments, of ranges, and of data", () => {
  const [a, b] = [md5("a".repeat(MIB)), md5("b")]
  const whole = (etag: string, sizeBytes: number): Segment =>
    must(accept([{ path: "c/a" }], { etag, sizeBytes })[0], "a segment")
  assert.equal(etagOfManifest([whole(a, MIB), whole(b, 1)]), "b96240b4b9e7ea8c6b580ff51ec34eb5")
  assert.equal(sizeOfManifest([whole(a, MIB), whole(b, 1)]), MIB + 1)
  const ranged = accept([
    { path: "c/a", range: "1-2" },
    { path: "c/b", range: "-4" },
  ])
  assert.equal(etagOfManifest(ranged), md5("e1:1-2;e1:96-99;"))
  assert.deepEqual(ranged.map(lengthOfSegment), [2, 4])
  const mixed = accept([{ path: "c/a" }, { data: "YWJj" }])
  assert.equal(etagOfManifest(mixed), md5(`e1${md5("abc")}`))
  assert.equal(sizeOfManifest(mixed), 103)
  assert.equal(etagOfDynamic(["e1", "e2"]), md5("e1e2"))
})

test("a range that is the whole object is none, as in the ETag of Swift", () => {
  for (const range of ["0-", "0-99", "0-500", "-100", "-900"])
    assert.equal(etagOfManifest(accept([{ path: "c/a", range }])), md5("e1"), range)
})

test("a segment that is not as the manifest says is a problem, all of them are told, and paths are encoded", () => {
  const problems = (entry: object, change: object | string | undefined, isLast = false) => {
    const [asked] = parse([entry, { path: "c/z" }])
    return checkSegment(must(asked, "a segment"), typeof change === "object" ? found(change) : change, isLast)
  }
  const path = "/c/a%20b"
  assert.deepEqual(problems({ path: "c/a b" }, undefined), [[path, "404 Not Found"]])
  assert.deepEqual(problems({ path: "c/a b" }, "403 Forbidden"), [[path, "403 Forbidden"]])
  assert.deepEqual(problems({ path: "c/a b", etag: "e2", size_bytes: 5 }, {}), [
    [path, "Size Mismatch"],
    [path, "Etag Mismatch"],
  ])
  assert.deepEqual(problems({ path: "c/a b", range: "100-" }, {}), [[path, "Unsatisfiable Range"]])
  const small = [[path, "Too small; each segment must be at least 1 byte."]]
  assert.deepEqual(problems({ path: "c/a b" }, { sizeBytes: 0 }), small)
  assert.ok("kind" in problems({ path: "c/a b" }, { sizeBytes: 0 }, true), "the last one may be empty")
  assert.ok("kind" in problems({ path: "c/a b", etag: '"e1"', size_bytes: "100" }, {}))
})

test("a manifest is shown with what was found, and its raw form can be put again", () => {
  const segments = accept([{ path: "c/\u00e9", range: "1-2" }, { data: "YWI" }, { path: "/c/b" }], { levels: 1 })
  assert.deepEqual(JSON.parse(shownManifest(segments)), [
    {
      name: "/c/\u00e9",
      bytes: 100,
      hash: "e1",
      content_type: "text/plain",
      range: "1-2",
      sub_slo: true,
      last_modified: "1970-01-01T00:00:00.000000",
    },
    { data: "YWI=" },
    {
      name: "/c/b",
      bytes: 100,
      hash: "e1",
      content_type: "text/plain",
      sub_slo: true,
      last_modified: "1970-01-01T00:00:00.000000",
    },
  ])
  assert.deepEqual(accept(JSON.parse(rawManifest(segments)), { levels: 1 }), segments)
})

test("a dynamic manifest names a container and a prefix", () => {
  assert.deepEqual(parseDynamicManifest("seg%20ments/a/b"), { container: "seg ments", prefix: "a/b" })
  for (const value of ["", "c", "c/", "/c/p", "c//p", "c/p?a", "c/p&b", "c/p%3Fa"])
    assert.throws(() => parseDynamicManifest(value), /must be in the format container\/prefix/, value)
})

test("segments of more than 5 TiB together are refused", () => {
  const tebibyte = 1024 ** 4
  const manifest = [{ path: "c/a" }, { path: "c/a" }, { path: "c/a" }, { path: "c/a" }, { path: "c/a" }]
  const segments = accept(manifest, { sizeBytes: tebibyte })
  assert.equal(largeObjectOf(segments).sizeBytes, 5 * tebibyte)
  for (const sizeBytes of [tebibyte + 1, 2 ** 53, 2 ** 73])
    assert.throws(
      () => largeObjectOf(accept(manifest, { sizeBytes })),
      error => isFailure(error, "entityTooLarge"),
    )
  const ranged = manifest.map(segment => ({ ...segment, range: "0-9" }))
  assert.equal(largeObjectOf(accept(ranged, { sizeBytes: 2 ** 53 })).sizeBytes, 50, "ranges of large objects")
})

test("large objects are within one another as deep as they can be read, and no deeper", () => {
  const [asked] = parse([{ path: "c/a" }])
  const check = (levels: number) => checkSegment(must(asked, "one"), found({ levels }), true)
  const deepest = check(9)
  assert.ok("kind" in deepest)
  assert.equal(largeObjectOf([deepest], levelsOf([found({ levels: 2 }), found({ levels: 9 }), undefined])).levels, 10)
  assert.equal(largeObjectOf(accept([{ path: "c/a" }]), levelsOf([found()])).levels, undefined, "one level")
  for (const levels of [10, 11])
    assert.deepEqual(check(levels), [["/c/a", "Large objects are nested more than 10 deep."]])
})
