/** The header that finds loops of remote buckets. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseBucketId, parseBucketName } from "@hayloft/base/ids.js"
import { checkHops, hopsThrough } from "./hops.js"
import { REMOTE_LIMITS } from "./limits.js"

const bucket = (name: string, createdMs = 1) => ({ id: parseBucketId(1), name: parseBucketName(name), createdMs })
const isLoop = (error: unknown) => isFailure(error, "invalidRequest")

test("a request is refused by each bucket that it has come through, and by no other", () => {
  const [one, two, three] = [bucket("one"), bucket("two"), bucket("three")]
  const hops = hopsThrough(two, hopsThrough(one, undefined))
  checkHops(three, hops)
  for (const each of [one, two]) assert.throws(() => checkHops(each, hops), isLoop)
  assert.throws(() => hopsThrough(one, hops), isLoop)
  checkHops(bucket("one", 2), hops)
})

test("names of other proxies, with parameters, in any case, stay and do no harm", () => {
  const hops = hopsThrough(bucket("one"), 'cloud.example; v="1", barcdn')
  assert.ok(hops.startsWith('cloud.example; v="1", barcdn, '))
  assert.throws(() => checkHops(bucket("one"), `${hops.toUpperCase()};p=1`), isLoop)
})

test("a way that is too long is taken for a loop", () => {
  const names = Array.from({ length: REMOTE_LIMITS.hopsMax }, (_, i) => `proxy${i}`)
  checkHops(bucket("one"), names.slice(1).join(","))
  assert.throws(() => checkHops(bucket("one"), names.join(",")), isLoop)
  assert.throws(() => checkHops(bucket("one"), "x".repeat(REMOTE_LIMITS.hopsBytesMax + 1)), isLoop)
})
