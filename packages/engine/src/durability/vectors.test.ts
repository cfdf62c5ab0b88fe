/** The known answers of the formulas (docs/design/durability.md): computed with 50 digits, cross-checked by linear systems. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  approximateHoursToLoss,
  chancePerYear,
  failuresPerHourOf,
  HOURS_PER_YEAR,
  hoursToLoss,
  ninesOf,
  unreadableShareOf,
  type GroupRates,
} from "./chain-core.js"
import { groupLossChance, lossChance, unavailability } from "./chances-core.js"
import { bytesOnDisk, hoursOntoOthers, hoursOntoSpare, usableBytesOf } from "./space-core.js"
import { domainTolerance, lossRates, ONE_GROUP, totalLossRate } from "./zones-core.js"

/** Vectors have as many digits as are written here, at least five. */
const closeTo = (actual: number, expected: number, what: string, relative = 1e-6): void =>
  assert.ok(Math.abs(actual / expected - 1) <= relative, `${what}: ${actual}, not ${expected}`)

type Order = GroupRates["order"]

const groupOf = (shards: number, needed: number, afr: number, mttr: number, order: Order = "parallel"): GroupRates => ({
  shards,
  needed,
  order,
  failuresPerHour: failuresPerHourOf(afr),
  repairsPerHour: 1 / mttr,
})

test("V1-V3: the mean time to loss of small chains is exact", () => {
  const rates = { failuresPerHour: 0.01, repairsPerHour: 0.1 }
  closeTo(hoursToLoss({ shards: 3, needed: 1, ...rates, order: "parallel" }), 4683.333333, "V1", 1e-9)
  closeTo(hoursToLoss({ shards: 6, needed: 4, ...rates, repairsPerHour: 0.5, order: "parallel" }), 4895, "V2", 1e-12)
  closeTo(hoursToLoss({ shards: 3, needed: 1, ...rates, order: "serial" }), 2516.666667, "V3", 1e-9)
})

interface DurabilityVector {
  readonly group: readonly [shards: number, needed: number, afr: number, mttr: number, order?: Order]
  readonly groups: number
  readonly f3: number
  readonly f4: number
  readonly one: number
  readonly all: number
  readonly nines: readonly number[]
}

const DURABILITY: Readonly<Record<string, DurabilityVector>> = {
  V4: { group: [1, 1, 0.05, 24], groups: 1, f3: 170782.558, f4: 170782.558, one: 0.05, all: 0.05, nines: [1.30103] },
  V5: {
    group: [2, 1, 0.02, 24],
    groups: 1024,
    f3: 3.91759863e9,
    f4: 3.91694822e9,
    one: 2.236061e-6,
    all: 0.00228711,
    nines: [5.65052, 2.64071],
  },
  V6: {
    group: [3, 1, 0.02, 24],
    groups: 1024,
    f3: 4.7187177e13,
    f4: 4.71780367e13,
    one: 1.856437e-10,
    all: 1.900991e-7,
    nines: [9.73132, 6.72102],
  },
  V7: {
    group: [3, 1, 0.02, 24, "serial"],
    groups: 1,
    f3: 2.35942417e13,
    f4: 2.35890184e13,
    one: 3.71277e-10,
    all: 3.71277e-10,
    nines: [9.4303],
  },
  V8: {
    group: [6, 4, 0.02, 24],
    groups: 1024,
    f3: 2.35994662e12,
    f4: 2.35890184e12,
    one: 3.711948e-9,
    all: 3.801028e-6,
    nines: [8.4304, 5.4201],
  },
  V9: {
    group: [7, 4, 0.02, 24],
    groups: 1024,
    f3: 1.82732877e16,
    f4: 1.82648612e16,
    one: 4.793883e-13,
    all: 4.908936e-10,
    nines: [12.3193, 9.30901],
  },
  V10: {
    group: [14, 10, 0.015, 12],
    groups: 10_000,
    f3: 3.15257027e20,
    f4: 3.15149351e20,
    one: 2.778685e-17,
    all: 2.778685e-13,
    nines: [16.5562, 12.5562],
  },
  V11: {
    group: [14, 10, 0.015, 12, "serial"],
    groups: 10_000,
    f3: 1.31377501e19,
    f4: 1.3131223e19,
    one: 6.667808e-16,
    all: 6.667808e-12,
    nines: [15.176, 11.176],
  },
  V12: {
    group: [20, 17, 0.015, 36, "serial"],
    groups: 4096,
    f3: 2.08509805e13,
    f4: 2.08030905e13,
    one: 4.201241e-10,
    all: 1.720827e-6,
    nines: [9.37662, 5.76426],
  },
}

