import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { deviceId, equal } from "./testing-devices.js"
import { isSound, slotsPerDevice, type FailureDomains, type Layout, type LayoutDevice } from "./layout.js"
import { movement } from "./movement.js"
import { planLayout, planNext } from "./next-layout.js"
import { fewestMoves, namesOf, partitionsOf } from "./testing-fewest-moves.js"

/** Few enough for many plans, enough for shares within a few percent. */
const FEW_PARTITIONS = 1024

interface Domain {
  readonly parent: string
  readonly members: ReadonlySet<string>
  /** Members that may get a shard. */
  readonly gaining: ReadonlySet<string>
}

/** Every domain except the store itself, level by level, without a tree. */
function domainsOf(devices: readonly LayoutDevice[]): readonly Domain[] {
  return [0, 1, 2].flatMap(level => {
    const inside = new Map<string, LayoutDevice[]>()
    for (const device of devices) {
      const name = namesOf(device)[level] ?? ""
      inside.set(name, [...(inside.get(name) ?? []), device])
    }
    return Array.from(inside.values(), (members): Domain => {
      const parent = level === 0 ? "" : (namesOf(members[0] ?? assert.fail())[level - 1] ?? "")
      const gaining = members.filter(({ mayGain }) => mayGain !== false)
      const idsOf = (of: readonly LayoutDevice[]) => new Set<string>(of.map(({ id }) => id))
      return { parent: `${level} ${parent}`, members: idsOf(members), gaining: idsOf(gaining) }
    })
  })
}

/**
 * Describes where these shards are spread less evenly over domains than their devices allow; returns undefined if
 * nowhere.
 */
function unevenness(domains: readonly Domain[], holders: readonly string[]): string | undefined {
  const most = new Map<string, number>()
  const least = new Map<string, number>()
  for (const { parent, members, gaining } of domains) {
    const count = holders.filter(id => members.has(id)).length
    most.set(parent, Math.max(count, most.get(parent) ?? 0))
    const hasCapacity = holders.filter(id => gaining.has(id)).length < gaining.size
    if (hasCapacity) least.set(parent, Math.min(count, least.get(parent) ?? Infinity))
  }
  const uneven = [...most].find(([parent, count]) => count > (least.get(parent) ?? Infinity) + 1)
  return uneven && `${uneven[1]} shards and ${least.get(uneven[0])} within ${uneven[0]}`
}

/** Checks some hundreds of partitions. */
function checkEven(layout: Layout, devices: readonly LayoutDevice[], what = ""): void {
  assert.ok(isSound(layout), `${what}: distinct devices`)
  const usable = devices.filter(({ weight }) => weight > 0)
  const domains = domainsOf(usable)
  const zones = domains.filter(({ parent }) => parent === "0 ")
  const fair = Math.ceil(layout.width / zones.length)
  const mayBeFair = zones.every(({ members, gaining }) => members.size === gaining.size && members.size >= fair)
  const partitions = layout.table.length / layout.width
  for (const holders of partitionsOf(layout, Math.ceil(partitions / 400))) {
    assert.equal(unevenness(domains, holders), undefined, what)
    if (!mayBeFair) continue
    const inZone = zones.map(({ members }) => holders.filter(id => members.has(id)).length)
    assert.ok(Math.max(...inZone) <= fair, `${what}: at most ${fair} in a zone`)
    assert.equal(inZone.filter(count => count > 0).length, Math.min(layout.width, zones.length), `${what}: all zones`)
  }
}

/** Asserts that hardly more slots moved than had to. */
function checkMoves(before: Layout, after: Layout, devices: readonly LayoutDevice[], what: string): void {
  const { moved } = movement(before, after)
  const allowed = 0.03 * after.table.length + 8
  const wasted = moved - fewestMoves(before, after, devices, moved - allowed)
  assert.ok(wasted <= allowed, `${what}: ${wasted} of ${after.table.length} for nothing`)
}

const anyDomains: fc.Arbitrary<FailureDomains> = fc
  .record({
    zone: fc.constantFrom("a", "b", "c", "d"),
    machine: fc.constantFrom("1", "2", "3"),
    disk: fc.option(fc.constantFrom("x", "y"), { nil: "" }),
  })
  .map(({ zone, machine, disk }) => (disk === "" ? { zone, machine } : { zone, machine, disk }))

