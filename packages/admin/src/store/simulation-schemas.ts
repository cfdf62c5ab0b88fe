/** Schemas of simulations: a described layout, which is also the file of `hayloft simulate --layout`, and the results. */
import { z } from "zod"
import {
  ASSUMED,
  ASSUMPTION_BOUNDS,
  BYTES_BOUNDS,
  COMPARED_DEFAULT,
  COMPARED_MAX,
  CYCLES_DEFAULT,
  CYCLES_MAX,
  CYCLES_MIN,
  DEVICE_GROUPS_MAX,
  SIMULATED_DEVICES_MAX,
  type Bounds,
} from "@hayloft/engine/durability/index.js"

const share = z.number().min(0).max(1)
const whole = z.number().int().positive()

const numberIn = ({ least, most, isWhole }: Bounds) =>
  isWhole === true ? z.number().int().min(least).max(most) : z.number().min(least).max(most)
const bounded = (name: keyof typeof ASSUMPTION_BOUNDS) => numberIn(ASSUMPTION_BOUNDS[name])

const MACHINES = z
  .strictObject({
    zone: z.string().min(1).max(255).optional().describe("if absent, the loss of zones is left out"),
    count: whole.max(SIMULATED_DEVICES_MAX).default(1).describe("machines that are equal"),
    devices: whole.max(SIMULATED_DEVICES_MAX).describe("of each machine"),
    deviceBytes: numberIn(BYTES_BOUNDS).describe("of each device; 16 TB are 16e12"),
  })
  .meta({ id: "SimulatedMachines" })

const or = (text: string, value: unknown): string => `${text}; ${String(value)} if absent`

const ASSUMPTIONS = z
  .strictObject({
    annualFailureRate: bounded("annualFailureRate").describe(
      or("share of the devices that fail in a year", ASSUMED.annualFailureRate),
    ),
    repairHours: bounded("repairHours").describe(
      "until a lost shard is restored; if absent, computed from the bandwidths",
    ),
    repairOrder: z
      .enum(["parallel", "serial"])
      .describe(or("whether lost shards are restored together or one at a time", ASSUMED.repairOrder)),
    detectHours: bounded("detectHours").describe(
      or("until a failed device is given up, and its rebuild begins", ASSUMED.detectHours),
    ),
    replaceHours: bounded("replaceHours").describe(
      or("until a person has replaced a device, where a rebuild needs that", ASSUMED.replaceHours),
    ),
    diskBytesPerSecond: bounded("diskBytesPerSecond").describe(or("of a device", ASSUMED.diskBytesPerSecond)),
    networkBytesPerSecond: bounded("networkBytesPerSecond").describe(or("of a machine", ASSUMED.networkBytesPerSecond)),
    repairShare: bounded("repairShare").describe(or("of the bandwidth, for repair", "a third")),
    unreadableBitRate: bounded("unreadableBitRate").describe(or("bits that cannot be read", ASSUMED.unreadableBitRate)),
    fill: bounded("fill").describe(or("share of each device that is in use", ASSUMED.fill)),
    metadataShare: bounded("metadataShare").describe(or("of what is in use", ASSUMED.metadataShare)),
    deviceAvailability: bounded("deviceAvailability").describe(
      or("share of the time in which a device answers", ASSUMED.deviceAvailability),
    ),
    zoneLossesPerYear: bounded("zoneLossesPerYear").describe(
      or("permanent losses of a zone", ASSUMED.zoneLossesPerYear),
    ),
    zoneRepairHours: bounded("zoneRepairHours").describe(
      or("until a lost zone is rebuilt elsewhere", ASSUMED.zoneRepairHours),
    ),
    objects: bounded("objects").describe(or("stored objects", ASSUMED.objects)),
    objectBytes: bounded("objectBytes").describe(or("of an object", ASSUMED.objectBytes)),
    blockBytes: bounded("blockBytes").describe(or("of a block; larger objects are several blocks", ASSUMED.blockBytes)),
    headerBytes: bounded("headerBytes").describe(or("of a shard on disk", ASSUMED.headerBytes)),
    alignBytes: bounded("alignBytes").describe(or("of which the length of a shard is a multiple", ASSUMED.alignBytes)),
  })
  .partial()
  .meta({ id: "SimulationAssumptions" })

