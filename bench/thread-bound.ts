/**
 * The most that a server can do on a number of cores, computed from the processor time of a request by thread. Pure.
 *
 * One thread uses one core at most, and all threads together use no more than all cores. A real server does less: threads
 * wait for each other, and share caches and memory.
 */

/** A server has at most this many front threads. */
const FRONTS_MAX = 16

/** Processor time of one request, in microseconds. */
export interface RequestTime {
  /** The engine thread uses this. */
  readonly engine: number
  /** All front threads use this together; 0: there are none. */
  readonly fronts: number
  /** All threads use this together, those for files, checkpoints and hashing included. */
  readonly all: number
}

export type Full = "engine thread" | "cores" | "16 front threads"

export interface Most {
  readonly perSecond: number
  /** Is in use completely at this rate, so that nothing else helps. */
  readonly full: Full
}

export function mostOn(cores: number, { engine, fronts, all }: RequestTime): Most {
  const bounds: readonly Most[] = [
    { perSecond: 1e6 / engine, full: "engine thread" },
    { perSecond: (1e6 * cores) / all, full: "cores" },
    { perSecond: (1e6 * FRONTS_MAX) / fronts, full: "16 front threads" },
  ]
  return bounds.reduce((least, bound) => (bound.perSecond < least.perSecond ? bound : least))
}

/** The most with front threads as a multiple of the most of one thread that serves everything, both on so many cores. */
export const timesOn = (cores: number, threaded: RequestTime, alone: RequestTime): number =>
  mostOn(cores, threaded).perSecond / mostOn(cores, alone).perSecond
