import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseNodeName } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { movement, slotsPerDevice } from "../placement/index.js"
import { checkRecord } from "./testing-check-record.js"
import { addDevice } from "./device-commands-core.js"
import { finishTransition, markOffline, markWhole } from "./device-states-core.js"
import { layoutOf } from "./record-layout-core.js"
import { revertLayout } from "./revert-layout-core.js"
import { emptyLeavingNodes, stageChanges, type StagedChange } from "./staged-changes-core.js"
import { clusterOf, deviceId, homeOn, newDevice, storeOf } from "./testing-records.js"
import { removeDevice } from "./testing-changes.js"

const [A1, B1] = [parseNodeName("a1"), parseNodeName("b1")]
const STORE = clusterOf(["a1@a:2", "b1@b:2", "c1@c:2", "c2@c:2"], "ec:3+2")
const checked = (record: ControlRecord): ControlRecord => {
  checkRecord(record)
  return record
}
const stage = (record: ControlRecord, ...changes: StagedChange[]) => checked(stageChanges(record, changes, [], 7))
const settled = (record: ControlRecord): ControlRecord =>
  record.devices.reduce((next, { id }) => markWhole(next, id, 9), finishTransition(record))
const refuses = (kind: FailureKind, words: RegExp, decide: () => ControlRecord) =>
  assert.throws(decide, error => isFailure(error, kind) && words.test(error.message))
const statesOf = (record: ControlRecord) => record.devices.map(({ state }) => state).join(" ")

test("changes that are staged together make one layout", () => {
  const next = stage(
    STORE,
    { kind: "drainNode", node: A1 },
    { kind: "removeDevice", id: deviceId(2) },
    { kind: "setWeight", id: deviceId(7), weight: 2 },
  )
  assert.equal(next.layout.version, STORE.layout.version + 1)
  assert.equal(next.previousLayout, STORE.layout)
  assert.equal(statesOf(next), "draining draining decommissioning active active active active active")
  const slots = slotsPerDevice(layoutOf(next.layout), 5)
  const at = (number: number) => slots[layoutOf(next.layout).devices.indexOf(deviceId(number))] ?? 0
  assert.deepEqual([at(0), at(1), at(2)], [0, 0, 0])
  assert.ok(at(7) >= at(6))
})

test("one that is impossible refuses all of them, and nothing changes", () => {
  const drain = { kind: "drainNode", node: A1 } as const
  refuses("invalidArgument", /above 0/, () => stage(STORE, drain, { kind: "setWeight", id: deviceId(7), weight: 0 }))
  refuses("invalidArgument", /two of the changes concern device/, () =>
    stage(STORE, drain, { kind: "useDevice", id: deviceId(1) }),
  )
  refuses("invalidArgument", /no device/, () => stage(STORE, drain, { kind: "useDevice", id: deviceId(99) }))
  refuses("invalidArgument", /needs 5 devices, and 4 would be left/, () =>
    stage(STORE, drain, { kind: "removeNode", node: B1 }),
  )
  const offline = markOffline(STORE, [deviceId(2)], 5)
  refuses("invalidArgument", /is offline/, () => stage(offline, drain, { kind: "drainDevice", id: deviceId(2) }))
  refuses("conflict", /still move/, () => stage(stage(STORE, drain), { kind: "drainDevice", id: deviceId(2) }))
})

test("a device of an emptied node comes back while another leaves, in one layout", () => {
  const drained = settled(stage(STORE, { kind: "drainNode", node: A1 }))
  const next = stage(drained, { kind: "useNode", node: A1 }, { kind: "drainNode", node: B1 })
  assert.equal(statesOf(next), "rebuilding rebuilding draining draining active active active active")
  assert.equal(next.layout.version, drained.layout.version + 1)
})

test("a node that is removed leaves once it has no devices; taken back into use, it stays", () => {
  const removed = stage(STORE, { kind: "removeNode", node: A1 })
  assert.deepEqual([removed.leavingNodes, emptyLeavingNodes(removed)], [[A1], []])
  assert.equal(stage(finishTransition(removed), { kind: "useNode", node: A1 }).leavingNodes, undefined)
  const without = { ...removed, devices: removed.devices.filter(({ home }) => home?.node !== A1) }
  assert.deepEqual(emptyLeavingNodes(without), [A1])
})

test("a revert is a transition back: the same two layouts, the other way round", () => {
  const moving = stage(STORE, { kind: "removeNode", node: A1 })
  const back = checked(revertLayout(moving, [], 8))
  assert.equal(back.layout.version, moving.layout.version + 1)
  assert.equal(back.previousLayout, moving.layout)
  assert.equal(movement(layoutOf(STORE.layout), layoutOf(back.layout)).moved, 0)
  assert.equal(statesOf(back), "rebuilding rebuilding active active active active active active")
  assert.equal(back.leavingNodes, undefined)
  assert.equal(movement(layoutOf(moving.layout), layoutOf(revertLayout(back, [], 9).layout)).moved, 0)
})

test("a device that was being added is drained by a revert", () => {
  const device = { ...newDevice(8), home: homeOn("a2", "a") }
  const back = checked(revertLayout(addDevice(STORE, device, undefined, [], 7), [], 8))
  assert.equal(statesOf(back).split(" ").at(-1), "draining")
  assert.ok(!back.layout.devices.includes(device.id))
})

test("a revert that is not possible is refused with the reason", () => {
  refuses("invalidArgument", /no shards are moving/, () => revertLayout(STORE, [], 8))
  const moving = stage(STORE, { kind: "drainNode", node: A1 })
  refuses("invalidArgument", /device .* is offline/, () => revertLayout(markOffline(moving, [deviceId(0)], 8), [], 8))
  const forgotten = { ...moving, devices: moving.devices.filter(({ id }) => id !== deviceId(0)) }
  refuses("invalidArgument", /no longer part of the store/, () => revertLayout(forgotten, [], 8))
  const wider = addDevice(storeOf(4), newDevice(4), undefined, [], 7)
  assert.ok(layoutOf(wider.layout).width > 4)
  refuses("invalidArgument", /has 4 slots, and blocks stored as ec:.* need 5/, () => revertLayout(wider, [], 8))
  const narrower = removeDevice(storeOf(5, "ec:3+1"), deviceId(4), [], 7)
  assert.doesNotThrow(() => revertLayout(narrower, [parsePolicy("replica:2")], 8))
})
