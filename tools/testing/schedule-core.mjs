/**
 * Which unit starts next. Pure.
 *
 * A unit that computes all the time fills the cores, with a lower priority, in the time that the others leave. The others wait
 * for processes and for real time, each takes a share of the processor, and so many run at once that their shares together are
 * `WAITING_LOAD` of the cores: if more run, each takes longer, and what polls or is timed takes the processor more often.
 */

/** Those with a lower priority. */
const FILLING = ["simulation", "pure", "check"]
export const isFilling = ({ class: kind }) => FILLING.includes(kind)
/** The shares were measured beside others, and are rather too small than too large. */
const WAITING_LOAD = 0.7

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
  const countOf = kind => running.filter(unit => unit.class === kind).length
  const limitOf = kind => Math.max(1, Math.floor((LIMITS_PER_CORE[kind] ?? Infinity) * cores))
  const others = running.filter(unit => !isFilling(unit))
  const load = others.reduce((sum, { share }) => sum + share, 0)
  const loadMax = waiting.some(isFilling) || others.length < running.length ? WAITING_LOAD * cores : cores
  const fillMax = others.length > 0 || !waiting.every(isFilling) ? Math.max(1, cores - 1) : cores
  return waiting.find(unit =>
    isFilling(unit)
      ? running.length - others.length < fillMax
      : others.length === 0 || (load + unit.share <= loadMax && countOf(unit.class) < limitOf(unit.class)),
  )
}
