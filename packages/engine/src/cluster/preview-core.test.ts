import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { markOffline } from "./device-states-core.js"
import { addDevice, forgetDevice, joinDevices, replaceDevice } from "./device-commands-core.js"
import { CAPACITY_BYTES, clusterOf, deviceId, homeOn, newDevice, storeOf } from "./testing-records.js"
import { admitBucketPolicy, setPolicy } from "./policy-core.js"
import { previewChange, reencodingOf, type Preview } from "./preview-core.js"
import { removeDevice } from "./testing-changes.js"

const GB = 1e9
const OBJECT_BYTES = 300 * GB

function preview(
  before: ControlRecord,
  after: ControlRecord,
  reencodings = reencodingOf(before.policy, after.policy, OBJECT_BYTES),
  diskOf: (id: string) => string = String,
): Preview {
  const facts = {
    policies: [{ policy: before.policy, bytes: OBJECT_BYTES, isDecommissioning: false }],
    lacking: new Map(),
    misplacedGroups: [],
    diskOf,
    bytesPerSecond: 0.1 * GB,
  }
  return previewChange(before, after, facts, reencodings)
}

const about = (value: number | undefined, expected: number) =>
  assert.ok(value !== undefined && Math.abs(value / expected - 1) < 0.01, `${value} instead of ${expected}`)
const deviceOf = ({ devices }: Preview, number: number) => devices.find(({ id }) => id === deviceId(number))

test("adding a device moves its share to it, and costs no safety", () => {
  const before = storeOf(5, "ec:2+1")
  const planned = preview(before, addDevice(before, newDevice(5), undefined, [], 7))
  // 450 GB of shards on five devices become 75 GB on each of six.
  about(planned.movedBytes, 75 * GB)
  about(deviceOf(planned, 5)?.bytesIn, 75 * GB)
  about(deviceOf(planned, 0)?.bytesOut, 15 * GB)
  about(planned.hours, 750 / 3600)
  assert.equal(planned.reencodedBytes, 0)
  assert.deepEqual(planned.survives, { before: 1, during: 1, after: 1 })
  about(planned.usableBefore, (5 * CAPACITY_BYTES * 2) / 3)
  about(planned.usableAfter, (6 * CAPACITY_BYTES * 2) / 3)
})

test("folders on one file system share its space", () => {
  const before = storeOf(4, "ec:2+2")
  const planned = preview(before, setPolicy(before, parsePolicy("ec:3+1"), []), [], () => "one")
  about(planned.usableBefore, CAPACITY_BYTES / 2)
  about(planned.usableAfter, (CAPACITY_BYTES * 3) / 4)
})

test("an automatic redundancy that becomes wider re-encodes everything", () => {
  const before = storeOf(3)
  const planned = preview(before, addDevice(before, newDevice(3), undefined, [], 7))
  assert.equal(planned.movedBytes, 0)
  about(planned.reencodedBytes, 2 * OBJECT_BYTES)
  about(deviceOf(planned, 3)?.bytesIn, OBJECT_BYTES / 2)
  assert.deepEqual(planned.survives, { before: 1, during: 1, after: 2 })
})

test("removing a device empties it, and previews what a narrower redundancy means", () => {
  const before = storeOf(4)
  const planned = preview(before, removeDevice(before, deviceId(1), [], 7))
  about(deviceOf(planned, 1)?.bytesOut, OBJECT_BYTES / 2)
  about(planned.reencodedBytes, 1.5 * OBJECT_BYTES)
  assert.deepEqual([planned.survives.before, planned.survives.after], [2, 1])
})

test("a device that replaces an offline one is rebuilt, and makes the store complete again", () => {
  const before = markOffline(storeOf(4), [deviceId(2)], 5)
  const planned = preview(before, replaceDevice(before, deviceId(2), newDevice(9), [], false, 8))
  about(deviceOf(planned, 9)?.bytesIn, OBJECT_BYTES / 2)
  assert.deepEqual(planned.survives, { before: 1, during: 1, after: 2 })
  const wide = markOffline(storeOf(6, "ec:2+2"), [deviceId(2)], 5)
  assert.deepEqual(preview(wide, forgetDevice(wide, deviceId(2), [], false)).survives, {
    before: 1,
    during: 1,
    after: 2,
  })
})

test("the preview of a chosen redundancy shows its cost and benefit", () => {
  const before = storeOf(6, "replica:2")
  const planned = preview(before, setPolicy(before, parsePolicy("ec:4+2"), []))
  about(planned.reencodedBytes, 1.5 * OBJECT_BYTES)
  about(planned.hours, (1.5 * OBJECT_BYTES) / (0.1 * GB) / 3600)
  assert.deepEqual(planned.survives, { before: 1, during: 1, after: 2 })
  about(planned.usableBefore, 3 * CAPACITY_BYTES)
  about(planned.usableAfter, 4 * CAPACITY_BYTES)
})

test("a bucket with its own redundancy re-encodes only its bytes, and may survive the fewest failures", () => {
  const before = storeOf(6, "ec:4+2")
  const [to, bytes] = [parsePolicy("replica:2"), OBJECT_BYTES / 3]
  const planned = preview(before, admitBucketPolicy(before, to, []), reencodingOf(before.policy, to, bytes))
  about(planned.reencodedBytes, 2 * bytes)
  assert.equal(planned.movedBytes, 0)
  assert.deepEqual(planned.survives, { before: 2, during: 1, after: 1 })
})

test("a third zone makes the loss of any zone survivable, once shards have moved", () => {
  const before = clusterOf(["n1@a:3", "n2@b:3"], "ec:4+2")
  const third = [6, 7, 8].map(number => ({ ...newDevice(number), home: homeOn("n3", "c") }))
  const planned = preview(before, joinDevices(before, third, [], 7), [], () => assert.fail("a home names the disk"))
  assert.deepEqual(planned.survivesZones, { before: 0, during: 0, after: 1 })
  assert.deepEqual(planned.survivesMachines, planned.survivesZones)
  assert.deepEqual(planned.survives, { before: 2, during: 2, after: 2 })
  about(planned.usableAfter, (9 * CAPACITY_BYTES * 4) / 6)
  const sharing = { ...homeOn("n1"), disk: "8:0" }
  const shared = {
    ...before,
    devices: before.devices.map((device, i) => (i < 2 ? { ...device, home: sharing } : device)),
  }
  about(preview(shared, shared).usableAfter, (6 * CAPACITY_BYTES * 4) / 6 / 2)
})

test("a plan for a store without homes says nothing of machines and zones", () => {
  const before = storeOf(5, "ec:2+1")
  const planned = preview(before, addDevice(before, newDevice(5), undefined, [], 7))
  assert.ok(!("survivesMachines" in planned) && !("survivesZones" in planned))
})
