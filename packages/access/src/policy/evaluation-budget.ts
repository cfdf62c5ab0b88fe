/**
 * The limit on the cost of one decision, for any policies and any request. Pure: it counts work, not time.
 *
 * Attackers may choose the patterns of a policy and the headers of a request, and every wildcard algorithm takes time
 * proportional to the product of both lengths at worst. So expensive work is charged to a budget. Once a decision has
 * spent it, each further statement that would need more is decided by its effect: a Deny applies, an Allow does not.
 */

/** A unit is about a nanosecond. A hundred typical policies of 2 KiB spend a few thousand. */
const UNITS_MAX = 3_000_000

/** The fixed cost of handling one value, pattern or part of a pattern, in addition to its length. */
export const STEP = 20

class BudgetSpent extends Error {}

export class EvaluationBudget {
  private remaining = UNITS_MAX

  get isSpent(): boolean {
    return this.remaining < 0
  }

  /** Aborts the evaluation passed to `within` once the budget is spent. */
  spend(units: number): void {
    this.remaining -= units
    if (this.remaining < 0) throw new BudgetSpent()
  }

  /** The result of `evaluate`, or `otherwise` if the budget does not suffice to compute it. */
  within(evaluate: () => boolean, otherwise: boolean): boolean {
    try {
      return evaluate()
    } catch (error) {
      if (error instanceof BudgetSpent) return otherwise
      throw error
    }
  }
}
