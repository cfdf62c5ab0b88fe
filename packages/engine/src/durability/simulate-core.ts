/**
 * A simulation: what policies mean for a layout, side by side. How durable, how much fits, how long repair takes, what
 * the loss of zones and of several devices does, how available. `docs/design/durability.md` explains each number.
 *
 * Promises  Pure: a request with the same seed has the same result. Yields every millisecond or so.
 * Limits    Of limits.ts, checked by the caller's schema. The results assume what LIMITS_OF_THE_MODEL says.
 */
import {
  approximateHoursToLoss,
  chancePerYear,
  failuresPerHourOf,
  HOURS_PER_YEAR,
  hoursToLoss,
  ninesOf,
  unreadableShareOf,
  type GroupRates,
  type RepairOrder,
} from "./chain-core.js"
import { independentGroups, lossChance, unavailability } from "./chances-core.js"
import { FAILED_TOGETHER_MAX } from "./limits.js"
import { estimateHoursToLoss } from "./monte-carlo-core.js"
import { parseScheme, type Scheme } from "./schemes-core.js"
import { bytesOnDisk, hoursOntoOthers, hoursOntoSpare, placeableBytes, usableBytesOf } from "./space-core.js"
import {
  domainTolerance,
  lossRates,
  ONE_GROUP,
  shardsPerDomain,
  totalLossRate,
  type CountGroups,
} from "./zones-core.js"

const LIMITS_OF_THE_MODEL = [
  "Failures and repairs are random and independent, with exponential times: no bad batch of disks, no common power supply.",
  "No software error, operator error, theft or disaster other than the loss of zones. Beyond about 12 nines these decide, not the numbers here.",
  "Compare policies by these numbers; do not promise them.",
] as const

export interface SimulatedMachine {
  readonly zone: string | undefined
  /** Bytes of each of its devices. */
  readonly deviceBytes: readonly number[]
}

/** The assumptions about the devices, their use, and the people who replace them. */
export interface Assumptions {
  readonly annualFailureRate: number
  /** If given, nothing is computed from bandwidth. */
  readonly repairHours?: number | undefined
  readonly repairOrder: RepairOrder
  /** Until a failed device is given up, and its rebuild may begin. */
  readonly detectHours: number
  /** Until a person has replaced a device, where a rebuild needs one. */
  readonly replaceHours: number
  readonly diskBytesPerSecond: number
  /** The bandwidth of a machine. */
  readonly networkBytesPerSecond: number
  readonly repairShare: number
  readonly unreadableBitRate: number
  readonly fill: number
  readonly metadataShare: number
  readonly deviceAvailability: number
  readonly zoneLossesPerYear: number
  readonly zoneRepairHours: number
  readonly objects: number
  readonly objectBytes: number
  readonly blockBytes: number
  readonly headerBytes: number
  readonly alignBytes: number
}

export interface SimulationInput {
  readonly machines: readonly SimulatedMachine[]
  readonly policies: readonly string[]
  readonly assumptions: Assumptions
  readonly cycles: number
  /** Above 0 and below 1. */
  readonly uniform: () => number
}

interface Shape {
  readonly devices: number
  readonly rawBytes: number
  readonly largestBytes: number
  readonly devicesPerMachine: number
  readonly zones: readonly ZoneShape[]
  /** Zones are named: without names, their loss is left out. */
  readonly hasZones: boolean
}

interface ZoneShape {
  readonly devices: number
  readonly deviceBytes: readonly number[]
  readonly machines: readonly { readonly devices: number }[]
}

interface Outcome {
  /** The policy as the request states it. */
  readonly policy: string
  readonly scheme: Scheme
  readonly repair: ReturnType<typeof repairOf>
  readonly durability: ReturnType<typeof durabilityOf>
  readonly monteCarlo: { readonly years: number; readonly standardErrorYears: number; readonly cycles: number }
  readonly zones: ReturnType<typeof spreadOf>
  readonly space: ReturnType<typeof spaceOf>
  readonly availability: ReturnType<typeof availabilityOf>
  /** The chance that something is lost if so many devices fail at one moment. */
  readonly failedTogether: readonly { readonly devices: number; readonly lossChance: number }[]
}

interface NotPossible {
  readonly policy: string
  readonly problem: string
}

export interface Simulation {
  readonly layout: {
    readonly devices: number
    readonly machines: number
    readonly zones: number
    readonly rawBytes: number
  }
  readonly assumptions: Assumptions
  readonly outcomes: readonly (Outcome | NotPossible)[]
  readonly limits: readonly string[]
}

