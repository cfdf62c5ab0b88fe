/** Formats of Swift: golden texts, and hostile ones. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId } from "@hayloft/base/ids.js"
import { must } from "@hayloft/base/assert.js"
import { parseTimestamp } from "@hayloft/base/text/timestamp.js"
import { decodeChange, encodeChange } from "../objects/change.js"
import { decodeSwiftSync, encodeSwiftSync, type SwiftSync } from "./swift-sync.js"
import { decodeSymlink, encodeSymlink, type Symlink } from "../objects/symlink.js"
import { decodeSwiftContainer, encodeSwiftContainer, type SwiftContainer } from "./swift-container.js"
import { decodeSwiftAccount, encodeSwiftAccount } from "./swift-account.js"
import { decodeSwiftSetter, encodeSwiftSetter, type SwiftSetter } from "./swift-setter.js"
import { encodeSwiftToken, readSwiftToken } from "./swift-token.js"

const TOKEN = "AUTH_tkkwGqQUtJQVNBTVBMRc5rSdIA.Hm8zDOk1jXFDHsXGTISVI-bDtm9i3vjhToTA1DGUYE4"
const REMOVED = "9501c40400ff3132cb42e353a6b39a07200105"
const CONTAINER =
  '{"version":1,"metadata":[["color","red"],["temp-url-key","k\u00e9y"]],"read":".r:*,.rlistings","write":"a:b","archive":["stack","old"],"policy":"STANDARD_IA","quotesEtags":false}'

const sample = { accessKeyId: parseAccessKeyId("AKIASAMPLE"), expiresSeconds: 1_800_000_000 }

test("a token of version 1 is what it always was, both ways", () => {
  assert.equal(encodeSwiftToken(sample, "secret"), TOKEN)
  const read = readSwiftToken(TOKEN)
  assert.deepEqual([read?.accessKeyId, read?.expiresSeconds], [sample.accessKeyId, sample.expiresSeconds])
  assert.deepEqual([read?.isMadeWith("secret"), read?.isMadeWith("other")], [true, false])
})

test("a token that was changed is none, or was not made with the secret", () => {
  for (let at = 0; at < TOKEN.length; at += 1) {
    // The last character has bits that a decoder ignores: with 5 for 4, the bytes would stay the same.
    for (const other of "AB5") {
      const changed = `${TOKEN.slice(0, at)}${other}${TOKEN.slice(at + 1)}`
      assert.equal(readSwiftToken(changed)?.isMadeWith("secret") ?? false, changed === TOKEN, changed)
    }
    assert.equal(readSwiftToken(TOKEN.slice(0, at)), undefined)
  }
  assert.equal(readSwiftToken(`AUTH_tk${"A".repeat(600)}.${"A".repeat(43)}`), undefined)
})

test("a container's document of version 1 is what it always was, both ways", () => {
  const container: SwiftContainer = {
    metadata: [
      ["color", "red"],
      ["temp-url-key", "k\u00e9y"],
    ],
    read: ".r:*,.rlistings",
    write: "a:b",
    archive: { mode: "stack", location: "old" },
    policy: "STANDARD_IA",
    quotesEtags: false,
  }
  assert.equal(encodeSwiftContainer(container), CONTAINER)
  assert.deepEqual(decodeSwiftContainer(CONTAINER), container)
})

test("the setter of where versions go makes the document one of version 2", () => {
  const archive = { mode: "history", location: "old", setter: { kind: "root", id: parseAccountId("root") } } as const
  const text = encodeSwiftContainer({ metadata: [], read: "", write: "", archive })
  assert.equal(text, '{"version":2,"metadata":[],"read":"","write":"","archive":["history","old","root root"]}')
  assert.deepEqual(decodeSwiftContainer(text).archive, archive)
  for (const wrong of [
    text.replace(":2,", ":1,"),
    text.replace(',"root root"', ""),
    text.replace("root root", "root"),
    text.replace('"root root"', '"root root","more"'),
    text.replace('"root root"', "1"),
  ]) {
    assert.throws(
      () => decodeSwiftContainer(wrong),
      error => isFailure(error, "corruptRecord"),
      wrong,
    )
  }
})

test("a container's document that was cut, or has members that are not known, is refused", () => {
  const refused = [
    ...Array.from({ length: CONTAINER.length }, (_, length) => CONTAINER.slice(0, length)),
    CONTAINER.replace('"version":1', '"version":2'),
    CONTAINER.replace('"write"', '"more":1,"write"'),
    CONTAINER.replace('"red"', "1"),
    CONTAINER.replace('"stack"', '"other"'),
    CONTAINER.replace("STANDARD_IA", "OTHER"),
    CONTAINER.replace("false", "0"),
    "null",
    "[]",
    "1",
  ]
  for (const text of refused) {
    assert.throws(
      () => decodeSwiftContainer(text),
      error => isFailure(error, "corruptRecord"),
      text,
    )
  }
})

test("how a container is synchronized, in version 1, is what it always was, both ways", () => {
  const sync: SwiftSync = { to: "//realm/cluster/AUTH_1/c", key: "k\u00e9y", isFilled: true }
  const text = '{"version":1,"to":"//realm/cluster/AUTH_1/c","key":"k\u00e9y","isFilled":true}'
  assert.equal(encodeSwiftSync(sync), text)
  assert.deepEqual(decodeSwiftSync(text), sync)
  const refused = [
    ...Array.from({ length: text.length }, (_, length) => text.slice(0, length)),
    text.replace('"version":1', '"version":2'),
    text.replace('"to"', '"more":1,"to"'),
    text.replace("true", "1"),
    "null",
    "[]",
    "1",
  ]
  for (const document of refused)
    assert.throws(
      () => decodeSwiftSync(document),
      error => isFailure(error, "corruptRecord"),
      document,
    )
})

test("changes of objects of version 1 are what they always were, both ways", () => {
  const removed = {
    id: "\x00\xff12",
    removedAt: must(parseTimestamp("1700000000.12345"), "a timestamp"),
    isCopied: true,
    notedMs: 5,
  }
  const there = { id: "\x01", removedAt: undefined, isCopied: false, notedMs: 6 }
  for (const [change, hex] of [
    [removed, REMOVED],
    [there, "9501c40101c00006"],
  ] as const) {
    assert.equal(Buffer.from(encodeChange(change)).toString("hex"), hex)
    assert.deepEqual(decodeChange(Buffer.from(hex, "hex")), change)
  }
})

test("a symbolic link of version 1 is what it always was, both ways", () => {
  const link: Symlink = { account: "AUTH_1", container: "c\u00c3\u00a9", object: "a b/%c" }
  const pinned = { ...link, pinned: { etag: "00112233445566778899aabbccddeeff-2", sizeBytes: 9_000_000_000 } }
  const path = "1 AUTH_1/c%C3%A9/a%20b/%25c"
  for (const [value, text] of [
    [link, path],
    [pinned, `${path} 00112233445566778899aabbccddeeff-2 9000000000`],
  ] as const) {
    assert.equal(encodeSymlink(value), text)
    assert.deepEqual(decodeSymlink(text), value)
  }
  for (const text of ["", "1", "1 a/b", "1 a/b/c e", "1 a/b/c e x", "2 a/b/c", `${path} x 1 y`])
    assert.throws(
      () => decodeSymlink(text),
      error => isFailure(error, "corruptRecord"),
      text,
    )
})

const SETTERS: readonly (readonly [text: string, setter: SwiftSetter])[] = [
  ["key AKIASAMPLE", { kind: "key", id: parseAccessKeyId("AKIASAMPLE") }],
  ["served AKIASAMPLE", { kind: "served", id: parseAccessKeyId("AKIASAMPLE") }],
  ["root project", { kind: "root", id: parseAccountId("project") }],
]

test("who set a key is noted in a container, an account and a sync as it always was, both ways", () => {
  for (const [text, setter] of SETTERS) {
    assert.equal(encodeSwiftSetter(setter), text)
    assert.deepEqual(decodeSwiftSetter(text), setter)
    const sync: SwiftSync = { to: "", key: "k", isFilled: false, setter }
    assert.equal(encodeSwiftSync(sync), `{"version":2,"to":"","key":"k","isFilled":false,"setter":"${text}"}`)
    assert.deepEqual(decodeSwiftSync(encodeSwiftSync(sync)), sync)
    const setters = [["temp-url-key", setter] as const]
    const container: SwiftContainer = { metadata: [["temp-url-key", "k"]], read: "", write: "", setters }
    const stored = `{"version":2,"metadata":[["temp-url-key","k"]],"read":"","write":"","setters":[["temp-url-key","${text}"]]}`
    assert.equal(encodeSwiftContainer(container), stored)
    assert.deepEqual(decodeSwiftContainer(stored), container)
    assert.throws(
      () => decodeSwiftContainer(stored.replace('"version":2', '"version":1')),
      error => isFailure(error, "corruptRecord"),
    )
  }
  const [, setter] = must(SETTERS[0], "a setter")
  const account = { metadata: [["temp-url-key", "k"] as const], access: "" }
  const noted = { ...account, setters: [["temp-url-key", setter] as const] }
  assert.equal(Buffer.from(encodeSwiftAccount(account)).toString("hex"), "930192ac74656d702d75726c2d6b6579a16ba0")
  assert.equal(
    Buffer.from(encodeSwiftAccount(noted)).toString("hex"),
    "960192ac74656d702d75726c2d6b6579a16ba0c0c092ac74656d702d75726c2d6b6579ae6b657920414b494153414d504c45",
  )
  assert.deepEqual(decodeSwiftAccount(encodeSwiftAccount(noted)), noted)
  assert.deepEqual(decodeSwiftAccount(encodeSwiftAccount(account)), account)
  for (const text of ["", "key", "key ", "other AKIASAMPLE", "key a b", "root /"])
    assert.throws(
      () => decodeSwiftSetter(text),
      error => isFailure(error, "corruptRecord"),
      text,
    )
})
