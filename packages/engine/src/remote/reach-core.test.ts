import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { Reach } from "./reach-core.js"

const [a, b] = [parseDeviceId("000000000000000a"), parseDeviceId("000000000000000b")]
const lost = fail("peerUnreachable", { message: "lost" })
const BOTH = [a, b].map(id => ({ id, isWritable: true, isFull: false }))

function reached(): Reach {
  const reach = new Reach(2)
  reach.answered(reach.ask(), BOTH)
  return reach
}

test("no device is writable before the node has answered, nor one that it does not have", () => {
  const reach = new Reach(2)
  assert.deepEqual([reach.isWritable(a), reach.isFull(a), reach.trouble?.kind], [false, false, "peerUnreachable"])
  reach.answered(reach.ask(), BOTH.slice(0, 1))
  assert.deepEqual([reach.isWritable(a), reach.isWritable(b), reach.trouble], [true, false, undefined])
})

test("a call that does not reach the node makes all its devices unwritable until it answers a later question", () => {
  for (const kind of ["peerUnreachable", "indeterminate", "incompatiblePeer", "stopping"] as const) {
    const reach = reached()
    const before = reach.ask()
    const reason = fail(kind)
    reach.callFailed(a, reason)
    assert.deepEqual([reach.isWritable(a), reach.isWritable(b), reach.trouble], [false, false, reason], kind)
    reach.answered(before, BOTH)
    assert.deepEqual([reach.isWritable(b), reach.trouble], [false, reason], "that question is older than the failure")
    reach.answered(reach.ask(), BOTH)
    assert.deepEqual([reach.isWritable(b), reach.trouble], [true, undefined])
  }
})

test("a full or failed device stays so until the node says otherwise, and the others are not affected", () => {
  const reach = reached()
  const before = reach.ask()
  reach.callFailed(a, fail("deviceFull"))
  reach.callFailed(b, fail("deviceFailed"))
  const hints = () => [a, b].flatMap(id => [reach.isWritable(id), reach.isFull(id)])
  assert.deepEqual(hints(), [true, true, false, false])
  reach.answered(before, BOTH)
  assert.deepEqual(hints(), [true, true, false, false])
  reach.answered(reach.ask(), [
    { id: a, isWritable: true, isFull: true },
    { id: b, isWritable: true, isFull: false },
  ])
  assert.deepEqual(hints(), [true, true, true, false])
  assert.equal(reach.trouble, undefined)
})

test("a damaged or missing needle says nothing about the node", () => {
  const reach = reached()
  for (const kind of ["noSuchNeedle", "corruptNeedle", "corruptRow", "tooManyInFlight", "malformedFrame"] as const) {
    reach.callFailed(a, fail(kind))
  }
  assert.deepEqual([reach.isWritable(a), reach.isFull(a), reach.trouble], [true, false, undefined])
})

test("a node that leaves several questions unanswered is silent, until it answers one", () => {
  const reach = reached()
  reach.callFailed(a, lost)
  reach.callFailed(a, lost)
  reach.callFailed(a, lost)
  assert.equal(reach.silence, undefined, "calls alone do not show it")
  reach.notAnswered(lost)
  assert.equal(reach.silence, undefined)
  reach.notAnswered(lost)
  assert.equal(reach.silence, lost)
  reach.answered(reach.ask(), BOTH)
  assert.deepEqual([reach.silence, reach.trouble, reach.isWritable(a)], [undefined, undefined, true])
})