/** The work of a simulation; what it yields means nothing. */
export function* simulate(input: SimulationInput): Generator<undefined, Simulation> {
  const { machines, policies, assumptions } = input
  const shape = shapeOf(machines)
  const outcomes: (Outcome | NotPossible)[] = []
  for (const policy of policies) {
    const scheme = parseScheme(policy, shape.devices)
    outcomes.push("problem" in scheme ? { policy, ...scheme } : yield* outcomeOf(policy, scheme, shape, input))
    yield
  }
  const { devices, rawBytes, zones, hasZones } = shape
  return {
    layout: { devices, machines: machines.length, zones: hasZones ? zones.length : 0, rawBytes },
    assumptions,
    outcomes,
    limits: LIMITS_OF_THE_MODEL,
  }
}

/** Without a break, for callers whose thread does nothing else. */
export function simulateNow(input: SimulationInput): Simulation {
  const work = simulate(input)
  for (;;) {
    const { done, value } = work.next()
    if (done === true) return value
  }
}

function shapeOf(machines: readonly SimulatedMachine[]): Shape {
  const byZone = new Map<string | undefined, SimulatedMachine[]>()
  for (const machine of machines) {
    const { zone } = machine
    byZone.set(zone, [...(byZone.get(zone) ?? []), machine])
  }
  const sizes = machines.flatMap(({ deviceBytes }) => deviceBytes)
  const zones = [...byZone.values()].map(ofZone => {
    const deviceBytes = ofZone.flatMap(machine => machine.deviceBytes)
    return {
      devices: deviceBytes.length,
      deviceBytes,
      machines: ofZone.map(each => ({ devices: each.deviceBytes.length })),
    }
  })
  return {
    devices: sizes.length,
    zones,
    hasZones: [...byZone.keys()].some(zone => zone !== undefined),
    rawBytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    largestBytes: Math.max(...sizes),
    devicesPerMachine: Math.max(...machines.map(({ deviceBytes }) => deviceBytes.length)),
  }
}

function* outcomeOf(
  policy: string,
  scheme: Scheme,
  shape: Shape,
  { assumptions, cycles, uniform }: SimulationInput,
): Generator<undefined, Outcome> {
  const repair = repairOf(scheme, shape, assumptions)
  const group = groupOf(scheme, repair.hours, assumptions)
  const zones = spreadOf(scheme, shape)
  const durability = durabilityOf(scheme, group, shape, zones.shardsPerZone, assumptions)
  const { hours, standardError } = yield* estimateHoursToLoss(group, cycles, uniform)
  const most = Math.min(FAILED_TOGETHER_MAX, shape.devices)
  return {
    policy,
    scheme,
    repair,
    durability,
    zones,
    monteCarlo: { years: hours / HOURS_PER_YEAR, standardErrorYears: standardError / HOURS_PER_YEAR, cycles },
    space: spaceOf(scheme, shape, assumptions),
    availability: availabilityOf(scheme, assumptions),
    failedTogether: Array.from({ length: most }, (_, i) => ({
      devices: i + 1,
      lossChance: lossChance(scheme, scheme.groups, shape.devices, i + 1),
    })),
  }
}

const groupOf = (
  { shards, needed }: Scheme,
  repairHours: number,
  { annualFailureRate, repairOrder }: Assumptions,
): GroupRates => ({
  shards,
  needed,
  order: repairOrder,
  failuresPerHour: failuresPerHourOf(annualFailureRate),
  repairsPerHour: 1 / repairHours,
})

/** F8 or F9, and the load of repair. */
function repairOf(scheme: Scheme, shape: Shape, assumptions: Assumptions) {
  const { detectHours, replaceHours, diskBytesPerSecond, networkBytesPerSecond, repairShare } = assumptions
  const lostBytes = shape.largestBytes * assumptions.fill
  const movedBytes = lostBytes * (scheme.needed + 1)
  const perDevice = Math.min(diskBytesPerSecond, networkBytesPerSecond / shape.devicesPerMachine)
  const computed =
    scheme.rebuild === "others"
      ? hoursOntoOthers(
          { bytes: lostBytes, waitHours: detectHours },
          {
            devices: shape.devices,
            bytesPerSecond: perDevice,
            share: repairShare,
            readsPerByte: scheme.needed,
          },
        )
      : hoursOntoSpare(
          { bytes: lostBytes, waitHours: detectHours + replaceHours },
          Math.min(diskBytesPerSecond, networkBytesPerSecond),
        )
  const failuresPerYear = -Math.log1p(-assumptions.annualFailureRate) * shape.devices
  return {
    hours: assumptions.repairHours ?? computed,
    /** Read and written for one lost device. */
    movedBytes,
    /** The same over a year, a second on average. */
    movedBytesPerSecond: (failuresPerYear * movedBytes) / (HOURS_PER_YEAR * 3600),
    failuresPerYear,
  }
}

