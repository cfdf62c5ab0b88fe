/**
 * Process incarnations: each start of a process has its own number, which is part of the upload ids that it
 * generates. Only this module decides whether such a process is over; no other code compares the numbers.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseIncarnation, type Incarnation } from "@hayloft/base/ids.js"
import type { HaltNote } from "../format/nodes/halt-note.js"

export interface Incarnations {
  /** This process. */
  readonly own: Incarnation
  /**
   * The lowest that is not over: each one below it neither writes nor commits any more. It is this process, or one with a
   * lower number that is not known to be over: it began earlier, or is a thread of this process, which may also begin later.
   */
  readonly oldestLive: Incarnation
  /**
   * The one of those that are live that began first: all others learn from it what a store has that runs already. Undefined:
   * `oldestLive`, because a later one has a higher number.
   */
  readonly firstLive?: Incarnation
  /**
   * True if incarnations with numbers near this one may be live at the same time and may have begun in any order: see
   * `isOrdered` of upload ids. Undefined if they cannot, or if the metadata is in a database, where no order is known.
   */
  readonly hasNeighbours?: boolean
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

/** The incarnations of processes that had not ended at one moment. */
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

/** The incarnations as a process knows them at one moment: plain data, which it sends to its threads. */
export interface SeenIncarnations {
  /** Incarnations from this one on have not begun yet, so that they are not over. */
  readonly next: Incarnation
  /** All others below `next` are over. */
  readonly live: readonly Incarnation[]
  /** See `Incarnations`. */
  readonly ended: number
  readonly firstLive?: Incarnation
  readonly hasNeighbours?: boolean
  readonly reconciliations?: number
  /** The store is halted: none counts as over. */
  readonly isHalted?: boolean
}

/** The incarnations of a process with several threads, in a store that one process at a time can open. */
export interface ThreadIncarnations {
  /** The lowest number that this start has reserved. */
  readonly first: Incarnation
  /** The number of the next front; `own`: all reserved numbers are used. */
  readonly next: Incarnation
  /** The engine thread: the highest, which devices record as that of the process. */
  readonly own: Incarnation
  /** Fronts that have begun and not ended. */
  readonly live: readonly Incarnation[]
  /** How many fronts have ended. */
  readonly ended: number
}

/** A process without fronts yet, which has reserved so many numbers below its own. Throws `invalidArgument`. */
export function reservedThreads(own: Incarnation, reserved: number): ThreadIncarnations {
  const first = parseIncarnation(own - reserved)
  return { first, next: first, own, live: [], ended: 0 }
}

/** Begins a front. Throws `limitExceeded` if this start has used up its reserved numbers. */
export function withFront(before: ThreadIncarnations): {
  readonly front: Incarnation
  readonly after: ThreadIncarnations
} {
  const { first, next: front, own, live } = before
  if (front >= own) {
    const message = `front threads have ended too often: this start has reserved ${own - first} numbers for them; restart the process`
    throw fail("limitExceeded", { message, limit: own - first })
  }
  return { front, after: { ...before, next: parseIncarnation(front + 1), live: [...live, front] } }
}

/** Ends a front: from now on nothing of it is written or committed. Nothing changes if it is not live. */
export function withoutFront(before: ThreadIncarnations, front: Incarnation): ThreadIncarnations {
  const live = before.live.filter(each => each !== front)
  return live.length === before.live.length ? before : { ...before, live, ended: before.ended + 1 }
}

/** All threads of the process know this. */
export const seenOf = ({ first, next, own, live, ended }: ThreadIncarnations): SeenIncarnations => ({
  next,
  live,
  ended,
  firstLive: own,
  hasNeighbours: first < own,
})

/** The incarnations as `who` sees them, a process or a thread of one; `seen` returns what is known now. */
export const incarnationsSeen = (seen: () => SeenIncarnations, who: Incarnation): Incarnations => ({
  own: who,
  get oldestLive() {
    const { live, next } = seen()
    // On one machine fronts that have not begun yet have lower numbers than the engine thread.
    return [...live, next].reduce((least, each) => (each < least ? each : least), who)
  },
  get firstLive() {
    return seen().firstLive ?? this.oldestLive
  },
  get hasNeighbours() {
    return seen().hasNeighbours === true
  },
  isOver(incarnation) {
    const { next, live, isHalted = false } = seen()
    return !isHalted && incarnation < next && incarnation !== who && !live.includes(incarnation)
  },
  get ended() {
    return seen().ended
  },
  get reconciliations() {
    return seen().reconciliations ?? 0
  },
})
