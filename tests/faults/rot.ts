/**
 * Rot: damages real files of volumes, payloads, logs and metadata stores, one place at a time, at rest and under
 * the running store, and reads everything. No wrong byte is served, no existing key is reported absent, no process
 * crashes; errors are known failures.
 */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { bindChild } from "../harness/commands.js"
import { withFolder } from "../harness/folders.js"
import { parseRotLine, type RotCase, type RotPlan, type RotSweep } from "./rot-plan.js"

const PROGRAM = fileURLToPath(new URL("./rot-store.js", import.meta.url))
/** Longer than any case takes. */
const CASE_MS_MAX = 10 * 60_000

export interface RotFindings {
  cases: number
  /** Cases in which all reads were correct. */
  unnoticed: number
  /** Failures that readers got, by kind. */
  readonly refused: Map<string, number>
  /** Cases in which a key was reported absent. */
  readonly absent: string[]
  /** Wrong results, with their cases. */
  readonly wrong: string[]
}

interface Ended {
  readonly cases: readonly RotCase[]
  /** How the process crashed, and in which case. */
  readonly problem: string | undefined
}

async function runStore(folder: string, devices: number, plans: readonly RotPlan[]): Promise<Ended> {
  const program = [PROGRAM, folder, String(devices), JSON.stringify(plans)]
  const child = spawn(process.execPath, program, { stdio: ["ignore", "pipe", "pipe"] })
  bindChild(child)
  const late = setTimeout(() => child.kill("SIGKILL"), CASE_MS_MAX)
  let errors = ""
  child.stderr.setEncoding("utf8").on("data", chunk => (errors = (errors + String(chunk)).slice(-4_000)))
  const cases: RotCase[] = []
  let begun: { readonly begins: number; readonly what: string } | undefined
  createInterface(child.stdout).on("line", text => {
    late.refresh()
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
  if (code === 0) return { cases, problem: undefined }
  const during = begun === undefined ? "" : `\nin case ${begun.begins}: ${begun.what}`
  return { cases, problem: `the process ended with ${code ?? signal}: ${errors}${during}` }
}

/** Creates a store on this many devices, and runs all sweeps on copies of it. */
export function sweepRot(
  devices: number,
  sweeps: readonly RotSweep[],
  report: (sweep: RotSweep, findings: RotFindings) => void,
): Promise<void> {
  return withFolder(async folder => {
    const plans = sweeps.map((sweep): RotPlan => ({ ...sweep, devices }))
    const { cases, problem } = await runStore(folder, devices, plans)
    for (const [at, sweep] of sweeps.entries())
      report(
        sweep,
        findingsOf(
          devices,
          sweep,
          cases.filter(({ plan }) => plan === at),
        ),
      )
    if (problem !== undefined) throw new Error(problem)
  })
}

function findingsOf(devices: number, { mode, target, seed }: RotSweep, cases: readonly RotCase[]): RotFindings {
  const findings: RotFindings = { cases: 0, unnoticed: 0, refused: new Map(), absent: [], wrong: [] }
  for (const found of cases)
    addCase(
      findings,
      found,
      `${mode}, ${devices} device(s), ${target}, seed ${seed}, case ${found.number}: ${found.what}`,
    )
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

export const describeFindings = ({ cases, unnoticed, refused, absent, wrong }: RotFindings): string => {
  const kinds = [...refused].map(([kind, count]) => `${kind} ${count}`).join(", ")
  const counts = `${unnoticed} without effect, ${absent.length} with keys missing, ${wrong.length} wrong`
  return `${cases} cases, ${counts}; refused: ${kinds || "none"}`
}
