/** Small texts in headers and queries: ranges, ETags, copy sources, tags, tokens. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { fc } from "@hayloft/base/testing-properties.js"
import { isFailure } from "@hayloft/base/failures.js"
import type { FailureKind } from "@hayloft/base/failures.js"
import { percentEncode } from "@hayloft/base/http/uri.js"
import { parseCopySource } from "./copy-source.js"
import { parseETags } from "./etags.js"
import { parseCopyRange, parseRange } from "./range.js"
import { checkTags, parseTagHeader } from "./tags.js"
import { decodeToken, encodeToken } from "./tokens.js"

/** Processor time, so that a busy machine causes no failure; bounds are far above linear time, far below quadratic. */
const cpuMs = (): number => process.cpuUsage().user / 1000

const refused = (kind: FailureKind, work: () => unknown, what?: string) =>
  assert.throws(work, error => isFailure(error, kind), what)
const byteString = (min: number, max: number) =>
  fc.uint8Array({ minLength: min, maxLength: max }).map(bytes => String.fromCharCode(...bytes))

test("one well-formed range is accepted, everything else is ignored", () => {
  const ranges: [string, unknown][] = [
    ["bytes=0-0", { kind: "fromTo", first: 0, last: 0 }],
    ["bytes=5-", { kind: "fromTo", first: 5, last: undefined }],
    ["bytes=-5", { kind: "suffix", lengthBytes: 5 }],
    ["bytes=-0", { kind: "suffix", lengthBytes: 0 }],
    ["Bytes=1-2", { kind: "fromTo", first: 1, last: 2 }],
    [`bytes=0-${"9".repeat(400)}`, { kind: "fromTo", first: 0, last: Number.MAX_SAFE_INTEGER }],
    [`bytes=${"9".repeat(30)}-`, { kind: "fromTo", first: Number.MAX_SAFE_INTEGER, last: undefined }],
  ]
  for (const [text, range] of ranges) assert.deepEqual(parseRange(text), range, text)
  const ignored = [
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=2-1",
    "bytes=0-1,3-4",
    "bytes=a-b",
    "bytes=1",
    "items=0-1",
    "bytes= 0-1",
  ]
  for (const text of [...ignored, "bytes=0-1 ", "bytes=--1", "bytes=0x1-2", "bytes=1.0-2", "=0-1"]) {
    assert.equal(parseRange(text), undefined, text)
  }
})

test("ranges agree with their grammar", () => {
  const digits = fc.oneof(fc.constant(""), fc.nat(50).map(String), fc.constantFrom("x", "-1", " 1"))
  fc.assert(
    fc.property(digits, digits, (first, last) => {
      const range = parseRange(`bytes=${first}-${last}`)
      const numeric = [first, last].every(text => text === "" || Number(text) >= 0) && !/[ x-]/.test(first + last)
      const valid = numeric && first + last !== "" && (first === "" || last === "" || Number(first) <= Number(last))
      assert.equal(range !== undefined, valid)
    }),
  )
})

test("ranges for copies of parts name both ends", () => {
  assert.deepEqual(parseCopyRange("bytes=0-9"), { first: 0, last: 9 })
  for (const text of ["bytes=-5", "bytes=5-", "bytes=9-0", "0-9", "bytes=0-9,11-12", "bytes=0-9 ", ""]) {
    refused("invalidArgument", () => parseCopyRange(text), text)
  }
})

test("ETags are read quoted or not, weak or not, in lists", () => {
  const lists: [string, string[]][] = [
    ['"a"', ["a"]],
    ["a", ["a"]],
    ['W/"a"', ["a"]],
    ['"a", b ,W/"c-2"', ["a", "b", "c-2"]],
    ["*", ["*"]],
    ['"a", *', ["*"]],
    ['"*"', []],
    ['"a,b"', ["a,b"]],
    ['""', []],
    ["", []],
    ['"unended', ["unended"]],
    ['not-"a"', ['not-"a"']],
    ['"a"b, "c"', ['"a"b', "c"]],
  ]
  for (const [text, etags] of lists) assert.deepEqual(parseETags(text), etags, text)
  const started = cpuMs()
  for (const hostile of [
    '"'.repeat(16_000),
    '"a'.repeat(8000),
    "W/".repeat(8000),
    ",".repeat(16_000),
    "a ".repeat(8000),
  ])
    parseETags(hostile)
  assert.ok(cpuMs() - started < 4000)
})

