import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { parseDeviceId, type DeviceId } from "@hayloft/base/ids.js"
import { shardRuleOf, stateOf, type DevicesById } from "./shard-rules-core.js"

/** Each text is a device: `zone/machine`, or "" without either. */
function devicesIn(...places: readonly string[]): DevicesById {
  return new Map(
    places.map((place, at) => {
      const [zone, machine] = place.split("/")
      const id = parseDeviceId(at.toString(16).padStart(16, "0"))
      const facts = { id, path: `/d${at}`, state: "active" as const, weight: at + 1, slots: 1, share: 0.5 }
      return [id, { ...facts, ...(zone && { zone }), ...(machine && { machine }) }]
    }),
  )
}

const slotsOn = (ids: readonly DeviceId[]) =>
  ids.map((assigned, slot) => ({ slot, assigned, copies: [], found: "missing" as const }))
const rules = (devices: DevicesById, count: number) => {
  const slots = slotsOn([...devices.keys()].slice(0, count))
  return slots.map(({ assigned }) => shardRuleOf(assigned, slots, devices))
}

test("a rule names the levels that tell devices apart, with the shards of the others", () => {
  assert.deepEqual(rules(devicesIn("", ""), 2), ["a device of weight 1", "a device of weight 2"])
  const [first, , third] = rules(devicesIn("east/m1", "east/m2", "west/m3", "west/m3"), 3)
  assert.equal(
    first,
    "zone east has 2 of 3 shards, zones have 1 to 2; machine m1 has 1 of 2 shards, each machine has 1; a device of weight 1",
  )
  assert.equal(third, "zone west has 1 of 3 shards, zones have 1 to 2; a device of weight 3")
})

test("a slot without a device, or with one that is gone, has a reason too", () => {
  assert.match(shardRuleOf(undefined, [], devicesIn("")), /fewer slots/)
  assert.match(shardRuleOf(parseDeviceId("f".repeat(16)), [], devicesIn("")), /not one of the store/)
})

test("what is known of a missing shard depends on its device", () => {
  const devices = new Map(devicesIn("", "", ""))
  const [first, second, third] = [...devices.keys()].map(id => must(devices.get(id), "it is one of them"))
  assert.ok(first && second && third)
  devices.set(first.id, { ...first, state: "offline" })
  const slot = (assigned: DeviceId) => ({ slot: 0, assigned, copies: [], found: "missing" as const })
  assert.equal(stateOf(slot(first.id), devices, new Set()), "offline")
  assert.equal(stateOf(slot(second.id), devices, new Set([second.id])), "unknown")
  assert.equal(stateOf(slot(third.id), devices, new Set()), "missing")
  assert.equal(stateOf({ ...slot(first.id), found: "former" }, devices, new Set()), "moving")
  assert.equal(stateOf({ ...slot(first.id), found: "assigned" }, devices, new Set()), "inPlace")
})
