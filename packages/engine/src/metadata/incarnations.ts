/**
 * Process incarnations: each start of a process has its own number, which is part of the upload ids that it
 * generates. Only this module decides whether such a process is over; no other code compares the numbers.
 */
import type { Incarnation } from "@hayloft/base/ids.js"
import type { HaltNote } from "../format/halt-note.js"

export interface Incarnations {
  /** This process. */
  readonly own: Incarnation
  /** The lowest that may be running: this process, or one that began earlier and is not known to be over. */
  readonly oldestLive: Incarnation
  /**
   * True once the process can neither write nor commit any more. Never true for this process or an unknown
   * one: its uploads stay locked.
   */
  isOver(incarnation: Incarnation): boolean
  /** How many are over; it grows with each that ends. Undefined: all others were over when this process began. */
  readonly ended?: number
  /**
   * How often the metadata was reconciled after it had lost commits; 0 if absent. What was concluded from missing rows
   * before does not hold any more.
   */
  readonly reconciliations?: number
}

/** A store whose metadata was rolled back: only coordination goes on until a reconciliation. */
export interface Halt extends HaltNote {
  /** Grows each time that a process halts the store. */
  readonly number: number
}

/** Positions of each incarnation in metadata that several processes share: those of a later one are higher. */
export const POSITIONS_OF_INCARNATION = 2 ** 34

/** The incarnation that decided at this position of shared metadata. */
export const incarnationAt = (position: number): number => Math.floor(position / POSITIONS_OF_INCARNATION)

/** The incarnations that had not ended at one moment. */
export interface LiveIncarnations {
  /** The highest one that had begun: one above it is younger. */
  readonly highest: Incarnation
  readonly nodes: readonly { readonly node: string; readonly incarnation: Incarnation }[]
}

/**
 * Incarnations of a store that one process at a time can open: folder locks ensure that, and every start takes a higher
 * number than all before it. A number above our own is unknown.
 */
export const soleProcess = (own: Incarnation): Incarnations => ({
  own,
  oldestLive: own,
  isOver: incarnation => incarnation < own,
})
