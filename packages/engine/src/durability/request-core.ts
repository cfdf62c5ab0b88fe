/**
 * A person's request for a simulation, and what it becomes: lines of equal machines become machines, and what is not
 * said gets its default.
 */
import { BLOCK_BYTES_DEFAULT, SHARD_ALIGN_BYTES } from "@hayloft/base/limits.js"
import { CYCLES_DEFAULT } from "./limits.js"
import { COMPARED_DEFAULT } from "./schemes-core.js"
import type { Assumptions, SimulatedMachine, SimulationInput } from "./simulate-core.js"

/** Equal machines. */
interface MachineLine {
  readonly zone?: string | undefined
  readonly count: number
  /** The devices of each machine. */
  readonly devices: number
  /** The bytes of each device. */
  readonly deviceBytes: number
}

export interface SimulationRequest {
  /** It is undefined for the machines of the store that is asked. */
  readonly machines?: readonly MachineLine[] | undefined
  readonly policies?: readonly string[] | undefined
  readonly assumptions?: { readonly [name in keyof Assumptions]?: Assumptions[name] | undefined } | undefined
  readonly cycles?: number | undefined
  readonly seed?: number | undefined
}

/** The assumptions for disks in a data centre with a 10 Gbit/s network; what Hayloft does has its own defaults. */
export const ASSUMED: Assumptions = {
  annualFailureRate: 0.015,
  repairOrder: "parallel",
  detectHours: 0.25,
  replaceHours: 24,
  diskBytesPerSecond: 150e6,
  networkBytesPerSecond: 1.25e9,
  repairShare: 1 / 3,
  unreadableBitRate: 1e-15,
  fill: 0.8,
  metadataShare: 0.01,
  deviceAvailability: 0.999,
  zoneLossesPerYear: 0.001,
  zoneRepairHours: 168,
  objects: 1e9,
  objectBytes: 1e6,
  blockBytes: BLOCK_BYTES_DEFAULT,
  headerBytes: 256,
  alignBytes: SHARD_ALIGN_BYTES,
}

/** The least and the most that a number may be. */
export interface Bounds {
  readonly least: number
  readonly most: number
  readonly isWhole?: true
}

const SHARE: Bounds = { least: 0, most: 1 }
/** Parts of which something is left to divide by. */
const PART: Bounds = { least: 0.001, most: 1 }
const HOURS: Bounds = { least: 0.001, most: 1e6 }
/** No time at all is possible too. */
const WAIT_HOURS: Bounds = { least: 0, most: 1e6 }
export const BYTES_BOUNDS: Bounds = { least: 1, most: 1e18 }

type NumberName = Exclude<keyof Assumptions, "repairOrder">

/** Numbers beyond these make no sense, or results that are not numbers. */
export const ASSUMPTION_BOUNDS: { readonly [name in NumberName]-?: Bounds } = {
  annualFailureRate: { least: 1e-6, most: 0.99 },
  repairHours: HOURS,
  detectHours: WAIT_HOURS,
  replaceHours: WAIT_HOURS,
  diskBytesPerSecond: BYTES_BOUNDS,
  networkBytesPerSecond: BYTES_BOUNDS,
  repairShare: PART,
  unreadableBitRate: { least: 0, most: 1e-3 },
  fill: PART,
  metadataShare: SHARE,
  deviceAvailability: SHARE,
  zoneLossesPerYear: { least: 0, most: 100 },
  zoneRepairHours: HOURS,
  objects: { least: 0, most: 1e18 },
  objectBytes: BYTES_BOUNDS,
  blockBytes: BYTES_BOUNDS,
  headerBytes: { least: 0, most: 1e6 },
  alignBytes: { least: 1, most: 1e6, isWhole: true },
}

const SEED_DEFAULT = 1

export const machinesOf = (lines: readonly MachineLine[]): readonly SimulatedMachine[] =>
  lines.flatMap(({ zone, count, devices, deviceBytes }) =>
    Array.from({ length: count }, () => ({ zone, deviceBytes: Array.from({ length: devices }, () => deviceBytes) })),
  )

/** `uniformOf`: numbers from a seed. */
export function inputOf(
  { policies, assumptions = {}, cycles = CYCLES_DEFAULT, seed = SEED_DEFAULT }: Omit<SimulationRequest, "machines">,
  machines: readonly SimulatedMachine[],
  uniformOf: (seed: number) => () => number,
): SimulationInput {
  const said = Object.fromEntries(Object.entries(assumptions).filter(([, value]) => value !== undefined))
  return {
    machines,
    policies: policies ?? COMPARED_DEFAULT,
    assumptions: { ...ASSUMED, ...said },
    cycles,
    uniform: uniformOf(seed),
  }
}
