import assert from "node:assert/strict"
import { test } from "node:test"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { expiringKeyOf, isOfClass, needleKeyIn } from "./expiring-key.js"

test("a row key of a class is its number and the needle's key, and classes are apart", () => {
  const key = rowKeyOf("\x01\xffneedle")
  assert.equal(expiringKeyOf(4, key), "\x04\x01\xffneedle")
  assert.equal(needleKeyIn(expiringKeyOf(4, key)), key)
  assert.ok(isOfClass(4, expiringKeyOf(4, key)))
  assert.ok(!isOfClass(1, expiringKeyOf(4, key)))
  assert.ok(expiringKeyOf(1, rowKeyOf("\xff".repeat(27))) < expiringKeyOf(2, rowKeyOf("\0")))
})
