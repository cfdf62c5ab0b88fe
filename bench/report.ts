/** The report as a readable table. Pure. */
import { tableText } from "@hayloft/cli/text.js"
import type { Machine } from "./machine.js"
import type { Result, Verdict } from "./row.js"

export interface Report {
  readonly machine: Machine
  readonly seconds: number
  readonly rows: readonly Result[]
}

/** Three significant digits, and no decimals of large numbers. */
export function figureText(value: number): string {
  if (value === 0 || Math.abs(value) >= 100) return String(Math.round(value))
  return String(Number(value.toPrecision(3)))
}

const HEAD = ["WORK", "FIGURE", "UNIT", "LIMIT", "RATIO", "TARGET", "VERDICT", "BESIDES"]

/** The smallest and the largest of several rounds. */
const spreadOf = (rounds: readonly number[]): string[] =>
  rounds.length < 2 ? [] : [`rounds ${figureText(Math.min(...rounds))} to ${figureText(Math.max(...rounds))}`]

function cellsOf({ work, measured, ratio, target, verdict, rounds, why }: Result): string[] {
  if (measured === undefined) return [work, "", "", "", "", target, verdict, why ?? ""]
  const { figure, unit, limit, also = {}, remark } = measured
  const further = Object.entries(also).map(([name, value]) => `${name} ${figureText(value)}`)
  const besides = [...further, ...spreadOf(rounds), ...(remark === undefined ? [] : [remark])]
  return [
    work,
    figureText(figure),
    unit,
    limit === undefined ? "" : figureText(limit),
    ratio === undefined ? "" : ratio.toFixed(2),
    target,
    verdict,
    besides.join(", "),
  ]
}

export const lineOf = (result: Result): string =>
  cellsOf(result)
    .filter(cell => cell !== "")
    .join("  ")

export function textOfReport({ machine, seconds, rows }: Report): string {
  const { cpu, cores, node, memoryGib, fileSystem, load, commit, startedAt } = machine
  const where = [`${cpu}, ${cores} cores, ${memoryGib} GiB`, `Node ${node}`, fileSystem ?? "unknown file system"]
  const count = (verdict: Verdict) => rows.filter(row => row.verdict === verdict).length
  const verdicts = (["met", "missed", "reported", "unmeasured", "failed"] as const)
    .map(verdict => `${count(verdict)} ${verdict}`)
    .join(", ")
  return [
    `${where.join("; ")}\n${commit ?? "no commit"}; ${startedAt}; load ${load} before; ${Math.round(seconds)} s\n`,
    tableText(HEAD, rows.map(cellsOf)),
    `${verdicts}\n`,
  ].join("\n")
}