const anyWeight = fc.integer({ min: 1, max: 80 }).map(weight => weight / 10)
const anyDevice = fc.record({ domains: anyDomains, weight: anyWeight })

const anyStore = fc
  .record({ members: fc.array(anyDevice, { minLength: 1, maxLength: 30 }), width: fc.integer({ min: 1, max: 9 }) })
  .map(({ members, width }) => ({
    devices: members.map((member, i): LayoutDevice => ({ id: deviceId(i), ...member })),
    width: Math.min(width, members.length),
  }))

test("shards of a partition are on distinct devices, spread as evenly over zones, machines and disks as their devices allow", () => {
  fc.assert(
    fc.property(anyStore, ({ devices, width }) => checkEven(planLayout(devices, width, 1, FEW_PARTITIONS), devices)),
    { numRuns: runsOf(30) },
  )
})

test("after any additions, removals and new weights the spread is even, with almost no needless moves", () => {
  const anyChange = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), member: anyDevice, at: fc.nat() }),
    fc.record({ kind: fc.constantFrom("drop", "dropMachine", "dropZone", "close"), member: anyDevice, at: fc.nat() }),
    fc.record({ kind: fc.constantFrom("weigh", "rename"), member: anyDevice, at: fc.nat() }),
  )
  fc.assert(
    fc.property(anyStore, fc.array(anyChange, { minLength: 1, maxLength: 5 }), (store, changes) => {
      let { devices } = store
      let layout = planLayout(devices, store.width, 1, FEW_PARTITIONS)
      changes.forEach(({ kind, member, at }, step) => {
        const picked = devices[at % devices.length] ?? assert.fail()
        const shares = (level: number) => (device: LayoutDevice) => namesOf(device)[level] !== namesOf(picked)[level]
        const changed = (change: Partial<LayoutDevice>) =>
          devices.map(device => (device === picked ? { ...device, ...change } : device))
        const next =
          kind === "add"
            ? [...devices, { id: deviceId(100 + step), ...member }]
            : kind === "weigh"
              ? changed({ weight: member.weight })
              : kind === "rename"
                ? changed({ domains: member.domains })
                : kind === "close"
                  ? changed({ mayGain: false })
                  : devices.filter(kind === "drop" ? device => device !== picked : shares(kind === "dropZone" ? 0 : 1))
        const { width } = store
        if (next.length < width) return
        devices = next
        const after = planNext(layout, devices, width, step + 2)
        const isGaining = devices.filter(({ mayGain }) => mayGain !== false).length >= width
        if (isGaining) checkEven(after, devices, kind)
        assert.ok(isSound(after))
        checkMoves(layout, after, devices, kind)
        layout = after
      })
    }),
    { numRuns: runsOf(30) },
  )
})

/** `perMachine` devices on each machine, of `machines` in each zone. */
function grid(zones: number, machines: number, perMachine: number): readonly LayoutDevice[] {
  return Array.from({ length: zones * machines * perMachine }, (_, i) => {
    const machine = Math.floor(i / perMachine)
    return {
      id: deviceId(i),
      weight: 1,
      domains: { zone: `z${Math.floor(machine / machines)}`, machine: `m${machine}` },
    }
  })
}

const isOn = (name: string) => (device: LayoutDevice) => namesOf(device).some(each => each.split("/").pop() === name)
const heldIn = (layout: Layout, devices: readonly LayoutDevice[]): number => {
  const ids = new Set<string>(devices.map(({ id }) => id))
  return slotsPerDevice(layout).reduce((sum, held, i) => sum + (ids.has(layout.devices[i] ?? "") ? held : 0), 0)
}

const at = (i: number, zone: string, machine: string): LayoutDevice => ({
  id: deviceId(i),
  domains: { zone, machine },
  weight: 1,
})

test("a zone that gives shards to a new device in another zone stays even over its machines", () => {
  const first = [at(0, "d", "1"), at(1, "d", "3"), at(2, "c", "1"), at(3, "d", "3"), at(4, "c", "1"), at(5, "a", "1")]
  const second = [...first, at(6, "d", "1")]
  const third = [...second, at(7, "c", "1")]
  const before = planNext(planLayout(first, 6, 1, FEW_PARTITIONS), second, 6, 2)
  checkEven(planNext(before, third, 6, 3), third)
})

