/** Tests of what must hold for every layout: more redundancy or faster repair is never worse, and random runs agree. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import {
  approximateHoursToLoss,
  failuresPerHourOf,
  hoursToLoss,
  unreadableShareOf,
  type GroupRates,
} from "./chain-core.js"
import { groupLossChance, independentGroups, lossChance, setsOf } from "./chances-core.js"
import { estimateHoursToLoss, type Estimate } from "./monte-carlo-core.js"
import { parseScheme } from "./schemes-core.js"
import { seededUniform } from "./seeded.js"
import { bytesOnDisk, placeableBytes } from "./space-core.js"
import { lossRates, ONE_GROUP, shardsPerDomain, totalLossRate } from "./zones-core.js"

const ROUNDING = 1 + 1e-9

const GROUP = fc
  .record({
    needed: fc.integer({ min: 1, max: 17 }),
    tolerated: fc.integer({ min: 0, max: 5 }),
    failuresPerHour: fc.double({ min: 1e-7, max: 1e-2, noNaN: true }),
    repairsPerHour: fc.double({ min: 1e-3, max: 1, noNaN: true }),
    order: fc.constantFrom("parallel" as const, "serial" as const),
    unreadableShare: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ tolerated, ...group }): GroupRates => ({ ...group, shards: group.needed + tolerated }))

function estimateOf(group: GroupRates, cycles: number, seed = TEST_SEED): Estimate {
  const run = estimateHoursToLoss(group, cycles, seededUniform(seed))
  for (;;) {
    const { done, value } = run.next()
    if (done === true) return value
  }
}

test("a group lasts shorter with more failures, slower repair, more needed shards and more unreadable sectors", () => {
  fc.assert(
    fc.property(GROUP, group => {
      const hours = hoursToLoss(group)
      const shorter = (changed: Partial<GroupRates>, what: string) =>
        assert.ok(hoursToLoss({ ...group, ...changed }) <= hours * ROUNDING, what)
      shorter({ failuresPerHour: group.failuresPerHour * 2 }, "failures")
      shorter({ repairsPerHour: group.repairsPerHour / 2 }, "repair")
      shorter({ shards: group.shards + 1, needed: group.needed + 1 }, "needed")
      shorter({ unreadableShare: 1 }, "sectors")
      shorter({ order: "serial" }, "one at a time")
      const spare = hoursToLoss({ ...group, shards: group.shards + 1, unreadableShare: 0 })
      assert.ok(spare >= hoursToLoss({ ...group, unreadableShare: 0 }), "one more shard")
    }),
  )
})

test("a group of which every rebuild meets an unreadable sector lasts as one with a shard less to lose", () => {
  fc.assert(
    fc.property(GROUP, group => {
      fc.pre(group.shards > group.needed)
      const sector = hoursToLoss({ ...group, unreadableShare: 1 })
      const less = hoursToLoss({ ...group, needed: group.needed + 1, unreadableShare: 0 })
      assert.ok(Math.abs(sector / less - 1) < 1e-9)
    }),
  )
})

test("the approximation approaches the exact value as repairs get faster", () => {
  for (const order of ["parallel", "serial"] as const) {
    const errors = [1e2, 1e4, 1e6].map(ratio => {
      const group: GroupRates = { shards: 9, needed: 6, failuresPerHour: 1, repairsPerHour: ratio, order }
      return Math.abs(approximateHoursToLoss(group) / hoursToLoss(group) - 1)
    })
    const [first = 0, second = 0, third = 0] = errors
    assert.ok(first > second && second > third && third < 1e-4, String(errors))
  }
})

test("4+2 lasts a tenth of three copies repaired one at a time, in the approximation", () => {
  const rates = { failuresPerHour: failuresPerHourOf(0.02), repairsPerHour: 1 / 24 }
  const coded = approximateHoursToLoss({ shards: 6, needed: 4, order: "parallel", ...rates })
  const copies = approximateHoursToLoss({ shards: 3, needed: 1, order: "serial", ...rates })
  assert.ok(Math.abs(copies / coded / 10 - 1) < 1e-12)
})

/** One group in a million is further away by chance: each commit draws others. */
const STANDARD_ERRORS = 5
const CYCLES = 60_000

