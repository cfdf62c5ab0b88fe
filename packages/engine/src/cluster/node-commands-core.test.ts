import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseNodeName } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy } from "@hayloft/base/policy.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { movement } from "../placement/index.js"
import { checkRecord } from "./testing-check-record.js"
import { joinDevices, replaceDevice } from "./device-commands-core.js"
import { finishTransition, markOffline, markWhole } from "./device-states-core.js"
import { forgetNode } from "./node-commands-core.js"
import { layoutOf } from "./record-layout-core.js"
import { clusterOf, deviceId, homeOn, newDevice, storeOf } from "./testing-records.js"
import { drainNode, removeNode, useNode } from "./testing-changes.js"

const [A1, NOBODY] = [parseNodeName("a1"), parseNodeName("nobody")]
const NINE = clusterOf(["a1@a:3", "b1@b:3", "c1@c:3"], "ec:4+2")
const FOUR_NODES = clusterOf(["a1@a:2", "b1@b:2", "c1@c:2", "c2@c:2"], "ec:4+2")
const joining = (number: number, node: string, zone?: string) => ({ ...newDevice(number), home: homeOn(node, zone) })
const checked = (record: ControlRecord): ControlRecord => {
  checkRecord(record)
  return record
}
const settled = (record: ControlRecord): ControlRecord =>
  record.devices.reduce((next, { id }) => markWhole(next, id, 9), finishTransition(record))
/** In the middle of a transition. */
const moving = (record: ControlRecord): ControlRecord => ({ ...record, previousLayout: record.layout })
const refuses = (kind: FailureKind, words: RegExp, decide: () => ControlRecord) =>
  assert.throws(decide, error => isFailure(error, kind) && words.test(error.message))
const statesOf = (record: ControlRecord) => record.devices.map(({ state }) => state).join(" ")

test("several devices join in one change of the layout", () => {
  const added = [9, 10, 11].map((number, i) => joining(number, "d1", ["a", "b", "c"][i]))
  const joined = checked(joinDevices(NINE, added, [], 7))
  assert.equal(joined.layout.version, NINE.layout.version + 1)
  assert.equal(joined.previousLayout, NINE.layout)
  assert.deepEqual(
    joined.devices.slice(9).map(({ home, state, weight }) => [home, state, weight]),
    added.map(({ home }) => [home, "rebuilding", 1]),
  )
  const { devices } = movement(layoutOf(NINE.layout), layoutOf(joined.layout))
  for (const { id } of added) assert.ok((devices.get(id)?.slotsIn ?? 0) > 0)
  refuses("conflict", /wait until/, () => joinDevices(joined, [joining(12, "d1", "a")], [], 8))
  assert.equal(joinDevices(joined, [], [], 8), joined)
})

test("an automatic redundancy follows all devices that join at once", () => {
  const joined = checked(joinDevices(clusterOf(["a1@a:1"]), [joining(1, "b1", "b"), joining(2, "c1", "c")], [], 7))
  assert.equal(textOfPolicy(joined.policy), "ec:2+1")
  assert.deepEqual(joined.tablets, [])
})

test("devices that cannot join are refused, and none of them joins", () => {
  refuses("invalidArgument", /already/, () => joinDevices(NINE, [joining(9, "d1"), joining(1, "d1")], [], 7))
  refuses("invalidArgument", /twice/, () => joinDevices(NINE, [joining(9, "d1"), joining(9, "d1")], [], 7))
  refuses("invalidArgument", /above 0/, () => joinDevices(NINE, [{ ...joining(9, "d1"), weight: -1 }], [], 7))
  const many = (node: (i: number) => string, count: number) =>
    Array.from({ length: count }, (_, i) => joining(100 + i, node(i)))
  refuses("invalidArgument", /node d1 serves at most 32/, () =>
    joinDevices(
      NINE,
      many(() => "d1", DEVICES_MAX + 1),
      [],
      7,
    ),
  )
  refuses("invalidArgument", /at most 4096/, () =>
    joinDevices(
      NINE,
      many(i => `n${i}`, 4088),
      [],
      7,
    ),
  )
  assert.equal(joinDevices(storeOf(1), [{ ...newDevice(1), weight: 3 }], [], 7).devices[1]?.weight, 3)
})

