/**
 * Runs rows against an endpoint and sums up by line of the list of behaviours.
 *
 * Promises  Every row runs in a bucket of its own; a failing row disturbs no other; the outcome names
 *           the row, the expected and the actual answer.
 * Limits    ROWS_AT_ONCE rows together, ROW_TIMEOUT_MS each.
 */
import type { Client } from "./client.js"
import { lineOf } from "./row.js"
import type { Row } from "./row.js"
import { LINES, LINES_WITHOUT_ROWS } from "./rows/index.js"
import { Scene } from "./scene.js"
import type { Surroundings } from "./scene.js"

export const ROWS_AT_ONCE = 6
/** A row ends long before, even on a machine that is busy with other tests: this limit only ends a row that waits forever. */
const ROW_TIMEOUT_MS = 5 * 60_000

export interface Outcome {
  readonly id: string
  readonly line: number
  readonly title: string
  readonly result: "passed" | "failed" | "left out"
  /** The reason of the failure, or the missing feature. */
  readonly message: string
  readonly durationMs: number
}

/** Rows that a pattern selects. */
export function select(rows: readonly Row[], pattern: string | undefined): readonly Row[] {
  if (pattern === undefined) return rows
  if (/^\d+\.\d+$/.test(pattern)) return rows.filter(row => row.id === pattern)
  const range = /^(\d+)(?:-(\d+))?$/.exec(pattern)
  if (range) {
    const [first, last] = [Number(range[1]), Number(range[2] ?? range[1])]
    return rows.filter(row => lineOf(row) >= first && lineOf(row) <= last)
  }
  return rows.filter(row => row.title.toLowerCase().includes(pattern.toLowerCase()))
}

async function within<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

async function runInScene(row: Row, client: Client, surroundings: Surroundings): Promise<void> {
  const scene = await Scene.open(client, surroundings)
  try {
    await row.run(scene)
  } finally {
    await scene.close()
  }
}

/** Runs one row; never throws. */
export async function runRow(row: Row, client: Client, surroundings: Surroundings): Promise<Outcome> {
  const about = { id: row.id, line: lineOf(row), title: row.title }
  if (row.needs === "otherAccount" && surroundings.other === undefined) {
    return { ...about, result: "left out", message: "needs a key of another account", durationMs: 0 }
  }
  const started = performance.now()
  const done = () => Math.round(performance.now() - started)
  try {
    await within(runInScene(row, client, surroundings), ROW_TIMEOUT_MS)
    return { ...about, result: "passed", message: "", durationMs: done() }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { ...about, result: "failed", message, durationMs: done() }
  }
}

/** Runs rows, a few concurrently; outcomes are in the order of the rows. */
export async function runRows(
  rows: readonly Row[],
  client: Client,
  surroundings: Surroundings,
  onOutcome: (outcome: Outcome) => void,
): Promise<readonly Outcome[]> {
  const outcomes = new Map<Row, Outcome>()
  const waiting = [...rows]
  const worker = async () => {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      const outcome = await runRow(row, client, surroundings)
      outcomes.set(row, outcome)
      onOutcome(outcome)
    }
  }
  await Promise.all(Array.from({ length: ROWS_AT_ONCE }, worker))
  return rows.flatMap(row => outcomes.get(row) ?? [])
}

export interface LineResult {
  readonly line: number
  readonly passed: number
  readonly failed: number
  readonly leftOut: number
  /** The reason why a line has no rows. */
  readonly note: string
}

export function byLine(outcomes: readonly Outcome[]): readonly LineResult[] {
  const results: LineResult[] = []
  for (let line: number = LINES.first; line <= LINES.last; line += 1) {
    const of = outcomes.filter(outcome => outcome.line === line)
    const count = (result: Outcome["result"]) => of.filter(outcome => outcome.result === result).length
    const note = of.length === 0 ? (LINES_WITHOUT_ROWS[line] ?? "") : ""
    results.push({ line, passed: count("passed"), failed: count("failed"), leftOut: count("left out"), note })
  }
  return results
}

/** The table for the documentation: every line of the list, how many rows hold it, and the failures. */
export function report(outcomes: readonly Outcome[]): string {
  const failures = outcomes.filter(outcome => outcome.result === "failed")
  const count = (result: Outcome["result"]) => outcomes.filter(outcome => outcome.result === result).length
  const lines = byLine(outcomes).map(
    ({ line, passed, failed, leftOut, note }) => `| ${line} | ${passed} | ${failed} | ${leftOut} | ${note} |`,
  )
  return [
    `${count("passed")} rows passed, ${count("failed")} failed, ${count("left out")} left out.`,
    "",
    "| line | passed | failed | left out | note |",
    "|---|---|---|---|---|",
    ...lines,
    ...(failures.length === 0 ? [] : ["", ...failures.map(({ id, title, message }) => `- ${id} ${title}: ${message}`)]),
    "",
  ].join("\n")
}