const devicesIn = (lines: readonly { readonly count: number; readonly devices: number }[]): number =>
  lines.reduce((sum, { count, devices }) => sum + count * devices, 0)

export const SIMULATE = z
  .strictObject({
    machines: z
      .array(MACHINES)
      .min(1)
      .max(DEVICE_GROUPS_MAX)
      .refine(lines => devicesIn(lines) <= SIMULATED_DEVICES_MAX, {
        message: `at most ${SIMULATED_DEVICES_MAX} devices`,
      })
      .optional()
      .describe("the layout; if absent, the present one"),
    policies: z
      .array(z.string().max(64))
      .min(1)
      .max(COMPARED_MAX)
      .optional()
      .describe(or("policies, garage or minio, with numbers or without", COMPARED_DEFAULT.join(", "))),
    assumptions: ASSUMPTIONS.optional(),
    cycles: whole.min(CYCLES_MIN).max(CYCLES_MAX).optional().describe(or("of the Monte Carlo run", CYCLES_DEFAULT)),
    seed: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).optional().describe("of its random numbers"),
  })
  .meta({ id: "Simulate" })

const number = z.number()
const count = z.number().int().nonnegative()

const POSSIBLE = z.object({
  policy: z.string().describe("as it was asked for"),
  scheme: z.object({
    text: z.string(),
    system: z.enum(["hayloft", "garage", "minio"]),
    shards: count,
    needed: count.describe("shards that must be left"),
    neededToRead: count.describe("devices of a group that must answer"),
    neededToWrite: count.describe("the same for a write as redundant as the policy says"),
    groups: number.describe("distinct sets of devices that hold an object together"),
    rebuild: z.enum(["others", "spare"]).describe("where a lost device is rebuilt: on all others, or on its spare"),
  }),
  repair: z.object({
    hours: number.describe("until a lost device is rebuilt"),
    movedBytes: number.describe("read and written for it"),
    movedBytesPerSecond: number.describe("on average over the years"),
    failuresPerYear: number.describe("of devices of the layout"),
  }),
  durability: z.object({
    yearsToLoss: number.describe("until anything is lost, on average"),
    annualLossChance: number,
    nines: number.describe("of a year in which nothing is lost"),
    objectNines: number.describe("of a year in which one object is not lost"),
    lostObjectsPerYear: number,
    independentGroups: number.describe("groups that fail independently"),
    group: z
      .object({
        years: number.describe("exact, for devices alone"),
        approximateYears: number.describe("for repairs much faster than failures"),
        unreadableShare: share.describe("of critical rebuilds that meet an unreadable sector"),
        yearsToSectorLoss: number.describe("until such a sector is lost"),
      })
      .describe("of one group"),
    byDevices: number.describe("losses a year, by cause"),
    byZones: number,
    byZoneAndDevices: number,
  }),
  monteCarlo: z
    .object({ years: number, standardErrorYears: number, cycles: count })
    .describe("of the years of one group by devices alone"),
  zones: z.object({ shardsPerZone: z.array(count), zonesTolerated: count, machinesTolerated: count }),
  space: z.object({
    storageFactor: number,
    usableBytes: number,
    usableBytesPerDevice: number,
    unplaceableShare: number.describe("of the raw bytes, for devices or zones of unequal size"),
    objectBytesOnDisk: number.describe("of one object, on all devices"),
  }),
  availability: z.object({
    readUnavailable: number,
    writeUnavailable: number,
    readNines: number,
    writeNines: number,
  }),
  failedTogether: z
    .array(z.object({ devices: count, lossChance: number }))
    .describe("the chance that something is lost if so many devices fail at one moment"),
})

const NOT_POSSIBLE = z.object({ policy: z.string(), problem: z.string().describe("why it cannot be") })

export const SIMULATION = z
  .object({
    layout: z.object({
      devices: count,
      machines: count,
      zones: count.describe("0 if none is named"),
      rawBytes: number,
    }),
    assumptions: ASSUMPTIONS,
    outcomes: z.array(z.union([POSSIBLE, NOT_POSSIBLE])),
    limits: z.array(z.string()).describe("what the numbers leave out"),
  })
  .meta({ id: "Simulation" })