test("a node is drained in one change of the layout, and its devices stay", () => {
  const drained = checked(drainNode(NINE, A1, [], 7))
  assert.equal(statesOf(drained).replace(/active ?/g, ""), "draining draining draining ")
  assert.equal(drained.layout.version, NINE.layout.version + 1)
  assert.ok([0, 1, 2].every(number => !drained.layout.devices.includes(deviceId(number))))
  assert.equal(drainNode(settled(drained), A1, [], 8).layout, drained.layout)
  refuses("conflict", /wait until/, () => drainNode(drained, parseNodeName("b1"), [], 8))
})

test("a node is not emptied if the rest cannot hold the policies", () => {
  const six = clusterOf(["a1@a:2", "b1@b:2", "c1@c:2"], "ec:4+2")
  refuses("invalidArgument", /ec:4\+2 needs 6 devices, and 4 would be left/, () => drainNode(six, A1, [], 7))
  refuses("invalidArgument", /ec:6\+1 needs 7 devices, and 6/, () => removeNode(NINE, A1, [parsePolicy("ec:6+1")], 7))
  refuses("invalidArgument", /node a1 is the only one in use/, () => drainNode(clusterOf(["a1@a:2"]), A1, [], 7))
  const automatic = clusterOf(["a1@a:2", "b1@b:2", "c1@c:2"])
  assert.equal(textOfPolicy(checked(drainNode(automatic, A1, [], 7)).policy), "ec:2+2")
})

test("an offline device must be given up before its node is emptied, unless it holds nothing", () => {
  const offline = markOffline(NINE, [deviceId(1)], 5)
  refuses("invalidArgument", /0002 is offline and cannot be read/, () => removeNode(offline, A1, [], 7))
  const unplaced = joinDevices(settled(drainNode(NINE, A1, [], 7)), [joining(9, "a1", "a")], [], 8)
  const withOne = markOffline(settled(unplaced), [deviceId(0)], 9)
  const removed = checked(removeNode(withOne, A1, [], 10))
  assert.equal(
    statesOf(removed),
    "offline decommissioning decommissioning active active active active active active decommissioning",
  )
})

test("a drained node is taken back into use in one change of the layout", () => {
  const drained = settled(drainNode(NINE, A1, [], 7))
  const used = checked(useNode(drained, A1, [], 8))
  assert.equal(statesOf(used).replace(/active ?/g, ""), "rebuilding rebuilding rebuilding ")
  assert.equal(used.layout.version, drained.layout.version + 1)
  assert.ok([0, 1, 2].every(number => used.layout.devices.includes(deviceId(number))))
  assert.equal(useNode(used, A1, [], 9), used)
  refuses("conflict", /wait until/, () => useNode(drainNode(NINE, A1, [], 7), A1, [], 8))
})

test("a node without devices is no change", () => {
  for (const command of [drainNode, useNode]) assert.equal(command(NINE, NOBODY, [], 7), NINE)
  assert.deepEqual(removeNode(NINE, NOBODY, [], 7), { ...NINE, leavingNodes: [NOBODY] })
  assert.equal(forgetNode(NINE, NOBODY, [], false), NINE)
})

test("a dead node is forgotten in one change, if nothing is lost with all of its devices together", () => {
  const dead = markOffline(FOUR_NODES, [deviceId(0), deviceId(1)], 5)
  const forgotten = checked(forgetNode(dead, A1, [], false))
  assert.equal(forgotten.devices.length, 6)
  assert.equal(forgotten.layout.version, FOUR_NODES.layout.version + 1)
  assert.equal(forgotten.previousLayout, dead.layout)
  refuses("invalidArgument", /0001 is in use/, () => forgetNode(FOUR_NODES, A1, [], false))
  refuses("conflict", /wait until/, () => forgetNode(moving(dead), A1, [], false))
})

test("each device of a node may be given up, but not all of them", () => {
  // ec:4+2 on two nodes: three shards of each block are on either.
  const two = clusterOf(["a1@a:3", "b1@b:4"], "ec:4+2")
  const one = markOffline(two, [deviceId(0)], 5)
  const replaced = replaceDevice(one, deviceId(0), joining(9, "b1", "b"), [], false, 6)
  assert.equal(checked(replaced).devices[0]?.home?.node, "b1")
  const dead = markOffline(two, [deviceId(0), deviceId(1), deviceId(2)], 5)
  refuses("invalidArgument", /without node a1 about 100 % of the data stored as ec:4\+2/, () =>
    forgetNode(dead, A1, [], false),
  )
  assert.equal(forgetNode(dead, A1, [], true).devices.length, 4)
})
