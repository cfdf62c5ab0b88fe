/** Temporary URLs: the vectors of Swift's documentation, and that nothing but what was signed is admitted. */
import assert from "node:assert/strict"
import { createHmac } from "node:crypto"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import {
  admitTempUrl,
  checkTempUrlHeaders,
  dispositionOfTempUrl,
  publicMetadata,
  readTempUrl,
  type TempUrl,
} from "./temp-url-core.js"
import { urlKeysIn, type UrlKey } from "./url-signatures-core.js"
import { must } from "@hayloft/base/assert.js"

const EXPIRES = 1323479485
const KEYS = [
  ...urlKeysIn("account", [
    ["temp-url-key", "other"],
    ["temp-url-key-2", "mykey"],
    ["color", "red"],
  ]),
  ...urlKeysIn("container", [["temp-url-key", "containerkey"]]),
]
const REQUEST = {
  method: "GET",
  account: "AUTH_account",
  container: "container",
  object: "object",
  clientAddress: "1.2.3.4",
  nowMs: (EXPIRES - 1) * 1000,
}
type Request = Parameters<typeof admitTempUrl>[1]

const SHA1 = "d9fc2067e52b06598421664cf6610bfc8fc431f6"
const SHA256 = "05cb4ea08a08f2fdaef35d0f344975370077835c23bdc9342099ecbf03bc0378"
const SHA512 = "sha512:zZD1u2V0ZLDxhhrRPFrYzGf1H0yIHc6Qv8kAhpMcy4mguNI8bP99Sv4C2HOwA1OF0wJUl7vX8Mo11hv5k223fQ=="
const OF_PREFIX = "f6d0abf5d9aeff3aeeaab9f8f6725282083d9b9d2e9bcaf7eed764a4b45adc0c"
const OF_RANGE = "7929a934eb61018404dd3d0d4bc9e1f25108977c8491640c5fd60f57b28b8c6b"

const query = (sig: string, more = ""): string =>
  `temp_url_sig=${encodeURIComponent(sig)}&temp_url_expires=${EXPIRES}${more}`
const read = (rawQuery: string): TempUrl => must(readTempUrl(rawQuery), "a temporary URL")

/** The scope of the key, or the message of the refusal. */
function answer(rawQuery: string, change: Partial<Request> = {}, keys: readonly UrlKey[] = KEYS): string {
  try {
    return admitTempUrl(read(rawQuery), { ...REQUEST, ...change }, keys).signer.scope
  } catch (error) {
    if (isFailure(error, "signatureMismatch")) return error.message
    throw error
  }
}

const INVALID = "Temp URL invalid"

test("signatures of every digest, in hex and in base64, admit the request that was signed", () => {
  for (const sig of [SHA1, SHA256, SHA512, SHA256.toUpperCase()]) assert.equal(answer(query(sig)), "account", sig)
  const hex = Buffer.from(SHA512.slice(7), "base64")
  assert.equal(answer(query(hex.toString("hex"))), "account")
  assert.equal(answer(query(`sha512:${hex.toString("base64url")}`)), "account")
  assert.equal(answer(query(SHA256, "&temp_url_expires=1")), "account", "the first value counts")
  assert.equal(answer(`temp_url_sig=${SHA256}&temp_url_expires=2011-12-10T01:11:25Z`), "account")
})

test("what was not signed is not admitted: method, path, time, key, address", () => {
  const bad: readonly [string, Partial<Request>][] = [
    [query(SHA256), { method: "PUT" }],
    [query(SHA256), { method: "OPTIONS" }],
    [query(SHA256), { object: "object2" }],
    [query(SHA256), { container: "other" }],
    [query(SHA256), { account: "AUTH_other" }],
    [query(SHA256), { nowMs: (EXPIRES + 1) * 1000 }],
    [query(SHA256), { object: undefined }],
    [query(SHA256, "&temp_url_prefix="), {}],
    [query(SHA256, "&temp_url_ip_range=1.2.3.4"), {}],
    [query(SHA256.replace("0", "1")), {}],
    [`temp_url_sig=${SHA256}&temp_url_expires=${EXPIRES + 1}`, {}],
  ]
  for (const [rawQuery, change] of bad)
    assert.equal(answer(rawQuery, change), INVALID, JSON.stringify([rawQuery, change]))
  assert.equal(answer(query(SHA256), {}, []), INVALID)
  assert.equal(answer(query(SHA256), {}, urlKeysIn("account", [["temp-url-key", ""]])), INVALID)
})

