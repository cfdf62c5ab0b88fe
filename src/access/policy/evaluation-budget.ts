/**
 * How much one decision may cost, whatever the policies and the request are. Pure: it counts work, not time.
 *
 * Patterns of a policy and headers of a request are chosen by people who may mean harm, and every algorithm for wildcards takes at
 * worst as long as the one is long times the other. So what may take long is spent, and where a decision has spent all of it, each further
 * statement that would need more is judged by what it does: one that denies counts as if it applied, one that allows as if it did not.
 */

/** A unit is about a nanosecond. Policies as people write them, a hundred of 2 KiB, spend some thousand. */
const EFFORT_MAX = 3_000_000

/** What looking at one value, pattern or part of a pattern costs beside its length. */
export const LOOK = 20

class TooCostly extends Error {}

export class EvaluationBudget {
  private left = EFFORT_MAX

  get isSpent(): boolean {
    return this.left < 0
  }

  /** Ends what is asked `within`, where there is nothing left. */
  spend(units: number): void {
    this.left -= units
    if (this.left < 0) throw new TooCostly()
  }

  /** What the question says, or `otherwise` where there is not enough left to answer it. */
  within(question: () => boolean, otherwise: boolean): boolean {
    try {
      return question()
    } catch (error) {
      if (error instanceof TooCostly) return otherwise
      throw error
    }
  }
}
