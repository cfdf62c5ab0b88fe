/**
 * Which unit starts next. Pure.
 *
 * A unit takes a share of the processor: 1 if it computes all the time, less if it waits for other processes and for real
 * time. So many run at once that their shares together are those of the cores: they were measured beside others, and are
 * rather too small than too large.
 */

/** Until a unit has been measured. */
const USUAL_SHARE = { browser: 0.8, nodes: 0.8, server: 0.6, simulation: 1, pure: 1, check: 1 }
/** A unit that only waits has processes, too, whose memory must fit. */
const SHARE_MIN = 0.2
/** A test of several nodes has up to a gigabyte; browsers need a display's memory. */
const LIMITS_PER_CORE = { browser: 1, nodes: 1.5 }

/** `seconds` and `processorSeconds` of its last run, if there was one. */
export const shareOf = (kind, { seconds, processorSeconds } = {}) =>
  processorSeconds === undefined ? USUAL_SHARE[kind] : Math.min(1.5, Math.max(SHARE_MIN, processorSeconds / seconds))

/** The slowest first, so that no core is idle at the end. `secondsOf`: of a unit, as far as known. */
export const ordered = (units, secondsOf) =>
  [...units].sort((a, b) => secondsOf(b) - secondsOf(a) || (a.name < b.name ? -1 : 1))

/** The unit to start, of those that wait in their order; undefined: none while these run. Each has its `share`. */
export function nextOf(waiting, running, cores) {
  if (running.length === 0) return waiting[0]
  const countOf = kind => running.filter(unit => unit.class === kind).length
  const limitOf = kind => Math.max(1, Math.floor((LIMITS_PER_CORE[kind] ?? Infinity) * cores))
  const load = running.reduce((sum, { share }) => sum + share, 0)
  return waiting.find(unit => load + unit.share <= cores && countOf(unit.class) < limitOf(unit.class))
}
