/** A base that does not answer. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "../base/failures.js"
import { parseLogSequence, rowKeyOf } from "../base/ids.js"
import { MemoryStores } from "../seams/store/memory.js"
import { Rows } from "./rows.js"

test("a base that does not answer in time fails who warms it, and says so from then on", async () => {
  const reader = await new MemoryStores().openReader("/base")
  let isHung = false
  const warm = () => (isHung ? Promise.reject(fail("deviceFailed", { code: "ETIMEDOUT" })) : undefined)
  const store = {
    ...{ get: () => undefined, range: () => [], refresh: () => undefined, close: () => reader.close(), warm },
  }
  const rows = new Rows(store, parseLogSequence(0))
  assert.equal(rows.warm("current", [rowKeyOf("a")]), undefined)
  const whyFailed = () => rows.failed?.details["code"]
  assert.equal(whyFailed(), undefined)
  isHung = true
  await assert.rejects(
    async () => rows.warm("current", [rowKeyOf("a")]),
    error => isFailure(error, "deviceFailed"),
  )
  isHung = false
  assert.equal(whyFailed(), "ETIMEDOUT")
})