test("copy sources are decoded once and split at the last raw question mark", () => {
  const sources: [string, string, string, string | undefined][] = [
    ["bkt/k", "bkt", "k", undefined],
    ["/bkt/k", "bkt", "k", undefined],
    ["%2Fbkt%2Fk", "bkt", "k", undefined],
    ["/bkt//k", "bkt", "/k", undefined],
    ["bkt/a%3Fb?versionId=v1", "bkt", "a?b", "v1"],
    ["bkt/a?b", "bkt", "a?b", undefined],
    ["bkt/a?versionId=x?versionId=null", "bkt", "a?versionId=x", "null"],
    ["bkt/%2525+%20%2B%C3%A4", "bkt", "%25  +\u00c3\u00a4", undefined],
    ["bkt/k?versionId=", "bkt", "k", ""],
    ["bkt/a/?versionId=1", "bkt", "a/", "1"],
  ]
  for (const [text, bucket, rawKey, versionId] of sources) {
    assert.deepEqual(parseCopySource(text), { bucket, rawKey, versionId }, text)
  }
  for (const text of ["", "/", "bkt", "b/", "/b", "//k", "b/%zz", "?versionId=x"])
    refused("invalidArgument", () => parseCopySource(text), text)
})

test("every key and version survives in a copy source", () => {
  fc.assert(
    fc.property(byteString(1, 40), fc.option(byteString(1, 10)), (key, version) => {
      const text = `/bucket/${percentEncode(key, true)}${version === null ? "" : `?versionId=${percentEncode(version)}`}`
      assert.deepEqual(parseCopySource(text), { bucket: "bucket", rawKey: key, versionId: version ?? undefined })
    }),
  )
})

test("tags must follow S3's rules", () => {
  assert.deepEqual(parseTagHeader("a=1&b=x+y%2Bz&c&%C3%A4=%C3%B6"), [
    ["a", "1"],
    ["b", "x y+z"],
    ["c", ""],
    ["ä", "ö"],
  ])
  assert.deepEqual(parseTagHeader(""), [])
  const ten = Array.from({ length: 10 }, (_, i) => `k${i}=v`).join("&")
  assert.equal(parseTagHeader(ten).length, 10)
  assert.deepEqual(checkTags([["k".repeat(128), "v".repeat(256)]]).length, 1)
  for (const text of [`${ten}&k=v`, "aws:x=1", `${"k".repeat(129)}=v`, `k=${"v".repeat(257)}`, "a=%00", "a=%3Cb%3E"]) {
    refused("invalidTag", () => parseTagHeader(text), text.slice(0, 40))
  }
  for (const text of ["a=1&a=2", "=v", "a=%zz", "a=%ff"]) refused("invalidArgument", () => parseTagHeader(text), text)
  fc.assert(
    fc.property(fc.string(), text => {
      try {
        parseTagHeader(text)
      } catch (error) {
        assert.ok(isFailure(error, "invalidTag", "invalidArgument"))
      }
    }),
  )
})

test("a token is valid in its own scope, and a damaged one never is", () => {
  fc.assert(
    fc.property(byteString(0, 60), fc.string(), (place, scope) => {
      const token = encodeToken(place, scope)
      assert.match(token, /^[A-Za-z0-9_-]+$/)
      assert.equal(decodeToken(token, scope), place)
      refused("invalidArgument", () => decodeToken(token, `${scope}x`))
    }),
  )
  const token = encodeToken("photos/2026/\u00e9", "bucket 1")
  for (let i = 0; i < token.length; i += 1) {
    for (const other of ["A", "_", "z"].filter(character => character !== token[i])) {
      const damaged = token.slice(0, i) + other + token.slice(i + 1)
      refused("invalidArgument", () => decodeToken(damaged, "bucket 1"), damaged)
    }
    refused("invalidArgument", () => decodeToken(token.slice(0, i), "bucket 1"))
  }
  for (const text of ["", "!", "a".repeat(5000), `${token}A`, `${token}=`])
    refused("invalidArgument", () => decodeToken(text, "bucket 1"), text)
})
