/** The time that decisions are told: the wall clock, or a time that the store knows to have passed if that is later. */

export class DecisionClock {
  /** No decision is told an earlier time; 0: the wall clock alone counts. */
  earliestMs = 0

  constructor(private readonly wallMs: () => number) {}

  get nowMs(): number {
    return Math.max(this.earliestMs, this.wallMs())
  }
}
