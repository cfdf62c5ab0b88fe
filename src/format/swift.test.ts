/** Formats of Swift: golden texts, and hostile ones. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../base/failures.js"
import { parseAccessKeyId } from "../base/ids.js"
import { decodeSwiftContainer, encodeSwiftContainer, type SwiftContainer } from "./swift-container.js"
import { encodeSwiftToken, readSwiftToken } from "./swift-token.js"

const TOKEN = "AUTH_tkkwGqQUtJQVNBTVBMRc5rSdIA.Hm8zDOk1jXFDHsXGTISVI-bDtm9i3vjhToTA1DGUYE4"
const CONTAINER =
  '{"version":1,"metadata":[["color","red"],["temp-url-key","k\u00e9y"]],"read":".r:*,.rlistings","write":"a:b","archive":["stack","old"],"policy":"STANDARD_IA"}'

const sample = { accessKeyId: parseAccessKeyId("AKIASAMPLE"), expiresSeconds: 1_800_000_000 }

test("a token of version 1 is what it always was, both ways", () => {
  assert.equal(encodeSwiftToken(sample, "secret"), TOKEN)
  const read = readSwiftToken(TOKEN)
  assert.deepEqual([read?.accessKeyId, read?.expiresSeconds], [sample.accessKeyId, sample.expiresSeconds])
  assert.deepEqual([read?.isMadeWith("secret"), read?.isMadeWith("other")], [true, false])
})

test("a token that was changed is none, or was not made with the secret", () => {
  for (let at = 0; at < TOKEN.length; at += 1) {
    const changed = `${TOKEN.slice(0, at)}${TOKEN[at] === "A" ? "B" : "A"}${TOKEN.slice(at + 1)}`
    const read = readSwiftToken(changed)
    // The last character of a base64 text has bits without a meaning.
    const same =
      read !== undefined &&
      Buffer.from(changed.slice(-43), "base64url").equals(Buffer.from(TOKEN.slice(-43), "base64url"))
    assert.equal(read?.isMadeWith("secret") ?? false, same && changed.slice(0, -43) === TOKEN.slice(0, -43), changed)
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
    ...{ read: ".r:*,.rlistings", write: "a:b", archive: { mode: "stack", location: "old" }, policy: "STANDARD_IA" },
  }
  assert.equal(encodeSwiftContainer(container), CONTAINER)
  assert.deepEqual(decodeSwiftContainer(CONTAINER), container)
})

test("a container's document that was cut, or has members that are not known, is refused", () => {
  const refused = [
    ...Array.from({ length: CONTAINER.length }, (_, length) => CONTAINER.slice(0, length)),
    CONTAINER.replace('"version":1', '"version":2'),
    CONTAINER.replace('"write"', '"more":1,"write"'),
    CONTAINER.replace('"red"', "1"),
    CONTAINER.replace('"stack"', '"other"'),
    CONTAINER.replace("STANDARD_IA", "OTHER"),
    ...["null", "[]", "1"],
  ]
  for (const text of refused) {
    assert.throws(
      () => decodeSwiftContainer(text),
      error => isFailure(error, "corruptRecord"),
      text,
    )
  }
})
