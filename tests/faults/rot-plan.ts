/** The requests and the results of rot sweeps, shared by `rot.ts` and the process that it starts. */
export const ROT_TARGETS = ["volumes", "payloads", "log", "base"] as const
export type RotTarget = (typeof ROT_TARGETS)[number]

export interface RotSweep {
  /** Damage while no process runs, or under an open store. */
  readonly mode: "rest" | "running"
  readonly target: RotTarget
  readonly seed: number
  /** The number of the case; the same number and seed give the same damage. */
  readonly count: number
}

export interface RotPlan extends RotSweep {
  readonly devices: number
}

export interface RotCase {
  /** The number of its plan. */
  readonly plan: number
  readonly number: number
  readonly what: string
  /** The number of keys that were read as written, including deleted keys that were absent. */
  readonly exact: number
  /** Kinds of the failures that readers got. */
  readonly refused: readonly string[]
  /** Existing keys that a read or a listing reported as absent. */
  readonly absent: readonly string[]
  /** Wrong bytes, deleted keys that reappeared, and errors outside the list of failures. */
  readonly wrong: readonly string[]
}

/** Both ends of the pipe are this program. */
export function parseRotPlans(text: string): readonly RotPlan[] {
  return JSON.parse(text) as RotPlan[]
}

/** A line of output of the process: a case begins, or has ended. */
export function parseRotLine(text: string): { readonly begins: number; readonly what: string } | RotCase | undefined {
  const line: unknown = JSON.parse(text)
  if (typeof line !== "object" || line === null) return undefined
  return "begins" in line || "exact" in line ? (line as { begins: number; what: string } | RotCase) : undefined
}
