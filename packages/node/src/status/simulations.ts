/**
 * Simulations for the admin API: of the present layout or of a described one.
 *
 * Promises  Computes for about a millisecond at a time, and lets other work of the thread run in between.
 * Limits    `RUNNING_MAX` simulations at a time; more are refused with `tooManyInFlight`.
 */
import { fail } from "@hayloft/base/failures.js"
import {
  inputOf,
  machinesOf,
  seededUniform,
  simulate,
  type SimulatedMachine,
  type Simulation,
  type SimulationRequest,
} from "@hayloft/engine/durability/index.js"
import { laterTurn } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { DeviceReport, StoreReport } from "./contract.js"

const RUNNING_MAX = 2

export class Simulations {
  private running = 0

  constructor(
    private readonly clock: Clock,
    private readonly status: { report(): Pick<StoreReport, "devices" | "policy"> },
  ) {}

  /** Throws `tooManyInFlight`; `invalidArgument` if the present layout has no device of a known size. */
  async run(request: SimulationRequest): Promise<Simulation> {
    if (this.running >= RUNNING_MAX) throw fail("tooManyInFlight", { message: "other simulations are running" })
    this.running += 1
    try {
      const { devices, policy } = this.status.report()
      const { machines: lines, policies } = request
      const machines = lines === undefined ? presentMachines(devices) : machinesOf(lines)
      if (machines.length === 0) throw fail("invalidArgument", { message: "no device of the store has a known size" })
      const present = inputOf(request, machines, seededUniform)
      const isPresent = lines === undefined && policies === undefined
      const compared = isPresent ? [...new Set([policy, ...present.policies])] : present.policies
      const work = simulate({ ...present, policies: compared })
      for (;;) {
        const { done, value } = work.next()
        if (done === true) return value
        await laterTurn(this.clock)
      }
    } finally {
      this.running -= 1
    }
  }
}

/**
 * The disks of the store by machine. Folders on one disk fail together, so they are one device. A disk that does not
 * respond is as large as the others on average.
 */
export function presentMachines(devices: readonly DeviceReport[]): readonly SimulatedMachine[] {
  const staying = devices.filter(({ state }) => state !== "decommissioning")
  const known = staying.filter(({ totalBytes }) => totalBytes > 0)
  if (known.length === 0) return []
  const average = known.reduce((sum, { totalBytes }) => sum + totalBytes, 0) / known.length
  const machines = new Map<string, { readonly zone: string | undefined; readonly disks: Map<string, number> }>()
  for (const { id, node, zone, machine = node, disk = id, totalBytes } of staying) {
    const name = JSON.stringify([zone, machine])
    const found = machines.get(name) ?? { zone, disks: new Map<string, number>() }
    machines.set(name, found)
    found.disks.set(disk, totalBytes || average)
  }
  return [...machines.values()].map(({ zone, disks }) => ({ zone, deviceBytes: [...disks.values()] }))
}