for (const [name, { group, groups, f3, f4, one, all, nines }] of Object.entries(DURABILITY)) {
  test(`${name}: the mean time to loss, its approximation, the chances of a year and their nines`, () => {
    const rates = groupOf(...group)
    const hours = hoursToLoss(rates)
    closeTo(hours, f3, "F3")
    closeTo(approximateHoursToLoss(rates), f4, "F4")
    closeTo(chancePerYear(1 / hours), one, "a group")
    closeTo(chancePerYear(groups / hours), all, "all groups", 3e-6)
    closeTo(ninesOf(chancePerYear(1 / hours)), nines[0] ?? 0, "nines of a group", 1e-5)
    closeTo(ninesOf(chancePerYear(groups / hours)), nines.at(-1) ?? 0, "nines of all", 1e-5)
  })
}

test("V10: of 1e9 objects, so many are lost a year", () => {
  closeTo((1e9 * HOURS_PER_YEAR) / hoursToLoss(groupOf(14, 10, 0.015, 12)), 2.7786851e-8, "objects")
})

test("V13, V14: unreadable sectors", () => {
  const share = unreadableShareOf(1e-15, 4 * 10e12 * 0.8)
  closeTo(share, 0.225858031, "V13 h")
  const coded = groupOf(6, 4, 0.02, 24)
  closeTo(hoursToLoss({ ...coded, unreadableShare: share }) / HOURS_PER_YEAR, 131984.691, "V13")
  closeTo(hoursToLoss(coded) / HOURS_PER_YEAR, 269400299.0, "V13 without")
  const copies = groupOf(2, 1, 0.02, 24)
  const ofCopies = unreadableShareOf(1e-15, 16e12)
  closeTo(ofCopies, 0.120146621, "V14 h")
  closeTo(hoursToLoss({ ...copies, unreadableShare: ofCopies }) / HOURS_PER_YEAR, 205.927894, "V14")
  closeTo(hoursToLoss(copies) / HOURS_PER_YEAR, 447214.455, "V14 without")
})

test("V15-V18: the time to rebuild a device", () => {
  const lost = { bytes: 16e12 * 0.8, waitHours: 0 }
  closeTo(hoursOntoSpare(lost, 200e6), 17.7777778, "V15")
  closeTo(hoursOntoSpare({ ...lost, waitHours: 0.25 }, 200e6), 18.0277778, "V15 late")
  closeTo(hoursOntoSpare({ bytes: 10e12 * 0.7, waitHours: 0 }, 125e6), 15.5555556, "V16")
  const others = { devices: 60, bytesPerSecond: 150e6, share: 0.2, readsPerByte: 1 }
  closeTo(hoursOntoOthers(lost, others), 4.0175769, "V17")
  closeTo(hoursOntoOthers(lost, { ...others, readsPerByte: 10 }), 22.0966729, "V18")
  closeTo(hoursOntoOthers({ ...lost, waitHours: 0.25 }, { ...others, readsPerByte: 10 }), 22.3466729, "V18 late")
})

test("V19: from bandwidth to nines", () => {
  const others = { devices: 60, bytesPerSecond: 150e6, share: 0.2, readsPerByte: 10 }
  const repairHours = hoursOntoOthers({ bytes: 16e12 * 0.8, waitHours: 0.25 }, others)
  const hours = hoursToLoss(groupOf(14, 10, 0.015, repairHours))
  closeTo(hours, 2.62220226e19, "hours")
  closeTo(chancePerYear(4096 / hours), 1.368352e-12, "chance")
  closeTo(ninesOf(chancePerYear(4096 / hours)), 11.8638, "nines", 1e-5)
})

test("V20: usable bytes", () => {
  const usable = (n: number, k: number) => usableBytesOf(960e12, 0.85, 0.01, n / k)
  closeTo(usable(3, 1), 2.6928e14, "3 copies")
  closeTo(usable(14, 10), 5.77028571e14, "10+4")
  closeTo(usable(7, 4), 4.61622857e14, "4+3")
})

test("V21, V22: bytes on disk of an object", () => {
  const onDisk = (bytes: number) =>
    [
      [3, 1],
      [14, 10],
      [7, 4],
    ].map(([shards = 0, needed = 0]) => bytesOnDisk(bytes, { shards, needed }, 40, 8))
  assert.deepEqual(onDisk(1024), [3192, 2016, 2072])
  assert.deepEqual(onDisk(65_536), [196_728, 92_400, 114_968])
})

