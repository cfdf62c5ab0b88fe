/** Tests of what the status says of a store that is less safe than it could be. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { GIB } from "@hayloft/base/limits.js"
import { markOffline, SafetyEvaluator } from "@hayloft/engine/cluster/index.js"
import { clusterOf, deviceId, storeOf } from "@hayloft/engine/cluster/testing-records.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { atRisk, type RiskFacts } from "./at-risk-core.js"
import { safetyInputOf } from "./status-core.js"
import { openFor } from "./testing-open-devices.js"

const MINUTE_MS = 60_000
const NOW_MS = 100 * MINUTE_MS

const openOf = (record: ControlRecord) =>
  openFor(record).filter(({ id }) => record.devices.find(each => each.id === id)?.state !== "offline")

/** The report about a record with 8 GiB of blocks; devices that are offline are not open. */
function riskOf(record: ControlRecord, facts: Partial<RiskFacts> = {}, open = openOf(record)) {
  const input = safetyInputOf(record, open, undefined)
  const policies = [{ policy: record.policy, bytes: 8 * GIB, isDecommissioning: false }]
  return atRisk(new SafetyEvaluator().evaluate({ ...input, policies }), [], {
    record,
    nowMs: NOW_MS,
    pathOf: id => record.devices.find(device => device.id === id)?.pathHint ?? id,
    offlineReason: () => undefined,
    isRepairPaused: false,
    isShortOfSpace: false,
    lostObjectsMin: 0,
    wholeInSeconds: undefined,
    heldBack: [],
    ...facts,
  })
}

const without = (record: ControlRecord, numbers: readonly number[], minutesAgo = 0): ControlRecord =>
  markOffline(record, numbers.map(deviceId), NOW_MS - minutesAgo * MINUTE_MS)

test("a whole store is at no risk", () => {
  assert.equal(riskOf(storeOf(6, "ec:2+2")), undefined)
  assert.equal(riskOf(storeOf(1, "replica:1")), undefined, "it was never protected")
})

test("a disk that is offline: how much, why, when the store rebuilds it by itself, and what to do before", () => {
  const { what, bytes, totalBytes, devices, because, repair, action, command } =
    riskOf(without(storeOf(6, "ec:2+2"), [0], 5), { offlineReason: () => "calls fail: EIO" }) ?? assert.fail()
  assert.match(what, /^\d\.\d GiB of 8\.0 GiB \(6\d\.\d %\) of objects survive only 1 further lost disk, but 2 once/)
  assert.ok(bytes < totalBytes && totalBytes === 8 * GIB)
  assert.deepEqual(devices, [deviceId(0)])
  assert.equal(because, "/mnt/0 is offline: calls fail: EIO")
  assert.equal(
    repair,
    "the store rebuilds the data on the other devices, beginning in at most 10 min unless it is back before",
  )
  assert.deepEqual(
    [action, command],
    ["Look at the disk and its cable, then have it tried again", `hayloft device check ${deviceId(0)}`],
  )
  const under = riskOf(without(storeOf(6, "ec:2+2"), [0], 20), { wholeInSeconds: 600 })
  assert.equal(under?.repair, "the store rebuilds what is missing, done in about 10 min")
})

test("with too few devices for the redundancy nothing is rebuilt until it is back, which is said", () => {
  const one = riskOf(without(storeOf(4, "ec:2+2"), [1]))
  assert.equal(one?.repair, "nothing until it is back or replaced: the other devices are too few for ec:2+2")
  assert.match(one.what, /^all 8\.0 GiB of objects survive only 1 further lost disk/)
  const three = riskOf(without(clusterOf(["a:1", "b:1", "c:1", "d:1"], "ec:2+2"), [0, 1, 2]))
  assert.equal(three?.what, "all 8.0 GiB of objects cannot be read now")
  const found = riskOf(without(clusterOf(["a:1", "b:1", "c:1", "d:1"], "ec:2+2"), [0, 1, 2]), { lostObjectsMin: 1_234 })
  assert.equal(
    found?.what,
    "all 8.0 GiB of objects cannot be read now, in at least 1,234 objects, older versions or uploads",
  )
  assert.match(
    three?.because ?? "",
    /^node a with 1 device, node b with 1 device and node c with 1 device are offline$/,
  )
})

test("folders that share one disk: as many fewer may be deleted, though a lost disk loses all anyway", () => {
  const record = without(storeOf(6, "ec:4+2"), [2])
  const open = openFor(record).filter(({ id }) => id !== deviceId(2))
  const isOn = open.map(device => ({ ...device, space: device.space && { ...device.space, fileSystemId: "8:1" } }))
  assert.equal(
    riskOf(record, {}, isOn)?.what,
    "objects survive only 1 further deleted folder, but 2 once the store is complete",
  )
})

test("a node or a zone that is gone is named as one, and so is what holds its devices back", () => {
  const node = riskOf(without(clusterOf(["n1:2", "n2:2", "n3:2"], "ec:2+2"), [4, 5]), {
    offlineReason: () => "node n3 cannot be reached: it is silent",
  })
  assert.equal(node?.because, "node n3 with 2 devices is offline: node n3 cannot be reached: it is silent")
  assert.equal(node.action, "Start node n3 again, then see whether all nodes serve")
  const zoneOfOne = riskOf(without(clusterOf(["a1@a:2", "b1@b:2", "c1@c:2"], "ec:2+2"), [4, 5]))
  assert.equal(zoneOfOne?.because, "node c1 with 2 devices is offline", "it is the only node of its zone")
  const zones = clusterOf(["a1@a:1", "a2@a:1", "b1@b:1", "b2@b:1", "c1@c:1", "c2@c:1"], "ec:4+2")
  const zone = riskOf(without(zones, [2, 3]), { heldBack: ["zone b is not given up"] })
  assert.equal(zone?.because, "zone b with 2 devices is offline")
  assert.deepEqual(
    [zone.repair, zone.action],
    ["zone b is not given up", "Bring zone b back, then see whether all nodes serve"],
  )
})

test("repair that is paused or waits for space is said, with the command that ends it", () => {
  const record = without(storeOf(6, "ec:2+2"), [0])
  const paused = riskOf(record, { isRepairPaused: true, wholeInSeconds: 5 })
  assert.deepEqual(
    [paused?.repair, paused?.command],
    ["repair is paused: nothing is rebuilt until it is resumed", "hayloft repair resume"],
  )
  const full = riskOf(record, { isShortOfSpace: true })
  assert.deepEqual([full?.action, full?.command], ["Add a device", "hayloft device add FOLDER"])
})
