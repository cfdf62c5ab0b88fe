/**
 * Rows of the table: the measured work, its target, one measurement of it, and the result of several rounds. Pure
 * except for calling the measurements.
 *
 * A figure is shown with its limit, which the machine or a bare server reaches in the same round; the ratio of the
 * two is comparable between machines. Bounds refer to "figure", "ratio" or a further figure.
 */
import { must } from "@hayloft/base/assert.js"

export interface Measured {
  readonly figure: number
  readonly unit: string
  /** The best possible figure, in the same unit. */
  readonly limit?: number
  /** Further figures, for bounds and for readers of the JSON. */
  readonly also?: Readonly<Record<string, number>>
  /** A remark, beside the further figures. */
  readonly remark?: string
}

export interface Bound {
  readonly of: string
  readonly atMost?: number
  readonly atLeast?: number
}

export type Target =
  | { readonly all: readonly [Bound, ...Bound[]] }
  | {
      readonly any: readonly [Bound, ...Bound[]]
    }

export const atMost = (of: string, value: number): Bound => ({ of, atMost: value })
export const atLeast = (of: string, value: number): Bound => ({ of, atLeast: value })
export const all = (...bounds: readonly [Bound, ...Bound[]]): Target => ({ all: bounds })
export const any = (...bounds: readonly [Bound, ...Bound[]]): Target => ({ any: bounds })

/** The reason why this machine cannot measure a row; the row stays in the table. */
export class Unmeasured extends Error {
  override readonly name = "Unmeasured"
}

export interface Row<F> {
  readonly work: string
  /** Without a target the figure is only reported. */
  readonly target?: Target
  /** The precondition of the figure: if it is false the row counts as unmeasured, but shows its figure. */
  readonly given?: readonly Bound[]
  measure(fixture: F): Promise<Measured>
  /** Measured once, whatever the number of rounds: it runs long, or changes what it measures. */
  readonly isOnce?: boolean
}

export type Verdict = "met" | "missed" | "reported" | "unmeasured" | "failed"

export interface Result {
  readonly theme: string
  readonly work: string
  readonly target: string
  readonly verdict: Verdict
  /** The median round. */
  readonly measured?: Measured
  readonly ratio?: number
  /** Ratios of all rounds, or figures if there is no limit. */
  readonly rounds: readonly number[]
  /** The reason why there is no figure. */
  readonly why?: string
}

const valueOf = (measured: Measured, name: string): number | undefined => {
  if (name === "figure") return measured.figure
  return name === "ratio" ? ratioOf(measured) : measured.also?.[name]
}

export const ratioOf = ({ figure, limit }: Measured): number | undefined =>
  limit !== undefined && limit > 0 ? figure / limit : undefined

/** @returns undefined if the figure that it refers to is missing. */
function isWithin(measured: Measured, { of, atMost: most, atLeast: least }: Bound): boolean | undefined {
  const value = valueOf(measured, of)
  if (value === undefined) return undefined
  return (most === undefined || value <= most) && (least === undefined || value >= least)
}

const holds = (bounds: readonly Bound[] = [], measured: Measured): boolean =>
  bounds.every(bound => isWithin(measured, bound) === true)

export function verdictOf(target: Target | undefined, measured: Measured): Verdict {
  if (target === undefined) return "reported"
  if ("any" in target) return target.any.some(bound => isWithin(measured, bound) === true) ? "met" : "missed"
  const held = target.all.map(bound => isWithin(measured, bound))
  if (held.includes(false)) return "missed"
  return held.includes(undefined) ? "unmeasured" : "met"
}

const boundText = ({ of, atMost: most, atLeast: least }: Bound): string =>
  `${of === "figure" ? "" : `${of} `}${most === undefined ? `>= ${least ?? ""}` : `<= ${most}`}`

export function targetText(target: Target | undefined): string {
  if (target === undefined) return ""
  return "any" in target ? target.any.map(boundText).join(" or ") : target.all.map(boundText).join(", ")
}

/** The median element by a figure of each. */
export function medianBy<T>(items: readonly T[], figure: (item: T) => number): T {
  const sorted = [...items].sort((a, b) => figure(a) - figure(b))
  return must(sorted[sorted.length >> 1], "there was a round")
}

export const median = (values: readonly number[]): number => medianBy(values, value => value)

/** The result of a row that this machine cannot measure. */
export const unmeasuredRow = <F>(theme: string, { work, target }: Row<F>, { message: why }: Unmeasured): Result => ({
  theme,
  work,
  target: targetText(target),
  verdict: "unmeasured",
  rounds: [],
  why,
})

/** Runs the rounds of a row and returns their result; a failed row states its reason and stays. */
export async function measureRow<F>(theme: string, row: Row<F>, fixture: F, rounds: number): Promise<Result> {
  const of = { theme, work: row.work, target: targetText(row.target) }
  const all: Measured[] = []
  try {
    for (let round = 0; round < (row.isOnce === true ? 1 : rounds); round += 1) all.push(await row.measure(fixture))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { ...of, verdict: error instanceof Unmeasured ? "unmeasured" : "failed", rounds: [], why }
  }
  const worth = (measured: Measured): number => ratioOf(measured) ?? measured.figure
  const measured = medianBy(all, worth)
  const ratio = ratioOf(measured)
  return {
    ...of,
    verdict: holds(row.given, measured) ? verdictOf(row.target, measured) : "unmeasured",
    measured,
    ...(ratio === undefined ? {} : { ratio }),
    rounds: all.map(worth),
  }
}
