import assert from "node:assert/strict"
import { test } from "node:test"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { LayoutFile } from "../format/device/layout-file.js"
import { planLayout, planNext, type Layout, type LayoutDevice } from "../placement/index.js"
import { layoutFileOf, layoutOfFile, problemsOfLayoutFile } from "./layout-file-core.js"
import { controlLayoutOf } from "./record-layout-core.js"
import { clusterOf, deviceId, storeOf } from "./testing-records.js"

/** Returns the devices of a store, with equal weights and without failure domains. */
const devicesOf = (count: number): readonly LayoutDevice[] =>
  Array.from({ length: count }, (_, number) => ({ id: deviceId(number), weight: 1 }))

function fileOf(devices: readonly LayoutDevice[], layout: Layout, previous: Layout): LayoutFile {
  const record = { ...storeOf(3), layout: controlLayoutOf(layout), previousLayout: controlLayoutOf(previous) }
  return { ...layoutFileOf(record), devices: devices.map(({ id, weight }) => ({ id, weight, state: "active" })) }
}

test("the table of a record is the table of its file, with one byte for a slot or two", () => {
  for (const count of [3, 300]) {
    const devices = devicesOf(count)
    const before = planLayout(devices, 3)
    const now = planNext(before, devices, 2, 2)
    const file = fileOf(devices, now, before)
    assert.equal(file.layout.bytesPerSlot, count === 3 ? 1 : 2)
    assert.deepEqual(Array.from(layoutOfFile(file.layout).table), Array.from(now.table))
    assert.ok(file.previous)
    assert.deepEqual(Array.from(layoutOfFile(file.previous).table), Array.from(before.table))
    assert.deepEqual(problemsOfLayoutFile({ ...file, policy: parsePolicy("replica:2") }), [])
  }
})

test("what does not fit together is named", () => {
  const good = layoutFileOf(clusterOf(["n1@a:2", "n2@b:2", "n3@c:2"], "ec:2+1"))
  assert.deepEqual(problemsOfLayoutFile(good), [])
  const problems = (change: Partial<LayoutFile>) => problemsOfLayoutFile({ ...good, ...change }).join("; ")
  assert.match(problems({ partitions: 4 }), /4 partitions, not 65536/)
  assert.match(problems({ devices: good.devices.slice(1) }), /names device 0{15}1, which is not listed/)
  assert.match(problems({ devices: [...good.devices, ...good.devices.slice(0, 1)] }), /listed twice/)
  assert.match(problems({ policy: parsePolicy("ec:4+2") }), /ec:4\+2 needs 6 devices: there are 6, and 3 slots/)
  const draining = good.devices.map((device, at) => (at < 4 ? { ...device, state: "draining" as const } : device))
  assert.match(problems({ devices: draining }), /ec:2\+1 needs 3 devices: there are 2/)
  const { table } = good.layout
  assert.match(problems({ layout: { ...good.layout, table: table.subarray(1) } }), /wrong length/)
  const twice = table.slice()
  twice[1] = twice[0] ?? 0
  assert.match(problems({ layout: { ...good.layout, table: twice } }), /a device twice/)
  const strange = table.slice()
  strange[PARTITIONS] = 200
  assert.match(problems({ layout: { ...good.layout, table: strange } }), /or none/)
  const oneZone = good.devices.map((device, at) => ({ ...device, zone: at < 1 ? "a" : "b" }))
  assert.match(problems({ devices: oneZone }), /not spread as evenly/)
})
