/** Failures for lack of space, judged. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "../failures.js"
import { isShortage, lacksSpace, outcomeAfter } from "./full-disk-core.js"

test("a lack of space or of file handles says nothing against the device; every other failure may", () => {
  assert.ok(isShortage(fail("deviceFull")))
  assert.ok(isShortage(fail("tooManyInFlight")))
  for (const other of [fail("deviceFailed"), fail("stopping"), new Error("deviceFull"), undefined])
    assert.ok(!isShortage(other), String(other))
})

test("only a lack of space is a full disk", () => {
  assert.ok(lacksSpace(fail("deviceFull")))
  assert.ok(!lacksSpace(fail("tooManyInFlight")))
  assert.ok(!lacksSpace(fail("deviceFailed")))
})

test("a job rests after a lack of space, and goes on after another failure", () => {
  assert.equal(outcomeAfter(fail("deviceFull")), "throttled")
  assert.equal(outcomeAfter(fail("tooManyInFlight")), "busy")
  assert.equal(outcomeAfter(fail("notEnoughShards")), "busy")
})
