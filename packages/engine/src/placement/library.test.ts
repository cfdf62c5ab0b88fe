import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { compareDurability, openLayout, planLayout } from "./library.js"

const device = (zone: string, n: number, capacityBytes = 1e12) => ({ id: `${zone}${n}`, zone, capacityBytes })
const DEVICES = ["a", "b", "c"].flatMap(zone => [1, 2, 3].map(n => device(zone, n)))
/** A call by a program that no compiler has checked. */
const ofPlainProgram = (call: (...args: never[]) => unknown, ...args: unknown[]): unknown =>
  Reflect.apply(call, undefined, args)
const KEYS = Array.from({ length: 500 }, (_, i) => `key ${i}`)

test("the shards of a key are on distinct devices, evenly over zones, and the same each time", () => {
  const layout = planLayout(DEVICES, { width: 6 })
  const again = planLayout(DEVICES, { width: 6 })
  for (const key of KEYS) {
    const devices = layout.devicesOf(key)
    assert.equal(new Set(devices).size, 6)
    assert.deepEqual(again.devicesOf(new TextEncoder().encode(key)), devices)
    assert.deepEqual(layout.devicesOfPartition(layout.partitionOf(key)), devices)
    for (const zone of ["a", "b", "c"]) assert.equal(devices.filter(id => id.startsWith(zone)).length, 2)
  }
  assert.equal(layout.isSpreadEvenly(), true)
  assert.deepEqual([layout.mostTogether("zone"), layout.mostTogether("disk")], [2, 1])
  const slots = [...layout.slots().values()]
  assert.equal(
    slots.reduce((sum, count) => sum + count, 0),
    6 * 65_536,
  )
  assert.ok(Math.max(...slots) / Math.min(...slots) < 1.01)
})

test("shares follow capacities", () => {
  const layout = planLayout([device("a", 1), device("a", 2), device("a", 3, 2e12)], { width: 1 })
  const slots = layout.slots()
  assert.ok(Math.abs((slots.get("a3") ?? 0) / (slots.get("a1") ?? 1) - 2) < 0.02)
  assert.ok(Math.abs(layout.usableBytes("replica:1") / 4e12 - 1) < 0.01)
})

test("a device that joins gets its share, and nothing else moves; one that leaves loses all", () => {
  const four = ["a", "b", "c", "d"].map(zone => device(zone, 1))
  const layout = planLayout(four, { width: 2 })
  const joined = layout.next([...four, device("e", 1)])
  const { share, devices, added, dropped } = layout.movementTo(joined)
  assert.ok(Math.abs(share - 1 / 5) < 0.01, String(share))
  assert.deepEqual([added, dropped, devices.get("e1")?.lost], [0, 0, 0])
  for (const key of KEYS)
    for (const id of joined.devicesOf(key)) assert.ok(id === "e1" || layout.devicesOf(key).includes(id))
  const left = joined.next(four)
  assert.equal(joined.movementTo(left).devices.get("e1")?.lost, joined.slots().get("e1"))
  assert.equal(left.version, 3)
  assert.equal(layout.next(four, { width: 3 }).devicesOf("x").length, 3)
})

test("a saved layout is the same, and damage is refused", () => {
  const layout = planLayout(DEVICES, { width: 4 }).next(DEVICES.slice(1))
  const saved = layout.save()
  const opened = openLayout(saved)
  for (const key of KEYS) assert.deepEqual(opened.devicesOf(key), layout.devicesOf(key))
  assert.deepEqual(opened.save(), saved)
  const refused = { name: "LibraryError", code: "invalidLayout" }
  assert.throws(() => openLayout({ ...saved, table: saved.table.subarray(1) }), refused)
  assert.throws(() => openLayout({ ...saved, devices: saved.devices.slice(1) }), refused)
  assert.throws(() => ofPlainProgram(openLayout, JSON.parse(JSON.stringify(saved))), { ...refused, message: /base64/ })
  for (const version of [0, -1, 1.5, Number.NaN, Infinity])
    assert.throws(() => openLayout({ ...saved, version }), { ...refused, message: /version/ })
  assert.throws(() => ofPlainProgram(openLayout, { ...saved, version: "3" }), { ...refused, message: /version/ })
})

test("a layout stays as it is, whatever becomes of what it was made from", () => {
  const given = DEVICES.map(each => ({ ...each }))
  const layout = planLayout(given, { width: 4 })
  const saved = layout.save()
  const buffer = Buffer.from(saved.table)
  const opened = openLayout({ version: saved.version, devices: given, table: buffer })
  const next = layout.next(given)
  const before = [layout, opened, next].map(each => [
    each.devicesOf("x"),
    each.usableBytes("ec:3+1"),
    each.mostTogether("zone"),
  ])
  buffer.fill(0, 1)
  for (const each of given) Object.assign(each, { capacityBytes: 1, zone: "z", id: "other" })
  assert.deepEqual(
    [layout, opened, next].map(each => [each.devicesOf("x"), each.usableBytes("ec:3+1"), each.mostTogether("zone")]),
    before,
  )
  for (const each of [...layout.devices, ...layout.save().devices, ...opened.devices, ...next.devices])
    assert.throws(() => Object.assign(each, { capacityBytes: 1 }), TypeError)
  assert.ok(Object.isFrozen(layout.devices))
})

