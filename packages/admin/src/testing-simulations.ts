/** Simulations for tests of the admin API: of three disks, if no layout is described. */
import { inputOf, machinesOf, seededUniform, simulateNow } from "@hayloft/engine/durability/index.js"
import type { AdminStore } from "./api.js"

export const SIMULATIONS: AdminStore["simulations"] = {
  run: async request => {
    const machines = request.machines ?? [{ count: 1, devices: 3, deviceBytes: 1e12 }]
    return simulateNow(inputOf(request, machinesOf(machines), seededUniform))
  },
}
