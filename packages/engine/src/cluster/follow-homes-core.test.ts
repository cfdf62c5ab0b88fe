/** Layouts over homes: zones and machines are failure domains, and a moved disk leads to a new layout only if it must. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { DeviceId } from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ControlRecord, DeviceHome } from "../format/device/control-record.js"
import { mostTogether, movement } from "../placement/index.js"
import { checkRecord } from "./testing-check-record.js"
import { addDevice } from "./device-commands-core.js"
import { finishTransition } from "./device-states-core.js"
import { followHomes } from "./follow-homes-core.js"
import { layoutOf } from "./record-layout-core.js"
import { clusterOf, deviceId, homeOn, newDevice, storeOf } from "./testing-records.js"
import { drainDevice } from "./testing-changes.js"

const NINE = ["a1@a:3", "b1@b:3", "c1@c:3"]

const withHomes = (record: ControlRecord, homes: Readonly<Record<number, DeviceHome>>): ControlRecord => ({
  ...record,
  devices: record.devices.map((device, number) => {
    const home = homes[number]
    return home === undefined ? device : { ...device, home }
  }),
})

/** The most shards of a partition in one zone, and in one machine. */
function together(record: ControlRecord): readonly [zone: number, machine: number] {
  const homeOf = (id: DeviceId) => record.devices.find(device => device.id === id)?.home
  const most = (domainOf: (id: DeviceId) => string) =>
    mostTogether(layoutOf(record.layout), domainOf).reduce((max, shards) => Math.max(max, shards), 0)
  return [most(id => homeOf(id)?.zone ?? ""), most(id => `${homeOf(id)?.zone}/${homeOf(id)?.machine}`)]
}

test("each change of the layout spreads shards over the zones that the homes name", () => {
  assert.deepEqual(together(clusterOf(NINE, "ec:4+2")), [2, 2])
  const more = addDevice(clusterOf(NINE, "ec:4+2"), { ...newDevice(9), home: homeOn("c2", "c") }, 1, [], 0)
  assert.deepEqual(together(more), [2, 2])
  const fewer = drainDevice(finishTransition(more), deviceId(3), [], 0)
  assert.deepEqual(together(fewer), [2, 2])
  checkRecord(fewer)
})

test("a disk that moves to another zone leads to a new layout, which moves few shards", () => {
  const moved = withHomes(clusterOf(NINE, "ec:4+2"), { 8: homeOn("a1", "a") })
  assert.equal(together(moved)[0], 3)
  const followed = followHomes(moved, [])
  checkRecord(followed)
  assert.equal(followed.previousLayout, moved.layout)
  assert.equal(together(followed)[0], 2)
  const { share } = movement(layoutOf(moved.layout), layoutOf(followed.layout))
  assert.ok(share < 0.25, `moved ${share}`)
  assert.equal(followHomes(followed, []), followed, "one transition at a time")
  const settled = finishTransition(followed)
  assert.equal(followHomes(settled, []), settled)
})

test("a disk that moves to another machine of its zone leads to a new layout if shards meet there", () => {
  const record = clusterOf(["a1@a:1", "a2@a:1", "a3@a:1", "b1@b:1", "b2@b:1", "b3@b:1"], "ec:2+2")
  assert.deepEqual(together(record), [2, 1])
  const moved = withHomes(record, { 0: homeOn("a2", "a") })
  assert.deepEqual(together(moved), [2, 2])
  assert.deepEqual(together(followHomes(moved, [])), [2, 1])
})

test("no shard moves if a plan with the present homes would not spread them better", () => {
  const stays = (record: ControlRecord) => assert.equal(followHomes(record, [parsePolicy("replica:2")]), record)
  stays(storeOf(6, "ec:2+2"))
  stays(clusterOf(NINE, "ec:4+2"))
  const renamed = Object.fromEntries([0, 1, 2].map(number => [number, homeOn("other", "a", 7)]))
  stays(withHomes(clusterOf(NINE, "ec:4+2"), renamed))
  const single = Object.fromEntries(Array.from({ length: 6 }, (_, number) => [number, homeOn("only")]))
  stays(withHomes(storeOf(6, "ec:2+2"), single))
  // Two folders on one disk: not even, but no worse for any machine.
  const disks = Object.fromEntries([0, 1].map(number => [number, { ...homeOn("only"), disk: "d" }]))
  stays(withHomes(withHomes(storeOf(6, "ec:2+2"), single), disks))
})

test("a zone that gets few shards too many is left as it is if no zone could have fewer", () => {
  // All six slots are used by six devices: where they stand changes nothing.
  const record = clusterOf(["a1@a:2", "b1@b:2", "c1@c:2"], "ec:4+2")
  const moved = withHomes(record, { 4: homeOn("a1", "a"), 5: homeOn("a1", "a") })
  assert.equal(together(moved)[0], 4)
  assert.equal(followHomes(moved, []), moved)
})
