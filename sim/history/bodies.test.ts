/** Any page of a body identifies its write, and a mixture of two writes is never accepted as one of them. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { PAGE_BYTES, bodyOf, claimOf, firstDifference, readClaim } from "./bodies.js"

const identity = { seed: 7, key: "a/é", number: 3, lengthBytes: 3 * PAGE_BYTES + 100 }

test("a body is reproducible, has its declared length, and is identified by any of its pages", () => {
  const claim = claimOf(identity)
  const body = bodyOf(claim)
  assert.equal(body.length, identity.lengthBytes)
  assert.deepEqual(bodyOf(claim), body)
  assert.deepEqual(readClaim(body), claim)
  assert.deepEqual(readClaim(body.subarray(2 * PAGE_BYTES)), claim)
  assert.equal(readClaim(body.subarray(1)), undefined)
  assert.equal(readClaim(body.subarray(0, 10)), undefined)
  assert.equal(firstDifference(body, claim), undefined)
  assert.equal(firstDifference(body.subarray(5000, 9000), claim, 5000), undefined)
})

test("lengths just below and above those of the identity and of a page", () => {
  for (const lengthBytes of [0, 1, 31, 32, PAGE_BYTES, PAGE_BYTES + 1]) {
    const claim = claimOf({ ...identity, lengthBytes })
    assert.equal(bodyOf(claim).length, lengthBytes)
    assert.equal(firstDifference(bodyOf(claim), claim), undefined)
  }
})

test("a flipped bit, a page of another write, a shifted or a longer body are detected", () => {
  const claim = claimOf(identity)
  const body = bodyOf(claim)
  const flipped = body.slice()
  flipped[5001] = (flipped[5001] ?? 0) ^ 1
  assert.equal(firstDifference(flipped, claim), 5001)
  const mixed = body.slice()
  mixed.set(bodyOf({ ...claim, number: 4 }).subarray(PAGE_BYTES, 2 * PAGE_BYTES), PAGE_BYTES)
  assert.ok((firstDifference(mixed, claim) ?? 0) >= PAGE_BYTES)
  assert.equal(firstDifference(body.subarray(1), claim), 0)
  const longer = new Uint8Array(body.length + 1)
  longer.set(body)
  assert.equal(firstDifference(longer, claim), body.length)
})