test("a device in a machine of its own gets shards from all zones, and no shard comes back to where it was", () => {
  const first = [at(0, "a", "1"), at(1, "d", "2"), at(2, "a", "1"), at(3, "a", "1"), at(4, "d", "2"), at(5, "c", "1")]
  const before = planLayout(first, 6, 1, FEW_PARTITIONS)
  const after = planNext(before, [...first, at(6, "d", "1")], 6, 2)
  assert.equal(movement(before, after).moved, FEW_PARTITIONS)
})

test("a device that gets slots of some partitions keeps its own of others where it can", () => {
  const places = [at(0, "b", "2"), at(1, "a", "1"), at(2, "b", "2"), at(3, "a", "1"), at(4, "a", "1"), at(5, "b", "2")]
  const weights = [3, 1, 2, 3, 2, 1, 3]
  const second = [...places, at(6, "a", "2")].map((device, i) => ({ ...device, weight: weights[i] ?? 1 }))
  const before = planLayout(second.slice(0, 6), 5, 1, FEW_PARTITIONS)
  const after = planNext(before, second, 5, 2)
  checkEven(after, second)
  assert.equal(movement(before, after).moved, fewestMoves(before, after, second, Infinity))
})

test("a move for an even spread and another one for the share of the same device may both be needed", () => {
  const of = (i: number, zone: string, machine: string, weight: number) => ({ ...at(i, zone, machine), weight })
  const first = [of(0, "a", "1", 1), of(1, "c", "1", 2), of(2, "a", "1", 6), of(3, "c", "2", 1), of(4, "a", "1", 1)]
  const second = [...first, of(5, "c", "1", 3)]
  const before = planNext(planLayout(first, 3, 1, FEW_PARTITIONS), second, 3, 2)
  const third = second.filter(({ id }) => id !== deviceId(1))
  const after = planNext(before, third, 3, 3)
  // Zone c had two shards of each partition of device 3, and device 1 had its only one of others.
  const inBoth = [...partitionsOf(before)].filter(ids => ids.includes(deviceId(3)) && ids.includes(deviceId(5))).length
  const lost = heldIn(before, [second[1] ?? assert.fail()])
  assert.equal(fewestMoves(before, after, third, Infinity), inBoth + lost)
  assert.equal(movement(before, after).moved, inBoth + lost)
})

test("with zones of equal weight each holds the same, and devices hold their shares by weight within", () => {
  const devices = grid(3, 2, 3).map((device, i) => ({ ...device, weight: 1 + (i % 3) }))
  const layout = planLayout(devices, 6)
  const held = slotsPerDevice(layout)
  held.forEach((count, i) => {
    const share = (layout.table.length / 3) * ((1 + (i % 3)) / 12)
    assert.ok(Math.abs(count - share) <= Math.max(2, 0.0025 * share), `device ${i}: ${count} instead of ${share}`)
  })
})

test("losing a zone, machine or device moves only its slots, and adding one moves only its share", () => {
  const zones = grid(4, 3, 2)
  const [three, extra] = [zones.filter(device => !isOn("z3")(device)), zones.filter(isOn("z3"))]
  for (const width of [3, 4]) {
    const before = planLayout(three, width)
    for (const [what, decommissioning] of [
      ["a zone is lost", isOn("z1")],
      ["a machine is lost", isOn("m4")],
      ["a device is lost", (device: LayoutDevice) => device.id === deviceId(5)],
    ] as const) {
      const after = planNext(
        before,
        three.filter(device => !decommissioning(device)),
        width,
        2,
      )
      checkEven(
        after,
        three.filter(device => !decommissioning(device)),
        what,
      )
      const lost = heldIn(before, three.filter(decommissioning))
      // If zones do not hold the same number of shards, a lighter one gives some of its own to the others.
      const most = width % 3 === 0 || what === "a zone is lost" ? 1.02 : 1.6
      assert.ok(movement(before, after).moved <= most * lost, `${what}: ${movement(before, after).moved} for ${lost}`)
    }
    for (const [what, coming] of [
      ["a zone comes", extra],
      ["a machine comes", extra.slice(0, 2).map(device => ({ ...device, domains: { zone: "z0", machine: "new" } }))],
      ["a device comes", extra.slice(0, 1).map(device => ({ ...device, domains: { zone: "z0", machine: "m0" } }))],
    ] as const) {
      const after = planNext(before, [...three, ...coming], width, 2)
      checkEven(after, [...three, ...coming], what)
      const { moved } = movement(before, after)
      const got = heldIn(after, coming)
      const most = width % 3 === 0 || what === "a zone comes" ? 1.02 : 1.6
      assert.ok(got > 0 && moved <= most * got + 4, `${what}, width ${width}: ${moved} for ${got}`)
    }
  }
})

