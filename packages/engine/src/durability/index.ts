/** Durability: what policies mean for a layout, by calculation and by Monte Carlo. */
export { compareDurability } from "./compare.js"
export {
  COMPARED_MAX,
  CYCLES_DEFAULT,
  CYCLES_MAX,
  CYCLES_MIN,
  DEVICE_GROUPS_MAX,
  SIMULATED_DEVICES_MAX,
} from "./limits.js"
export {
  ASSUMED,
  ASSUMPTION_BOUNDS,
  BYTES_BOUNDS,
  type Bounds,
  inputOf,
  machinesOf,
  type SimulationRequest,
} from "./request-core.js"
export { COMPARED_DEFAULT } from "./schemes-core.js"
export { seededUniform } from "./seeded.js"
export { simulate, simulateNow, type SimulatedMachine, type Simulation } from "./simulate-core.js"