test("random runs agree with the exact value within five standard errors, also for losses that never occur", () => {
  const groups: readonly [string, GroupRates][] = [
    ["V1", { shards: 3, needed: 1, failuresPerHour: 0.01, repairsPerHour: 0.1, order: "parallel" }],
    ["V2", { shards: 6, needed: 4, failuresPerHour: 0.01, repairsPerHour: 0.5, order: "parallel" }],
    ["V3", { shards: 3, needed: 1, failuresPerHour: 0.01, repairsPerHour: 0.1, order: "serial" }],
    ...[
      [1, 1],
      [2, 1],
      [6, 4],
      [14, 10],
      [20, 17],
    ].map(([shards = 0, needed = 0]): [string, GroupRates] => [
      `${shards} of which ${needed}`,
      { shards, needed, failuresPerHour: failuresPerHourOf(0.02), repairsPerHour: 1 / 24, order: "parallel" },
    ]),
  ]
  const sectors: readonly (readonly [string, GroupRates])[] = groups.map(([name, group]) => [
    `${name} with sectors`,
    { ...group, unreadableShare: unreadableShareOf(1e-15, group.needed * 8e12) },
  ])
  for (const [name, group] of [...groups, ...sectors]) {
    const { hours, standardError, cycles } = estimateOf(group, CYCLES)
    const exact = hoursToLoss(group)
    assert.ok(
      Math.abs(hours - exact) <= STANDARD_ERRORS * standardError,
      `${name}: ${hours} ± ${standardError}, not ${exact}`,
    )
    assert.ok(standardError < 0.03 * hours, `${name}: ${standardError / hours}`)
    assert.equal(cycles, CYCLES)
  }
})

test("the same seed has the same result, another seed another one", () => {
  const group: GroupRates = { shards: 6, needed: 4, failuresPerHour: 0.01, repairsPerHour: 0.5, order: "parallel" }
  assert.deepEqual(estimateOf(group, 1000, 7), estimateOf(group, 1000, 7))
  assert.notDeepEqual(estimateOf(group, 1000, 7), estimateOf(group, 1000, 8))
})

test("seeded numbers are spread evenly, do not follow one another, and depend on each bit of the seed", () => {
  for (const seed of [0, 1, 2, 2 ** 32, 2 ** 40 + 1]) {
    const next = seededUniform(seed)
    const drawn = Array.from({ length: 20_000 }, next)
    const counts = new Array<number>(20).fill(0)
    let products = 0
    drawn.forEach((value, i) => {
      assert.ok(value > 0 && value < 1)
      const bin = Math.floor(value * 20)
      counts[bin] = (counts[bin] ?? 0) + 1
      products += (value - 0.5) * ((drawn[i - 1] ?? 0.5) - 0.5)
    })
    assert.ok(Math.min(...counts) > 850 && Math.max(...counts) < 1150, `${seed}: ${counts.join(" ")}`)
    assert.ok(Math.abs(products / drawn.length) < 0.003, `${seed}: ${products / drawn.length}`)
  }
  assert.notEqual(seededUniform(1)(), seededUniform(2 ** 32 + 1)())
})

test("an even spread over zones is never worse than one zone, if what is left outlives the rebuild of a zone", () => {
  fc.assert(
    fc.property(GROUP, fc.integer({ min: 2, max: 8 }), (group, count) => {
      const zones = Array.from({ length: count }, () => ({ devices: group.shards }))
      const risk = { lossesPerYear: 0.001, repairHours: 168 }
      const shardsPerZone = shardsPerDomain(zones, group.shards)
      // Unreadable sectors count only where a rebuild has one shard to spare, so that fewer shards may outlive more.
      const outlives = (shards: number) =>
        shards >= group.needed && hoursToLoss({ ...group, shards }) > count * risk.repairHours
      fc.pre(shardsPerZone.every(lost => outlives(group.shards - lost)))
      const spread = totalLossRate(lossRates(group, ONE_GROUP, { ...risk, shardsPerZone }))
      const single = totalLossRate(lossRates(group, ONE_GROUP, { ...risk, shardsPerZone: [group.shards] }))
      assert.ok(spread <= single * ROUNDING, `${spread} ${single}`)
    }),
  )
})

test("shards spread one by one, and never over more devices than a domain has", () => {
  const spread = (devices: readonly number[], shards: number) =>
    shardsPerDomain(
      devices.map(count => ({ devices: count })),
      shards,
    )
  assert.deepEqual(spread([4, 4, 4], 6), [2, 2, 2])
  assert.deepEqual(spread([1, 9, 9], 7), [1, 3, 3])
  assert.deepEqual(spread([2, 2], 6), [2, 2])
  assert.deepEqual(spread([], 6), [])
})