test("V23, V24: availability", () => {
  const unavailable = (shards: number, needed: number) => unavailability({ shards, needed }, 0.99)
  closeTo(unavailable(3, 1), 1e-6, "3 copies")
  closeTo(unavailable(6, 4), 1.955359e-5, "4+2")
  closeTo(unavailable(7, 4), 3.416698e-7, "4+3")
  closeTo(unavailable(14, 10), 1.8568943e-7, "10+4")
  closeTo(unavailable(3, 2), 2.98e-4, "a write to 2 of 3")
  closeTo(unavailable(14, 11), 9.238554e-6, "a write to 11 of 14")
})

test("V25-V27: several devices that fail at one moment", () => {
  const copies = { shards: 3, needed: 1 }
  closeTo(groupLossChance(copies, 100, 3), 6.1842919e-6, "V25 p")
  closeTo(lossChance(copies, 1024, 100, 3), 0.006312725, "V25 of 1,024")
  closeTo(lossChance(copies, 16_384, 100, 3), 0.09635957, "V25 of 16,384")
  closeTo(groupLossChance(copies, 1000, 10), 7.2216505e-7, "V26 p")
  closeTo(lossChance(copies, 100_000, 1000, 10), 0.069670571, "V26")
  const coded = { shards: 14, needed: 10 }
  closeTo(groupLossChance(coded, 60, 5), 3.6656516e-4, "V27 p")
  closeTo(lossChance(coded, 4096, 60, 5), 0.77725466, "V27")
})

interface ZoneVector {
  readonly group: readonly [shards: number, needed: number, afr: number, mttr: number]
  readonly zones: readonly number[]
  readonly tolerated: number
  readonly zoneYears: number
  readonly mixed: number
  readonly years: number
  readonly chance: number
}

const ZONES: Readonly<Record<string, ZoneVector>> = {
  V28: {
    group: [3, 1, 0.02, 24],
    zones: [1, 1, 1],
    tolerated: 2,
    zoneYears: 9.0635335e11,
    mixed: 1.2865024e-10,
    years: 3.1706051e9,
    chance: 3.153972e-10,
  },
  V29: {
    group: [3, 1, 0.02, 24],
    zones: [3],
    tolerated: 0,
    zoneYears: 1000,
    mixed: 0,
    years: 999.99981,
    chance: 9.995004e-4,
  },
  V30: {
    group: [6, 4, 0.02, 24],
    zones: [2, 2, 2],
    tolerated: 1,
    zoneYears: 8691309.5,
    mixed: 4.6457892e-6,
    years: 209883.03,
    chance: 4.764547e-6,
  },
  V31: {
    group: [6, 4, 0.02, 24],
    zones: [3, 3],
    tolerated: 0,
    zoneYears: 500,
    mixed: 0,
    years: 499.99907,
    chance: 1.998005e-3,
  },
  V32: {
    group: [12, 8, 0.015, 12],
    zones: [4, 4, 4],
    tolerated: 1,
    zoneYears: 8691309.5,
    mixed: 6.9483551e-6,
    years: 141574.63,
    chance: 7.063388e-6,
  },
  V33: {
    group: [14, 10, 0.015, 12],
    zones: [2, 2, 2, 2, 2, 2, 2],
    tolerated: 2,
    zoneYears: 2.589879e10,
    mixed: 5.7379347e-13,
    years: 2.5519537e10,
    chance: 3.918566e-11,
  },
}

for (const [name, { group, zones, tolerated, zoneYears, mixed, years, chance }] of Object.entries(ZONES)) {
  test(`${name}: the loss of zones`, () => {
    assert.equal(domainTolerance(zones, group[1]), tolerated)
    const risk = { shardsPerZone: zones, lossesPerYear: 0.001, repairHours: 168 }
    const rates = lossRates(groupOf(...group), ONE_GROUP, risk)
    closeTo(1 / rates.zones / HOURS_PER_YEAR, zoneYears, "zones")
    if (mixed === 0) assert.equal(rates.zoneAndDevices, 0)
    else closeTo(rates.zoneAndDevices * HOURS_PER_YEAR, mixed, "a zone, then devices")
    closeTo(1 / totalLossRate(rates) / HOURS_PER_YEAR, years, "years")
    closeTo(chancePerYear(totalLossRate(rates)), chance, "chance of a year")
  })
}
