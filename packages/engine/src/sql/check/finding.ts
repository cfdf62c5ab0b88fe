/** Finding: one thing that a check of a database found out, in plain words. */

/**
 * "fail": an acknowledged write could be lost, a race could have two winners, or Hayloft does not run there.
 * "unknown": the server does not say.
 */
export type CheckLevel = "ok" | "warn" | "fail" | "unknown"

export interface CheckFinding {
  readonly level: CheckLevel
  /** The subject of the check: a setting of the server, or one of the runs. */
  readonly check: string
  /** The result of the check, in a few words. */
  readonly found: string
  /** The meaning of the result, and what to do. */
  readonly meaning?: string
}
