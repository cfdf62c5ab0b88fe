import { test } from "node:test"
import assert from "node:assert/strict"
import { fc } from "../testing-properties.js"
import { isCanonicalPath, parseQuery, percentDecode, percentEncode, splitTarget } from "./uri.js"
import { isFailure, unlessRefused } from "../failures.js"

const byteString = fc.uint8Array({ maxLength: 200 }).map(bytes => String.fromCharCode(...bytes))

test("percent encoding is decoded exactly once, for every byte", () => {
  fc.assert(
    fc.property(byteString, fc.boolean(), (bytes, keepSlash) => {
      assert.equal(percentDecode(percentEncode(bytes, keepSlash)), bytes)
    }),
  )
  assert.equal(percentDecode("%252F"), "%2F")
  assert.equal(percentDecode("a+b"), "a+b")
  assert.equal(percentEncode("a b+c/d~é"), "a%20b%2Bc%2Fd~%E9")
  assert.equal(percentEncode("a/b", true), "a/b")
})

test("a path is canonical if decoding and encoding it returns it", () => {
  const piece = fc.oneof(
    fc.constantFrom("/", "a", "~", "%20", "%2F", "%2f", "%E4", "%e4", "%41", "%7E", "%7F", "%5B", "%5A", "+", "%"),
    fc.integer({ min: 0, max: 255 }).map(byte => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), pieces => {
      const path = `/${pieces.join("")}`
      const again = unlessRefused(() => percentEncode(percentDecode(path), true))
      assert.equal(isCanonicalPath(path), again === path, path)
    }),
    { numRuns: 3_000 },
  )
})

test("a broken escape is refused, never passed through", () => {
  for (const text of ["%", "%a", "a%zz", "%%41", "%4"]) {
    assert.throws(
      () => percentDecode(text),
      error => isFailure(error, "invalidUri"),
    )
  }
})

test("a target is not normalised", () => {
  for (const path of ["/b/../c//d/./e", "//b/k", "/b\\k", "/b/%2e%2E/x", "/"]) {
    assert.deepEqual(splitTarget(path), { rawPath: path, rawQuery: "", authority: undefined })
  }
  assert.deepEqual(splitTarget("/b/k?a=1?b&c"), { rawPath: "/b/k", rawQuery: "a=1?b&c", authority: undefined })
  assert.deepEqual(splitTarget("http://H:9000/b//k?x"), { rawPath: "/b//k", rawQuery: "x", authority: "H:9000" })
  assert.deepEqual(splitTarget("http://h?x"), { rawPath: "/", rawQuery: "x", authority: "h" })
  for (const target of ["*", "h:443", "", "ftp://h/"]) {
    assert.throws(
      () => splitTarget(target),
      error => isFailure(error, "invalidUri"),
    )
  }
})

test("queries keep order, repeats and the difference between `acl` and `acl=`", () => {
  assert.deepEqual(parseQuery("acl&b=1&a=x%3Dy&&b=+2&c="), [
    { name: "acl", value: "", assigned: false },
    { name: "b", value: "1", assigned: true },
    { name: "a", value: "x=y", assigned: true },
    { name: "b", value: "+2", assigned: true },
    { name: "c", value: "", assigned: true },
  ])
})

test("no text makes these throw anything but a failure", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), text => {
      try {
        parseQuery(splitTarget(text).rawQuery)
      } catch (error) {
        assert.ok(isFailure(error, "invalidUri"))
      }
    }),
  )
})