/** F1 to F7, F12 to F15. */
function durabilityOf(
  scheme: Scheme,
  group: GroupRates,
  shape: Shape,
  shardsPerZone: readonly number[],
  assumptions: Assumptions,
) {
  const { zoneLossesPerYear, zoneRepairHours, unreadableBitRate, fill, objects } = assumptions
  const zones = shape.hasZones
    ? { shardsPerZone, lossesPerYear: zoneLossesPerYear, repairHours: zoneRepairHours }
    : undefined
  const countGroups: CountGroups = (shards, lostZone = -1) => {
    const devicesLeft = shape.devices - (shape.zones[lostZone]?.devices ?? 0)
    return independentGroups({ shards, needed: scheme.needed }, scheme.groups, devicesLeft)
  }
  const ofOne = lossRates(group, ONE_GROUP, zones)
  const ofAll = lossRates(group, countGroups, zones)
  const lossChance = chancePerYear(totalLossRate(ofAll))
  const unreadableShare = unreadableShareOf(unreadableBitRate, scheme.needed * shape.largestBytes * fill)
  return {
    /** Until something is lost, on average. */
    yearsToLoss: 1 / totalLossRate(ofAll) / HOURS_PER_YEAR,
    annualLossChance: lossChance,
    nines: ninesOf(lossChance),
    /** The nines of a single object. */
    objectNines: ninesOf(chancePerYear(totalLossRate(ofOne))),
    lostObjectsPerYear: objects * HOURS_PER_YEAR * totalLossRate(ofOne),
    independentGroups: countGroups(scheme.shards),
    group: {
      /** F3: by devices alone. */
      years: hoursToLoss(group) / HOURS_PER_YEAR,
      approximateYears: approximateHoursToLoss(group) / HOURS_PER_YEAR,
      unreadableShare,
      /** F7: until a sector of a group is lost. */
      yearsToSectorLoss: hoursToLoss({ ...group, unreadableShare }) / HOURS_PER_YEAR,
    },
    /** Losses a year, by cause. */
    byDevices: ofAll.devices * HOURS_PER_YEAR,
    byZones: ofAll.zones * HOURS_PER_YEAR,
    byZoneAndDevices: ofAll.zoneAndDevices * HOURS_PER_YEAR,
  }
}

/** F12, for zones and machines. */
function spreadOf({ shards, needed }: Scheme, { zones }: Shape) {
  const shardsPerZone = shardsPerDomain(zones, shards)
  const shardsPerMachine = zones.flatMap(({ machines }, at) => shardsPerDomain(machines, shardsPerZone[at] ?? 0))
  return {
    shardsPerZone,
    zonesTolerated: domainTolerance(shardsPerZone, needed),
    machinesTolerated: domainTolerance(shardsPerMachine, needed),
  }
}

/** F10 and F11. */
function spaceOf(scheme: Scheme, { zones, devices, rawBytes }: Shape, assumptions: Assumptions) {
  const { fill, metadataShare, objectBytes, blockBytes, headerBytes, alignBytes } = assumptions
  const factor = scheme.shards / scheme.needed
  const usable = usableBytesOf(placeableBytes(zones, scheme.shards), fill, metadataShare, factor)
  const [blocks, rest] = [Math.floor(objectBytes / blockBytes), objectBytes % blockBytes]
  const onDisk = (bytes: number) => bytesOnDisk(bytes, scheme, headerBytes, alignBytes)
  return {
    storageFactor: factor,
    usableBytes: usable,
    usableBytesPerDevice: usable / devices,
    /** The share of the raw bytes that devices or zones of unequal size leave unused. */
    unplaceableShare: 1 - placeableBytes(zones, scheme.shards) / rawBytes,
    /** The bytes of one object, on all devices. */
    objectBytesOnDisk: blocks * onDisk(blockBytes) + (rest > 0 ? onDisk(rest) : 0),
  }
}

/** F17. */
function availabilityOf({ shards, neededToRead, neededToWrite }: Scheme, { deviceAvailability }: Assumptions) {
  const readUnavailable = unavailability({ shards, needed: neededToRead }, deviceAvailability)
  const writeUnavailable = unavailability({ shards, needed: neededToWrite }, deviceAvailability)
  return {
    readUnavailable,
    writeUnavailable,
    readNines: ninesOf(readUnavailable),
    writeNines: ninesOf(writeUnavailable),
  }
}
