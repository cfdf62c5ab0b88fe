/** The faults of a simulated database: how long everything takes, and how often it fails. */
import type { Random } from "@hayloft/base/seams/random/contract.js"

/** Durations are the longest ones, in milliseconds of the simulated clock; everything else is a probability. */
export interface FaultPlan {
  /** Until a statement arrives. */
  readonly requestMs: number
  /** Between two parts of a statement, and after a wait for another transaction. */
  readonly partMs: number
  /** From the last part until the commit is visible; locks are held meanwhile. */
  readonly commitMs: number
  readonly answerMs: number
  /** One of these takes much longer. */
  readonly stalls: number
  readonly stallMs: number
  /** A connection is refused. */
  readonly refused: number
  /** The connection ends, and the statement never arrives. */
  readonly lostBefore: number
  /** The connection ends before the statement arrives, which it does nevertheless, up to `lateMs` later. */
  readonly late: number
  readonly lateMs: number
  /** The connection ends at any moment; the statement goes on. */
  readonly lostDuring: number
  /** The connection ends after the statement, before its answer. */
  readonly lostAfter: number
  /** A statement is aborted, and may be tried again. */
  readonly aborted: number
  /** A commit succeeds with a warning. */
  readonly warned: number
}

export const NO_FAULTS: FaultPlan = {
  requestMs: 0,
  partMs: 0,
  commitMs: 0,
  answerMs: 0,
  stalls: 0,
  stallMs: 0,
  refused: 0,
  lostBefore: 0,
  late: 0,
  lateMs: 0,
  lostDuring: 0,
  lostAfter: 0,
  aborted: 0,
  warned: 0,
}

/** Draws that cost no randomness if the plan has none. */
export class Dice {
  constructor(private readonly random: Random) {}

  happens(probability: number): boolean {
    return probability > 0 && this.random.below(1_000_000) < probability * 1_000_000
  }

  upTo(max: number): number {
    return max === 0 ? 0 : this.random.below(max + 1)
  }

  shuffled<T>(items: Iterable<T>): readonly T[] {
    const left = [...items]
    if (left.length < 2) return left
    const taken: T[] = []
    while (left.length > 0) taken.push(...left.splice(this.random.below(left.length), 1))
    return taken
  }
}