test("a prefix admits all names below it, and an address range all addresses in it", () => {
  const prefix = query(OF_PREFIX, "&temp_url_prefix=pre")
  assert.equal(answer(prefix, { object: "pre" }), "account")
  assert.equal(answer(prefix, { object: "prefix/deep" }), "account")
  assert.equal(answer(prefix, { object: "pr" }), INVALID)
  const range = query(OF_RANGE, "&temp_url_ip_range=1.2.3.0/24")
  assert.equal(answer(range), "account")
  assert.equal(answer(range, { clientAddress: "::ffff:1.2.3.9" }), "account")
  assert.equal(answer(range, { clientAddress: "1.2.4.1" }), INVALID)
  assert.equal(answer(range, { clientAddress: "unknown" }), INVALID)
})

test("HEAD is admitted by a URL for reading or writing, and not by one for deleting", () => {
  assert.equal(answer(query(SHA256), { method: "HEAD" }), "account")
  const signed = (method: string): string =>
    createHmac("sha256", "mykey").update(`${method}\n${EXPIRES}\n/v1/AUTH_account/container/object`).digest("hex")
  for (const method of ["HEAD", "POST", "PUT"])
    assert.equal(answer(query(signed(method)), { method: "HEAD" }), "account", method)
  assert.equal(answer(query(signed("DELETE")), { method: "HEAD" }), INVALID)
  assert.equal(answer(query(signed("DELETE")), { method: "DELETE" }), "account")
})

test("a key of the container is told from one of the account", () => {
  assert.equal(answer(query(SHA256), {}, urlKeysIn("container", [["temp-url-key", "mykey"]])), "container")
})

test("a query without a signature is no temporary URL, and a broken one is refused", () => {
  for (const rawQuery of ["", "prefix=a", "temp_url_prefix=a", "filename=a&inline"])
    assert.equal(readTempUrl(rawQuery), undefined, rawQuery)
  const broken = [
    `temp_url_sig=${SHA256}`,
    `temp_url_expires=${EXPIRES}`,
    `temp_url_sig=${SHA256}&temp_url_expires=soon`,
    `temp_url_sig=${SHA256}&temp_url_expires=2011-12-10`,
    query("abc"),
    query("md5:AAAA"),
    query("sha512:AAAA"),
    query(SHA256.slice(1)),
  ]
  for (const rawQuery of broken) assert.throws(() => readTempUrl(rawQuery), { message: INVALID }, rawQuery)
  for (const other of ["multipart-manifest=put", "symlink=get", "version-id=1", "bulk-delete"])
    assert.throws(() => readTempUrl(query(SHA256, `&${other}`)), /not allowed in this tempurl/, other)
})

test("a write may not store a pointer to other objects", () => {
  const pointer = new Map([["x-object-manifest", "c/p"]])
  assert.throws(() => checkTempUrlHeaders("PUT", pointer), /x-object-manifest is not allowed/)
  assert.throws(() => checkTempUrlHeaders("POST", new Map([["x-symlink-target", "c/o"]])), /x-symlink-target/)
  checkTempUrlHeaders("GET", pointer)
  checkTempUrlHeaders("PUT", new Map())
})

test("browsers save under the name of the URL, of the object, or of the last part of its path", () => {
  const shown = (more: string, stored: string | undefined, object: string): string =>
    dispositionOfTempUrl(read(query(SHA256, more)), stored, object)
  const attachment = (name: string, coded: string) => `attachment; filename="${name}"; filename*=UTF-8''${coded}`
  assert.equal(shown("", undefined, "a/b c.txt"), attachment("b c.txt", "b%20c.txt"))
  assert.equal(shown("", undefined, "a/dir/"), attachment("dir", "dir"))
  assert.equal(shown("", "attachment; filename=x", "a"), "attachment; filename=x")
  assert.equal(shown("&filename=My+File.pdf", "other", "a"), attachment("My File.pdf", "My%20File.pdf"))
  assert.equal(shown("&inline", undefined, "a"), "inline")
  assert.equal(shown("&inline&filename=a%22b", undefined, "a"), `inline; filename="a%22b"; filename*=UTF-8''a%22b`)
})

test("a temporary URL shows public metadata only", () => {
  const metadata = [
    ["public-a", "1"],
    ["private", "2"],
    ["publicb", "3"],
  ] as const
  assert.deepEqual(publicMetadata(metadata), [["public-a", "1"]])
})
