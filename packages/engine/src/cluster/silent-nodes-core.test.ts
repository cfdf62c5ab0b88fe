import assert from "node:assert/strict"
import { test } from "node:test"
import { parseNodeName, type NodeName } from "@hayloft/base/ids.js"
import type { ControlRecord } from "../format/device/control-record.js"
import { markOffline } from "./device-states-core.js"
import { silentNodes, SILENT_NODE_MS, SILENT_TOGETHER_MS } from "./silent-nodes-core.js"
import { clusterOf, deviceId, storeOf } from "./testing-records.js"

const SIX = ["a1@a:2", "a2@a:2", "b1@b:2", "b2@b:2", "c1@c:2", "c2@c:2"]

/** `a1=20 b1=3`: nodes silent for this many minutes. */
const silence = (text: string): ReadonlyMap<NodeName, number> =>
  new Map(
    text
      .split(" ")
      .filter(each => each !== "")
      .map(each => {
        const [name, minutes] = each.split("=")
        return [parseNodeName(name), Number(minutes) * 60_000]
      }),
  )
/** The numbers of the devices that go offline, and the reasons. */
function decided(record: ControlRecord, text: string): readonly [readonly number[], readonly string[]] {
  const { offline, heldBack } = silentNodes(record, silence(text))
  return [offline.map(id => Number.parseInt(id, 16) - 1), heldBack.map(({ reason }) => reason)]
}

test("the devices of a node that is silent for fifteen minutes go offline, those of others do not", () => {
  const record = clusterOf(SIX, "ec:4+2")
  assert.deepEqual(decided(record, ""), [[], []])
  assert.deepEqual(decided(record, "a1=14.99"), [[], []])
  assert.deepEqual(decided(record, "a1=15"), [[0, 1], []])
  assert.deepEqual(decided(record, "a1=15 n9=60"), [[0, 1], []])
  assert.deepEqual(decided(markOffline(record, [deviceId(0)], 5), "a1=15"), [[1], []])
  assert.equal(SILENT_NODE_MS, 15 * 60_000)
})

test("a third of all devices go offline together, but not more", () => {
  const record = clusterOf(SIX, "ec:4+2")
  assert.deepEqual(decided(record, "a1=15 b2=20"), [[0, 1, 6, 7], []])
  const [offline, [reason]] = decided(record, "a1=15 b1=20 c1=33")
  assert.deepEqual(offline, [])
  assert.equal(
    reason,
    "nodes a1, b1, c1 have been silent or cut off for 15 min, but their 6 devices are not taken offline, because 6 of 12 devices would be offline, more than a third: bring the nodes back, or decide that they are lost",
  )
})

test("devices that are offline for another reason count towards the third", () => {
  const record = markOffline(clusterOf(SIX, "ec:4+2"), [deviceId(4), deviceId(6), deviceId(8)], 5)
  assert.deepEqual(decided(record, "a1=15")[0], [])
  assert.match(decided(record, "a1=15")[1].join(), /^node a1 .* its 2 devices are .* 5 of 12 devices would be offline/)
  const fewer = markOffline(clusterOf(SIX, "ec:4+2"), [deviceId(4), deviceId(6)], 5)
  assert.deepEqual(decided(fewer, "a1=15"), [[0, 1], []])
})

test("nodes that were cut off in one moment count together, although one is due before the others", () => {
  const record = clusterOf(SIX, "ec:4+2")
  assert.deepEqual(decided(record, "a1=15 b1=14.9 c1=14.9")[0], [])
  assert.deepEqual(decided(record, "a1=15 b1=1 c1=1")[0], [])
  const isNoticed = SILENT_TOGETHER_MS / 60_000 - 0.01
  assert.deepEqual(decided(record, `a1=15 b1=${isNoticed} c1=${isNoticed}`), [[0, 1], []])
})

test("the last devices of a zone stay in use, and those of other zones go offline", () => {
  const record = clusterOf(SIX, "ec:4+2")
  const [offline, [reason, ...others]] = decided(record, "a1=16 a2=15.5")
  assert.deepEqual([offline, others], [[], []])
  assert.match(reason ?? "", /^nodes a1, a2 have .* 15 min, .* because every device of zone a would be offline: /)
  assert.deepEqual(decided(record, "a1=16 a2=15.5 b1=17")[0], [4, 5])
  assert.deepEqual(decided(record, "a1=16 a2=1")[0], [], "the rest of the zone is silent too")
  const half = markOffline(record, [deviceId(2), deviceId(3)], 5)
  assert.deepEqual(decided(half, "a1=16")[0], [], "the rest of the zone is offline")
  assert.deepEqual(decided(clusterOf(["a1@a:1", "b1@b:1", "c1@c:1"], "replica:3"), "a1=99")[0], [])
})

test("a store without zones loses no more than a third, and never everything", () => {
  const record = clusterOf(["n1:1", "n2:1", "n3:1"], "replica:2")
  assert.deepEqual(decided(record, "n1=15"), [[0], []])
  assert.deepEqual(decided(record, "n1=15 n2=15")[0], [])
  assert.match(decided(record, "n1=15 n2=15 n3=15")[1].join(), /because every device would be offline/)
  assert.deepEqual(decided(storeOf(3), "n1=99"), [[], []], "a store without homes has no silent nodes")
})
