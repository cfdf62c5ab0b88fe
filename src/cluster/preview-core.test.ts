import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePolicy } from "../base/policy.js"
import type { ControlRecord } from "../format/control-record.js"
import { markOffline } from "./device-states-core.js"
import { addDevice, forgetDevice, removeDevice, replaceDevice } from "./device-commands-core.js"
import { CAPACITY_BYTES, deviceId, newDevice, storeOf } from "./testing-records.js"
import { admitBucketPolicy, setPolicy } from "./policy-core.js"
import { previewChange, reencodingOf, type Preview } from "./preview-core.js"

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
  const told = preview(before, addDevice(before, newDevice(5), undefined, [], 7))
  // 450 GB of shards on five devices become 75 GB on each of six.
  about(told.movedBytes, 75 * GB)
  about(deviceOf(told, 5)?.bytesIn, 75 * GB)
  about(deviceOf(told, 0)?.bytesOut, 15 * GB)
  about(told.hours, 750 / 3600)
  assert.equal(told.reencodedBytes, 0)
  assert.deepEqual(told.survives, { before: 1, during: 1, after: 1 })
  about(told.usableBefore, (5 * CAPACITY_BYTES * 2) / 3)
  about(told.usableAfter, (6 * CAPACITY_BYTES * 2) / 3)
})

test("folders on one file system have its room once", () => {
  const before = storeOf(4, "ec:2+2")
  const told = preview(before, setPolicy(before, parsePolicy("ec:3+1"), []), [], () => "one")
  about(told.usableBefore, CAPACITY_BYTES / 2)
  about(told.usableAfter, (CAPACITY_BYTES * 3) / 4)
})

test("an automatic redundancy that becomes wider re-codes everything", () => {
  const before = storeOf(3)
  const told = preview(before, addDevice(before, newDevice(3), undefined, [], 7))
  assert.equal(told.movedBytes, 0)
  about(told.reencodedBytes, 2 * OBJECT_BYTES)
  about(deviceOf(told, 3)?.bytesIn, OBJECT_BYTES / 2)
  assert.deepEqual(told.survives, { before: 1, during: 1, after: 2 })
})

test("removing a device empties it, and tells what a narrower redundancy means", () => {
  const before = storeOf(4)
  const told = preview(before, removeDevice(before, deviceId(1), [], 7))
  about(deviceOf(told, 1)?.bytesOut, OBJECT_BYTES / 2)
  about(told.reencodedBytes, 1.5 * OBJECT_BYTES)
  assert.deepEqual([told.survives.before, told.survives.after], [2, 1])
})

test("a device in place of one that is out is filled, and makes the store whole again", () => {
  const before = markOffline(storeOf(4), [deviceId(2)], 5)
  const told = preview(before, replaceDevice(before, deviceId(2), newDevice(9), [], false, 8))
  about(deviceOf(told, 9)?.bytesIn, OBJECT_BYTES / 2)
  assert.deepEqual(told.survives, { before: 1, during: 1, after: 2 })
  const wide = markOffline(storeOf(6, "ec:2+2"), [deviceId(2)], 5)
  assert.deepEqual(preview(wide, forgetDevice(wide, deviceId(2), [], false)).survives, {
    before: 1,
    during: 1,
    after: 2,
  })
})

test("a chosen redundancy tells what it costs and what it brings", () => {
  const before = storeOf(6, "replica:2")
  const told = preview(before, setPolicy(before, parsePolicy("ec:4+2"), []))
  about(told.reencodedBytes, 1.5 * OBJECT_BYTES)
  about(told.hours, (1.5 * OBJECT_BYTES) / (0.1 * GB) / 3600)
  assert.deepEqual(told.survives, { before: 1, during: 1, after: 2 })
  about(told.usableBefore, 3 * CAPACITY_BYTES)
  about(told.usableAfter, 4 * CAPACITY_BYTES)
})

test("a bucket that chooses for itself re-codes its own bytes, and may be what survives least", () => {
  const before = storeOf(6, "ec:4+2")
  const [to, bytes] = [parsePolicy("replica:2"), OBJECT_BYTES / 3]
  const told = preview(before, admitBucketPolicy(before, to, []), reencodingOf(before.policy, to, bytes))
  about(told.reencodedBytes, 2 * bytes)
  assert.equal(told.movedBytes, 0)
  assert.deepEqual(told.survives, { before: 2, during: 1, after: 1 })
})