test("durability: more parity is safer, and zones and machines count", () => {
  const devices = DEVICES.map((each, i) => ({ ...each, machine: `m${i}` }))
  const [two, three, coded, wide] = compareDurability(devices, ["replica:2", "replica:3", "ec:4+2", "ec:8+4"])
  assert.ok(two && "nines" in two && three && "nines" in three && coded && "nines" in coded)
  assert.ok(three.nines > two.nines && coded.nines > two.nines)
  assert.deepEqual([coded.shards, coded.needed, coded.devicesTolerated, coded.storageFactor], [6, 4, 2, 1.5])
  assert.deepEqual([three.zonesTolerated, coded.zonesTolerated, two.machinesTolerated], [2, 1, 1])
  assert.ok(Math.abs(coded.groupYearsByRuns - coded.groupYears) < 5 * coded.groupYearsError)
  assert.match(must(wide && "problem" in wide ? wide.problem : undefined, "it needs 12"), /needs 12 devices/)
  const [worse] = compareDurability(devices, ["ec:4+2"], { assumptions: { annualFailureRate: 0.1 }, cycles: 100 })
  assert.ok(worse && "nines" in worse && worse.nines < coded.nines)
})

test("mistakes have a code", () => {
  const layout = planLayout(DEVICES, { width: 4 })
  const mistakes: readonly (readonly [code: string, act: () => unknown])[] = [
    ["invalidWidth", () => planLayout(DEVICES, { width: 0 })],
    ["invalidWidth", () => planLayout(DEVICES, { width: 33 })],
    ["tooFewDevices", () => planLayout(DEVICES, { width: 10 })],
    ["tooFewDevices", () => layout.next(DEVICES.slice(6))],
    [
      "tooManyDevices",
      () =>
        planLayout(
          Array.from({ length: 4_097 }, (_, i) => device("a", i)),
          { width: 1 },
        ),
    ],
    ["invalidDevice", () => planLayout([{ id: "", capacityBytes: 1 }], { width: 1 })],
    ["invalidDevice", () => planLayout([{ id: "a", capacityBytes: 0 }], { width: 1 })],
    ["invalidDevice", () => planLayout([{ id: "a", capacityBytes: Number.NaN }], { width: 1 })],
    ["invalidDevice", () => ofPlainProgram(planLayout, [{ id: 5, capacityBytes: 1 }], { width: 1 })],
    ["invalidDevice", () => ofPlainProgram(planLayout, [{ id: "a", capacityBytes: "1" }], { width: 1 })],
    ["invalidKey", () => ofPlainProgram(key => layout.devicesOf(key), 5)],
    ["invalidPartition", () => layout.devicesOfPartition(-1)],
    ["invalidPartition", () => layout.devicesOfPartition(65_536)],
    ["invalidPartition", () => layout.devicesOfPartition(Number.NaN)],
    ["duplicateDevice", () => planLayout([...DEVICES, device("a", 1)], { width: 1 })],
    ["invalidPolicy", () => layout.usableBytes("ec:4")],
    ["invalidPolicy", () => layout.usableBytes("ec:4+2")],
    ["invalidRequest", () => compareDurability([], ["replica:3"])],
    ["invalidRequest", () => compareDurability([{ capacityBytes: -1 }], ["replica:3"])],
    ["invalidRequest", () => compareDurability(DEVICES, Array<string>(17).fill("replica:3"))],
    ["invalidRequest", () => compareDurability(DEVICES, [], { cycles: 0 })],
    ["invalidRequest", () => compareDurability(DEVICES, [], { seed: -1 })],
    ["invalidRequest", () => compareDurability(DEVICES, [], { assumptions: { annualFailureRate: 1 } })],
    ["invalidRequest", () => compareDurability(DEVICES, [], { assumptions: { fill: 1.1 } })],
    ["invalidRequest", () => compareDurability(DEVICES, [], { assumptions: { repairHours: -1 } })],
    ["invalidRequest", () => compareDurability(DEVICES, [], { assumptions: { repairHours: 0 } })],
    ["invalidRequest", () => compareDurability(DEVICES, [], { assumptions: { alignBytes: 1.5 } })],
    ["invalidRequest", () => compareDurability(DEVICES, [], { assumptions: { objects: Infinity } })],
    ["invalidRequest", () => ofPlainProgram(compareDurability, DEVICES, [], { assumptions: { constructor: 1 } })],
    ["invalidRequest", () => compareDurability([{ capacityBytes: 1e19 }], ["replica:3"])],
    ["invalidRequest", () => compareDurability(DEVICES, [], { cycles: 1 })],
  ]
  for (const [expected, act] of mistakes) assert.throws(act, { name: "LibraryError", code: expected })
})
