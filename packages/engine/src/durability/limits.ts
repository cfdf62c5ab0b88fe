/** Limits of a simulation: what one request may ask for, so that it ends within seconds. */
import { STORE_DEVICES_MAX } from "@hayloft/base/limits.js"

/** Lines of a described layout, each for a number of equal devices. */
export const DEVICE_GROUPS_MAX = 512
/** Devices of a described layout: twice what a store may have. */
export const SIMULATED_DEVICES_MAX = 2 * STORE_DEVICES_MAX
/** Policies compared in one simulation. */
export const COMPARED_MAX = 16
/** Cycles of the Monte Carlo run of each policy: one alone has no standard error. */
export const CYCLES_MIN = 2
export const CYCLES_MAX = 100_000
export const CYCLES_DEFAULT = 10_000
/** Cycles between two chances for other work on the thread: about a millisecond. */
export const CYCLES_PER_STEP = 500
/** Devices that fail at one moment, up to which the chance of a loss is computed. */
export const FAILED_TOGETHER_MAX = 12
