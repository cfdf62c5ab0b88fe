/** The request and the result of a rot sweep: shared by `rot.ts` and the process that it starts. */
export const ROT_TARGETS = ["volumes", "payloads", "log", "base"] as const
export type RotTarget = (typeof ROT_TARGETS)[number]

export interface RotPlan {
  readonly devices: number
  readonly target: RotTarget
  readonly seed: number
  /** Cases are numbered; the same number under the same seed is the same damage. */
  readonly count: number
}

export interface RotCase {
  readonly number: number
  readonly what: string
  /** Keys that showed exactly what was written, including removed ones that were absent. */
  readonly exact: number
  /** Kinds of the failures that readers got. */
  readonly refused: readonly string[]
  /** Keys that a reader, or a listing, reported as absent. */
  readonly absent: readonly string[]
  /** Other bytes, keys that were removed, answers that are no failure of the list. */
  readonly wrong: readonly string[]
}

/** Both ends are this program. */
export function parseRotPlan(text: string): RotPlan {
  return JSON.parse(text) as RotPlan
}

/** A line of the process: a case begins, or has ended. */
export function parseRotLine(text: string): { readonly begins: number; readonly what: string } | RotCase | undefined {
  const line: unknown = JSON.parse(text)
  if (typeof line !== "object" || line === null) return undefined
  return "begins" in line || "exact" in line ? (line as { begins: number; what: string } | RotCase) : undefined
}
