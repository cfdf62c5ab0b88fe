/**
 * A comparison of policies for programs of others, as `hayloft/placement` offers it: devices in, one flat record for each
 * policy out. The numbers are those of a simulation; `docs/design/durability.md` explains each.
 *
 * Refuses   Throws a `LibraryError` for more devices, policies or cycles than `limits.ts` allows, and for numbers that
 *           cannot be.
 */
import { LibraryError } from "@hayloft/base/library-error.js"
import { COMPARED_MAX, CYCLES_MAX, CYCLES_MIN, SIMULATED_DEVICES_MAX } from "./limits.js"
import { ASSUMPTION_BOUNDS, BYTES_BOUNDS, inputOf, type Bounds, type SimulationRequest } from "./request-core.js"
import { seededUniform } from "./seeded.js"
import { simulateNow, type SimulatedMachine, type Simulation } from "./simulate-core.js"

interface SizedDevice {
  readonly capacityBytes: number
  readonly zone?: string | undefined
  readonly machine?: string | undefined
}

type CompareOptions = Pick<SimulationRequest, "assumptions" | "cycles" | "seed">
type Outcome = Exclude<Simulation["outcomes"][number], { readonly problem: string }>

const BOUNDS: ReadonlyMap<string, Bounds> = new Map(Object.entries(ASSUMPTION_BOUNDS))

const refuse = (message: string) => new LibraryError("invalidRequest", message)

function checkNumber(what: string, value: number | string, { least, most, isWhole }: Bounds): void {
  const isWithin = typeof value === "number" && value >= least && value <= most
  if (isWithin && (isWhole !== true || Number.isInteger(value))) return
  throw refuse(`${what} is a ${isWhole === true ? "whole number" : "number"} from ${least} to ${most}, not ${value}`)
}

function check(devices: readonly SizedDevice[], policies: readonly string[], options: CompareOptions): void {
  const { assumptions = {}, cycles = CYCLES_MIN, seed = 0 } = options
  if (devices.length < 1 || devices.length > SIMULATED_DEVICES_MAX)
    throw refuse(`devices are 1 to ${SIMULATED_DEVICES_MAX}, not ${devices.length}`)
  for (const { capacityBytes } of devices) checkNumber("capacityBytes of a device", capacityBytes, BYTES_BOUNDS)
  if (policies.length > COMPARED_MAX) throw refuse(`policies are at most ${COMPARED_MAX}, not ${policies.length}`)
  checkNumber("cycles", cycles, { least: CYCLES_MIN, most: CYCLES_MAX, isWhole: true })
  checkNumber("seed", seed, { least: 0, most: Number.MAX_SAFE_INTEGER, isWhole: true })
  for (const [name, value] of Object.entries(assumptions)) checkAssumption(name, value)
}

function checkAssumption(name: string, value: string | number | undefined): void {
  const bounds = BOUNDS.get(name)
  if (bounds === undefined && name !== "repairOrder") throw refuse(`there is no assumption ${name}`)
  if (value === undefined) return
  if (bounds === undefined) {
    if (value !== "parallel" && value !== "serial") throw refuse(`${name} is parallel or serial, not ${value}`)
  } else checkNumber(name, value, bounds)
}

/** Devices of one zone and one machine's name are in one machine. */
function machinesOfDevices(devices: readonly SizedDevice[]): readonly SimulatedMachine[] {
  const machines = new Map<string, { readonly zone: string | undefined; readonly deviceBytes: number[] }>()
  for (const { zone, machine, capacityBytes } of devices) {
    const machineKey = JSON.stringify([zone, machine])
    const known = machines.get(machineKey)
    if (known === undefined) machines.set(machineKey, { zone, deviceBytes: [capacityBytes] })
    else known.deviceBytes.push(capacityBytes)
  }
  return [...machines.values()]
}

const flat = ({ policy, scheme, repair, durability, zones, space, availability, monteCarlo }: Outcome) => ({
  policy,
  shards: scheme.shards,
  needed: scheme.needed,
  nines: durability.nines,
  objectNines: durability.objectNines,
  annualLossChance: durability.annualLossChance,
  yearsToLoss: durability.yearsToLoss,
  lostObjectsPerYear: durability.lostObjectsPerYear,
  zonesTolerated: zones.zonesTolerated,
  machinesTolerated: zones.machinesTolerated,
  devicesTolerated: scheme.shards - scheme.needed,
  rebuildHours: repair.hours,
  rebuildBytes: repair.movedBytes,
  storageFactor: space.storageFactor,
  usableBytes: space.usableBytes,
  readUnavailable: availability.readUnavailable,
  writeUnavailable: availability.writeUnavailable,
  groupYears: durability.group.years,
  groupYearsByRuns: monteCarlo.years,
  groupYearsError: monteCarlo.standardErrorYears,
})

/** By policy, in their order: what it means for the devices, or why they cannot have it. */
export function compareDurability(
  devices: readonly SizedDevice[],
  policies: readonly string[],
  options: CompareOptions = {},
) {
  check(devices, policies, options)
  const input = inputOf({ ...options, policies }, machinesOfDevices(devices), seededUniform)
  return simulateNow(input).outcomes.map(outcome => ("problem" in outcome ? outcome : flat(outcome)))
}
