/**
 * Process incarnations: each start of a process has a number of its own, which is in the ids of the uploads that it
 * gives out. Whether such a process is over is looked up here and nowhere else; numbers are never compared elsewhere.
 */
import type { Incarnation } from "../base/ids.js"

export interface Incarnations {
  /** This process. */
  readonly own: Incarnation
  /**
   * True once the process can neither write nor commit any more. Never true for this process, nor for one that is not
   * known: what it holds stays held.
   */
  isOver(incarnation: Incarnation): boolean
}

/**
 * A store that one process at a time can open: the locks of its folders see to that, and every start takes a higher
 * number than all before it. A higher number than our own is not known.
 */
export const soleProcess = (own: Incarnation): Incarnations => ({ own, isOver: incarnation => incarnation < own })
