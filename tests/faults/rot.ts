/**
 * Rot: damages volumes, payloads, logs and bases of a store on real files, at rest and under the running
 * store, one place at a time, and reads everything. No wrong byte is ever served; errors are clean.
 *
 * A process that LMDB takes down with a signal has served nothing: the store that it left is opened once
 * more, and must not serve wrong bytes then either.
 */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { bindChild } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { parseRotLine, type RotCase, type RotPlan, type RotTarget } from "./rot-plan.js"

const PROGRAM = fileURLToPath(new URL("./rot-store.js", import.meta.url))
/** Longer than any number of cases that is asked of one process takes. */
const PROCESS_MS_MAX = 10 * 60_000

export type RotMode = "rest" | "running"

export interface RotFindings {
  cases: number
  /** Cases in which everything was read as it was written. */
  unnoticed: number
  /** Failures that readers were told, by kind. */
  readonly refused: Map<string, number>
  /** Processes that ended by a signal. */
  crashes: number
  /** Cases in which a key was said not to be there. */
  readonly absent: string[]
  /** What was wrong, with the case that shows it. */
  readonly wrong: string[]
}

interface Ended {
  readonly cases: readonly RotCase[]
  /** The case that was under way when the process died. */
  readonly diedIn: { readonly begins: number; readonly what: string } | undefined
  readonly problem: string | undefined
}

async function runStore(mode: string, folder: string, argument: string): Promise<Ended> {
  const child = spawn(process.execPath, [PROGRAM, mode, folder, argument], { stdio: ["ignore", "pipe", "pipe"] })
  bindChild(child)
  const late = setTimeout(() => child.kill("SIGKILL"), PROCESS_MS_MAX)
  let errors = ""
  child.stderr.setEncoding("utf8").on("data", chunk => (errors = (errors + String(chunk)).slice(-4_000)))
  const cases: RotCase[] = []
  let begun: { readonly begins: number; readonly what: string } | undefined
  createInterface(child.stdout).on("line", text => {
    const line = parseRotLine(text)
    if (line === undefined) return
    if ("begins" in line) begun = line
    else {
      cases.push(line)
      begun = undefined
    }
  })
  const ended = await new Promise<{ code: number | null; signal: string | null }>(resolve =>
    child.once("close", (code, signal) => resolve({ code, signal })),
  )
  clearTimeout(late)
  const { code, signal } = ended
  if (code === 0) return { cases, diedIn: undefined, problem: undefined }
  // LMDB ends the process by a signal of its own, or aborts.
  const isCrash = signal !== null && signal !== "SIGKILL"
  const problem = isCrash ? undefined : `the process ended with ${code ?? signal}: ${errors}`
  return { cases, diedIn: begun, problem }
}

export interface RotSweep {
  readonly mode: RotMode
  readonly target: RotTarget
  readonly seed: number
  readonly count: number
}

/** Makes a store on so many devices, and tells all sweeps over copies of it. */
export function sweepRot(
  devices: number,
  sweeps: readonly RotSweep[],
  report: (sweep: RotSweep, findings: RotFindings) => void,
): Promise<void> {
  return withFolder(async folder => {
    const made = await runStore("make", folder, String(devices))
    if (made.problem !== undefined) throw new Error(made.problem)
    for (const sweep of sweeps) report(sweep, await sweepOver(folder, devices, sweep))
  })
}

/** In as many processes as it takes. */
async function sweepOver(folder: string, devices: number, sweep: RotSweep): Promise<RotFindings> {
  const { mode, target, seed, count } = sweep
  const findings: RotFindings = { cases: 0, unnoticed: 0, refused: new Map(), crashes: 0, absent: [], wrong: [] }
  const take = (found: RotCase): void => {
    const about = `${mode}, ${devices} device(s), ${target}, seed ${seed}, case ${found.number}: ${found.what}`
    addCase(findings, found, about)
  }
  const planOf = (from: number, cases: number): string =>
    JSON.stringify({ devices, target, seed, from, count: cases } satisfies RotPlan)
  for (let from = 0; from < count;) {
    const { cases, diedIn, problem } = await runStore(mode, folder, planOf(from, count - from))
    cases.forEach(take)
    if (problem !== undefined)
      throw new Error(`${problem}${diedIn ? `\nin case ${diedIn.begins}: ${diedIn.what}` : ""}`)
    if (diedIn === undefined) break
    findings.crashes += 1
    const next = await runStore("again", folder, planOf(diedIn.begins, 1))
    for (const found of next.cases) take({ ...found, what: `${diedIn.what}, and the next start` })
    if (next.problem !== undefined) throw new Error(next.problem)
    from = diedIn.begins + 1
  }
  return findings
}

function addCase(findings: RotFindings, found: RotCase, about: string): void {
  const { refused, absent, wrong } = found
  findings.cases += 1
  if (refused.length + absent.length + wrong.length === 0) findings.unnoticed += 1
  if (absent.length > 0) findings.absent.push(`${about}: ${absent.join(", ")}`)
  for (const kind of refused) findings.refused.set(kind, (findings.refused.get(kind) ?? 0) + 1)
  for (const each of wrong) findings.wrong.push(`${about}: ${each}`)
}

export const describeFindings = ({ cases, unnoticed, refused, crashes, absent, wrong }: RotFindings): string => {
  const kinds = [...refused].map(([kind, count]) => `${kind} ${count}`).join(", ")
  const counts = `${unnoticed} without effect, ${crashes} crashes, ${absent.length} with keys missing, ${wrong.length} wrong`
  return `${cases} cases, ${counts}; refused: ${kinds || "none"}`
}