test("chances of losses at one moment: counted by hand on small layouts", () => {
  const hit = (shards: number, needed: number, devices: number, failed: number): number => {
    // Every set of failed devices, and the group on the first devices.
    let [all, lost] = [0, 0]
    for (let set = 0; set < 2 ** devices; set += 1) {
      const down = Array.from({ length: devices }, (_, i) => (set >> i) & 1)
      if (down.reduce((sum, bit) => sum + bit, 0) !== failed) continue
      all += 1
      if (down.slice(0, shards).reduce((sum, bit) => sum + bit, 0) > shards - needed) lost += 1
    }
    return lost / all
  }
  for (const [shards, needed] of [
    [3, 1],
    [6, 4],
    [5, 5],
    [2, 1],
  ] as const)
    for (let devices = shards; devices <= 9; devices += 1)
      for (let failed = 0; failed <= devices; failed += 1) {
        const counted = hit(shards, needed, devices, failed)
        const computed = groupLossChance({ shards, needed }, devices, failed)
        assert.ok(Math.abs(counted - computed) < 1e-12, `${shards} ${needed} ${devices} ${failed}`)
      }
})

test("fewer distinct groups are lost less often", () => {
  const group = { shards: 16, needed: 12 }
  assert.ok(lossChance(group, 4, 64, 5) < lossChance(group, 65_536, 64, 5) / 100)
  assert.equal(lossChance(group, 65_536, 64, 4), 0)
})

test("groups over the same few devices fail together: as often as any too many of all devices", () => {
  const rates = { failuresPerHour: 1e-6, repairsPerHour: 1 / 24, order: "parallel" as const }
  for (const [shards, needed, devices] of [
    [6, 4, 12],
    [3, 1, 10],
    [6, 4, 6],
  ] as const) {
    const group = { shards, needed }
    const groups = independentGroups(group, setsOf(shards, devices), devices)
    const byGroups = hoursToLoss({ ...group, ...rates }) / groups
    const byDevices = hoursToLoss({ shards: devices, needed: devices - (shards - needed), ...rates })
    assert.ok(Math.abs(byGroups / byDevices - 1) < 0.01, `${devices}: ${byGroups} ${byDevices}`)
  }
  assert.equal(independentGroups({ shards: 3, needed: 1 }, 256, 1000), 256)
})

test("space: all of equal devices, less where sizes differ too much to place all shards", () => {
  const zone = (...deviceBytes: number[]) => ({ deviceBytes })
  assert.equal(placeableBytes([zone(8, 8, 8, 8)], 3), 32)
  assert.equal(placeableBytes([zone(8), zone(8), zone(8)], 3), 24)
  // Two copies of all but what the small ones can hold.
  assert.ok(Math.abs(placeableBytes([zone(10, 1, 1)], 2) - 4) < 1e-6)
  // A copy in each zone: the smallest decides.
  assert.ok(Math.abs(placeableBytes([zone(10), zone(10), zone(2)], 3) - 6) < 1e-6)
  // Two zones are too few for one shard each of three.
  assert.ok(Math.abs(placeableBytes([zone(10, 10), zone(10)], 3) - 30) < 1e-6)
})

test("an object takes at least its share on each device", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e7 }), fc.integer({ min: 1, max: 20 }), (bytes, needed) => {
      const onDisk = bytesOnDisk(bytes, { shards: needed + 2, needed }, 40, 8)
      assert.ok(onDisk >= (bytes * (needed + 2)) / needed && onDisk % 8 === 0)
    }),
  )
})

test("policies of other systems are modelled by their sets of devices", () => {
  const scheme = (text: string, devices: number) => {
    const parsed = parseScheme(text, devices)
    return "problem" in parsed
      ? parsed.problem
      : [parsed.text, parsed.shards, parsed.needed, parsed.groups, parsed.rebuild].join(" ")
  }
  assert.equal(scheme("replica:3", 12), "replica:3 3 1 220 others")
  assert.equal(scheme("ec:4+2", 6), "ec:4+2 6 4 1 spare")
  assert.equal(scheme("ec:4+2", 60), "ec:4+2 6 4 65536 others")
  assert.equal(scheme("garage", 12), "garage:3 3 1 220 spare")
  assert.equal(scheme("garage:2", 60), "garage:2 2 1 256 spare")
  assert.equal(scheme("minio", 60), "minio:11+4 15 11 4 spare")
  assert.equal(scheme("minio", 64), "minio:12+4 16 12 4 spare")
  assert.equal(scheme("minio", 4), "minio:2+2 4 2 1 spare")
  assert.equal(scheme("minio:8+4", 60), "minio:8+4 12 8 5 spare")
  assert.match(scheme("minio:8+4", 50), /cannot be divided into sets of 12/)
  assert.match(scheme("minio:2+4", 60), /at most half/)
  assert.match(scheme("minio", 17), /no such divisor/)
  assert.match(scheme("ec:8+3", 6), /needs 11 devices; the layout has 6/)
  assert.match(scheme("raid:6", 6), /not a redundancy.*policies are replica:3/)
  assert.match(scheme("ec:40+2", 60), /out of range/)
})
