/** Tests of what a policy promises before and after a change. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseNodeName } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { addDevice, forgetDevice, replaceDevice } from "./device-commands-core.js"
import { markOffline } from "./device-states-core.js"
import { setPolicy } from "./policy-core.js"
import { survivesLess } from "./promises-core.js"
import { clusterOf, deviceId, newDevice, storeOf } from "./testing-records.js"
import { removeDevice, removeNode } from "./testing-changes.js"

/** For blocks of the store's policy, or of another one. */
function less(before: ControlRecord, after: ControlRecord, own?: string, diskOf: (id: string) => string = String) {
  const facts = { policies: [], lacking: new Map(), misplacedGroups: [], diskOf, bytesPerSecond: 1 }
  const policy = { before: before.policy, after: after.policy }
  const same = own === undefined ? policy : { before: parsePolicy(own), after: parsePolicy(own) }
  return survivesLess(before, after, facts, same)
}

test("a removed device leaves less only if the redundancy follows the number of devices", () => {
  const automatic = storeOf(4)
  assert.equal(less(automatic, removeDevice(automatic, deviceId(1), [], 7)), true)
  const chosen = storeOf(6, "ec:2+2")
  assert.equal(less(chosen, removeDevice(chosen, deviceId(1), [], 7)), false)
  assert.equal(less(chosen, addDevice(chosen, newDevice(9), undefined, [], 7)), false)
})

test("a narrower policy leaves less, and so do fewer copies of the metadata for a bucket that keeps its own", () => {
  const before = storeOf(6, "ec:2+2")
  const narrower = setPolicy(before, parsePolicy("ec:3+1"), [parsePolicy("ec:2+2")])
  assert.deepEqual([less(before, narrower), less(before, narrower, "ec:2+2")], [true, false])
  const single = setPolicy(before, parsePolicy("replica:1"), [parsePolicy("ec:2+2")])
  assert.deepEqual([less(before, single, "ec:2+2"), single.metaCopies < before.metaCopies], [true, true])
  assert.equal(less(before, setPolicy(before, parsePolicy("ec:4+2"), [])), false)
})

test("an offline device does not hide what its loss costs: a device given up counts as if it could come back", () => {
  const automatic = markOffline(storeOf(4), [deviceId(2)], 5)
  assert.equal(less(automatic, forgetDevice(automatic, deviceId(2), [], false)), true)
  const wide = markOffline(storeOf(6, "ec:2+2"), [deviceId(2)], 5)
  assert.equal(less(wide, forgetDevice(wide, deviceId(2), [], false)), false)
})

test("the replacement of an offline device makes nothing less, also where all folders share one disk", () => {
  const before = markOffline(storeOf(4), [deviceId(2)], 5)
  const after = replaceDevice(before, deviceId(2), newDevice(9), [], false, 8)
  assert.equal(less(before, after), false)
  assert.equal(
    less(before, after, undefined, () => "one"),
    false,
  )
})

test("fewer machines or zones that may fail are less, though as many disks may", () => {
  const four = clusterOf(["n1@a:2", "n2@b:2", "n3@c:2", "n4@d:2"], "ec:2+2")
  assert.equal(less(four, removeNode(four, parseNodeName("n1"), [], 7)), true)
  const five = clusterOf(["n1@a:2", "n2@b:2", "n3@c:2", "n4@d:2", "n5@e:2"], "ec:2+2")
  assert.equal(less(five, removeNode(five, parseNodeName("n1"), [], 7)), false)
})
