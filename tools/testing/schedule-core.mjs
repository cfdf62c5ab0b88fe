/**
 * Which unit starts next. Pure.
 *
 * A unit takes a share of the processor: 1 if it computes all the time, less if it waits for other processes and for real
 * time. So many run at once that their shares together are those of the cores, and a little more, since none takes its share
 * all the time.
 */

/** Until a unit has been measured. */
const USUAL_SHARE = { browser: 0.8, nodes: 0.8, server: 0.6, simulation: 1, pure: 1, check: 1 }
/** The limit is for each core. */
const LOAD_MAX = 1.25
/** A unit that only waits still has processes: memory is for so many of each core. */
const UNITS_PER_CORE_MAX = 4
/** A test of several nodes has up to a gigabyte; browsers need a display's memory. */
const LIMITS_PER_CORE = { browser: 1, nodes: 1.5 }

/** `seconds` and `processorSeconds` of its last run, if there was one. */
export const shareOf = (kind, { seconds, processorSeconds } = {}) =>
  processorSeconds === undefined ? USUAL_SHARE[kind] : Math.min(1.5, Math.max(0.1, processorSeconds / seconds))

/** The slowest first, so that no core is idle at the end. `secondsOf`: of a unit, as far as known. */
export const ordered = (units, secondsOf) =>
  [...units].sort((a, b) => secondsOf(b) - secondsOf(a) || (a.name < b.name ? -1 : 1))

/** The unit to start, of those that wait in their order; undefined: none while these run. Each has its `share`. */
export function nextOf(waiting, running, cores) {
  if (running.length === 0) return waiting[0]
  if (running.length >= cores * UNITS_PER_CORE_MAX) return undefined
  const countOf = kind => running.filter(unit => unit.class === kind).length
  const limitOf = kind => Math.max(1, Math.floor((LIMITS_PER_CORE[kind] ?? Infinity) * cores))
  const load = running.reduce((sum, { share }) => sum + share, 0)
  return waiting.find(unit => load + unit.share <= cores * LOAD_MAX && countOf(unit.class) < limitOf(unit.class))
}