test("naming domains later moves only shards that were spread unevenly", () => {
  const devices = grid(3, 2, 3)
  const before = planLayout(
    devices.map(({ id, weight }) => ({ id, weight })),
    6,
  )
  const after = planNext(before, devices, 6, 2)
  checkEven(after, devices, "named")
  let forced = 0
  for (const holders of partitionsOf(before)) {
    const inZone = [0, 1, 2].map(zone => devices.filter(d => holders.includes(d.id) && d.domains?.zone === `z${zone}`))
    for (const ofZone of inZone) {
      const machines = new Map<string, number>()
      for (const { domains } of ofZone)
        machines.set(domains?.machine ?? "", (machines.get(domains?.machine ?? "") ?? 0) + 1)
      // Two in each zone, on two machines.
      const kept = [...machines.values()].reduce((sum, count) => sum + Math.min(count, 1), 0)
      forced += Math.max(ofZone.length, 2) - Math.min(kept, 2) - Math.max(0, 2 - ofZone.length)
    }
  }
  const { moved } = movement(before, after)
  assert.ok(moved >= forced && moved <= forced * 1.02, `${moved} moved, ${forced} had to`)
})

test("domains that separate nothing leave the tables unchanged", () => {
  const plain = equal(9)
  const before = planLayout(plain, 4)
  const grown = planNext(before, equal(11), 4, 2)
  for (const domainsOf of [
    () => ({ zone: "a" }),
    () => ({ zone: "a", machine: "m" }),
    (i: number) => ({ machine: `m${i}` }),
    (i: number) => ({ zone: `z${i}`, machine: "m", disk: "d" }),
    (i: number) => ({ disk: `d${i}` }),
  ]) {
    const named = (devices: readonly LayoutDevice[]) => devices.map((d, i) => ({ ...d, domains: domainsOf(i) }))
    assert.deepEqual(planLayout(named(plain), 4), before)
    assert.deepEqual(planNext(before, named(equal(11)), 4, 2), grown)
  }
})

test("a zone with fewer devices than its part has a shard on each of them, and the others share the rest", () => {
  const small = grid(3, 2, 3).filter((device, i) => !isOn("z2")(device) || i === 17)
  const layout = planLayout(small, 6, 1, FEW_PARTITIONS)
  checkEven(layout, small)
  assert.equal(heldIn(layout, small.filter(isOn("z2"))), FEW_PARTITIONS)
})

test("no slot goes to a zone that cannot be written while others have space", () => {
  const devices = grid(4, 2, 2)
  const before = planLayout(devices, 4)
  const lost = devices.filter(device => !isOn("m0")(device))
  const closed = lost.map(device => (isOn("z1")(device) ? { ...device, mayGain: false } : device))
  const after = planNext(before, closed, 4, 2)
  const { devices: moves } = movement(before, after)
  for (const { id } of closed.filter(isOn("z1"))) assert.equal(moves.get(id)?.slotsIn ?? 0, 0)
  assert.ok(isSound(after))
})

test("a thousand devices are planned: evenly, by weight, with the least movement", () => {
  const devices = grid(5, 20, 10).map((device, i) => ({ ...device, weight: 1 + (i % 3) }))
  const before = planLayout(devices, 14, 1, 8192)
  checkEven(before, devices)
  const total = devices.reduce((sum, { weight }) => sum + weight, 0)
  const zone = (i: number) => devices.slice(i * 200, (i + 1) * 200)
  for (let i = 0; i < 5; i += 1) {
    const share = zone(i).reduce((sum, { weight }) => sum + weight, 0) / total
    assert.ok(Math.abs(heldIn(before, zone(i)) / (14 * 8192) - share) < 0.002)
  }
  const without = devices.filter(device => !isOn("m42")(device))
  const after = planNext(before, without, 14, 2)
  checkEven(after, without)
  const lost = heldIn(before, devices.filter(isOn("m42")))
  assert.ok(movement(before, after).moved <= 1.3 * lost, `${movement(before, after).moved} for ${lost}`)
})
