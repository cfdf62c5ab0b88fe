import { test } from "node:test"
import assert from "node:assert/strict"
import { fc } from "@hayloft/base/testing-properties.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseQuery, percentEncode } from "@hayloft/base/http/uri.js"
import { bucketOfHost, keyOfByteString, parseTarget } from "./target.js"
import { RequestQuery } from "./query.js"

const parse = (target: string, host: string) => parseTarget(target, host, bucketOfHost(host, []))

test("keys are kept byte for byte, never normalised like paths", () => {
  const keys: [string, string][] = [
    ["/b/../c//d/./e", "../c//d/./e"],
    ["/b/a", "a"],
    ["/b/a/", "a/"],
    ["/b/a//", "a//"],
    ["/b//", "/"],
    ["/b/%2F%2E+%25%00", "/.+%\u0000"],
    ["/b/\\x", "\\x"],
    ["/b/%C3%A4", "\u00c3\u00a4"],
  ]
  for (const [target, key] of keys) {
    const { bucket, rawKey, style } = parse(target, "127.0.0.1:9000")
    assert.deepEqual({ bucket, rawKey, style }, { bucket: "b", rawKey: key, style: "path" }, target)
  }
  const none = parse("/?x=1", "h")
  assert.deepEqual([none.bucket, none.rawKey], [undefined, undefined])
  assert.deepEqual([parse("/b", "h").rawKey, parse("/b/", "h").rawKey], [undefined, undefined])
  // A path without its bucket must not address the service.
  assert.equal(parse("//b/k", "h").bucket, "")
})

test("every byte string is a key that survives encoding", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.boolean(), (bytes, keepSlash) => {
      const key = String.fromCharCode(...bytes)
      assert.equal(parse(`/b/${percentEncode(key, keepSlash)}`, "h").rawKey, key)
      assert.equal(parse(`/${percentEncode(key, keepSlash)}`, "b.localhost").rawKey, key)
    }),
  )
})

test("the Host decides between virtual-host and path style", () => {
  const domains = ["s3.example.com", "example.com"]
  const hosts: [string, string | undefined][] = [
    ["b.localhost:9000", "b"],
    ["B.LocalHost", "b"],
    ["my.dotted.bucket.localhost", "my.dotted.bucket"],
    ["localhost:9000", undefined],
    [".localhost", undefined],
    ["127.0.0.1:9000", undefined],
    ["[::1]:9000", undefined],
    ["s3.example.com", undefined],
    ["b.s3.example.com:443", "b"],
    ["b.example.com", "b"],
    ["b.example.com.", "b"],
    ["B.s3.example.com.:443", "b"],
    ["s3.example.com.", undefined],
    ["b..example.com", "b."],
    ["b.other.com", undefined],
    ["badexample.com", undefined],
  ]
  for (const [host, bucket] of hosts) assert.equal(bucketOfHost(host, domains), bucket, host)
  const target = parse("//k", "b.localhost")
  assert.deepEqual([target.bucket, target.rawKey, target.style], ["b", "/k", "virtualHost"])
})

test("an absolute target must name the Host", () => {
  assert.equal(parse("http://h:1/b/k", "H:1").rawKey, "k")
  assert.throws(
    () => parse("http://other/b/k", "h"),
    error => isFailure(error, "invalidUri"),
  )
})

test("keys are UTF-8 of at most 1,024 bytes", () => {
  assert.equal(keyOfByteString("a".repeat(1024)).length, 1024)
  assert.throws(
    () => keyOfByteString("a".repeat(1025)),
    error => isFailure(error, "keyTooLong"),
  )
  assert.throws(
    () => keyOfByteString("\u00ff"),
    error => isFailure(error, "invalidKey"),
  )
  assert.equal(keyOfByteString("\u0000"), "\u0000")
})

test("numbers in queries are whole, in range, or refused", () => {
  const query = (text: string) => new RequestQuery(parseQuery(parse(`/?${text}`, "h").rawQuery))
  const limits = { min: 0, max: 1000, clamp: true }
  assert.equal(query("max-keys=0").integer("max-keys", limits), 0)
  assert.equal(query("max-keys=5000").integer("max-keys", limits), 1000)
  assert.equal(query("max-keys=").integer("max-keys", limits), undefined)
  assert.equal(query("max-keys=3&max-keys=4").integer("max-keys", limits), 3)
  for (const text of ["-1", "x", "1.5", "1e3", "+1", "99999999999", "%201"]) {
    assert.throws(
      () => query(`max-keys=${text}`).integer("max-keys", limits),
      error => isFailure(error, "invalidArgument"),
    )
  }
  assert.throws(
    () => query("n=10001").integer("n", { min: 1, max: 10_000 }),
    error => isFailure(error, "invalidArgument"),
  )
  // The bound of 32 bits is that of Amazon's own parameters: an offset in an object may be larger.
  const offsets = { min: 0, max: 2 ** 40 }
  assert.equal(query("offset=2147483648").integer("offset", offsets), 2 ** 31)
  assert.equal(query(`offset=${2 ** 40}`).integer("offset", offsets), 2 ** 40)
  for (const offset of [2 ** 40 + 1, -1])
    assert.throws(
      () => query(`offset=${offset}`).integer("offset", offsets),
      error => isFailure(error, "invalidArgument"),
    )
  assert.ok(query("acl").has("acl"))
  assert.ok(!query("ACL").has("acl"))
})
