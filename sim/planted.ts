/**
 * `npm run planted [WORD…]`: shows that the checks would find bugs. Each planted bug (see `plants.ts`) is built
 * into a copy of the program in a temporary folder, its scenario is run there for some seeds, and must
 * fail by the check that is named; the unchanged program must pass the same seeds. Prints a line for
 * each bug and exits with 1 if one was missed.
 */
import { execFile } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import ts from "typescript"
import { CLUSTER_PLANTS } from "./cluster/cluster-plants.js"
import { PLANTS, type Edit, type Plant } from "./plants.js"

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
/** A bug may not appear with every seed: a single passing seed proves little. */
const SEEDS = ["1", "2", "3", "4", "5", "6"]
const RUN_MS_MAX = 300_000
const run = promisify(execFile)

/** A copy of the built files, in a separate folder. */
function copyProgram(): string {
  const copy = mkdtempSync(join(tmpdir(), "hayloft-planted-"))
  for (const folder of ["src", "sim"]) {
    cpSync(join(ROOT, "dist", folder), join(copy, "dist", folder), {
      recursive: true,
      filter: path => !/\.(map|tmp)$|\.test\.js$/.test(path),
    })
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"))
  writeFileSync(join(copy, "package.json"), JSON.stringify({ type: "module" }))
  return copy
}

/** Returns the file with the bug, as JavaScript; undefined if the text to replace does not occur exactly once. */
function planted(edits: readonly Edit[]): ReadonlyMap<string, string> | undefined {
  const sources = new Map<string, string>()
  for (const { file, find, put } of edits) {
    const source = sources.get(file) ?? readFileSync(join(ROOT, file), "utf8")
    if (source.split(find).length !== 2) return undefined
    sources.set(
      file,
      source.replace(find, () => put),
    )
  }
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true }
  return new Map(
    [...sources].map(([file, source]) => [
      file,
      ts.transpileModule(source, { compilerOptions, fileName: file }).outputText,
    ]),
  )
}

/** Returns the output of a scenario: "passed", or the failed check and its finding. */
async function outcome(program: string, scenario: string, seeds: readonly string[]): Promise<string> {
  const script = join(program, "dist/sim/scenario.js")
  try {
    const { stdout } = await run(process.execPath, [script, scenario, ...seeds], { timeout: RUN_MS_MAX })
    return stdout.trim()
  } catch (error) {
    const { stdout = "" } = typeof error === "object" && error !== null && "stdout" in error ? error : {}
    return String(stdout).trim() || `error ${String(error)}`
  }
}

export const fits = (plant: Plant): boolean => planted(plant.edits) !== undefined

export interface Verdict {
  readonly bug: string
  readonly isCaught: boolean
  readonly found: string
}

/** Plants one bug in the copy, returns whether its check catches it, and removes it again. */
async function checkPlant(program: string, plant: Plant, seeds: readonly string[]): Promise<Verdict> {
  const changed = planted(plant.edits)
  if (!changed)
    return { bug: plant.bug, isCaught: false, found: "the source has changed: update the text that this bug replaces" }
  const paths = [...changed].map(([file, text]) => ({
    path: join(program, "dist", file.replace(/\.ts$/, ".js")),
    text,
  }))
  const healthy = paths.map(({ path }) => readFileSync(path))
  try {
    for (const { path, text } of paths) writeFileSync(path, text)
    const found = await outcome(program, plant.scenario, seeds)
    const check = found.split(" ")[0]
    return { bug: plant.bug, isCaught: plant.caughtBy.some(name => name === check), found: found.split("\n")[0] ?? "" }
  } finally {
    for (const [i, { path }] of paths.entries()) writeFileSync(path, healthy[i] ?? "")
  }
}

/** Checks these bugs, after the unchanged program has passed their scenarios. */
export async function checkPlants(
  plants: readonly Plant[],
  seeds: readonly string[],
  report: (verdict: Verdict) => void,
): Promise<readonly Verdict[]> {
  const program = copyProgram()
  const verdicts: Verdict[] = []
  const add = (verdict: Verdict): void => {
    verdicts.push(verdict)
    report(verdict)
  }
  try {
    for (const scenario of new Set(plants.map(plant => plant.scenario))) {
      const found = await outcome(program, scenario, seeds)
      add({ bug: `none (${scenario})`, isCaught: found === "passed", found: found.split("\n")[0] ?? "" })
    }
    for (const plant of plants) add(await checkPlant(program, plant, seeds))
  } finally {
    rmSync(program, { recursive: true, force: true })
  }
  return verdicts
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const words = process.argv.slice(2)
  const chosen = [...PLANTS, ...CLUSTER_PLANTS].filter(
    ({ bug }) => words.length === 0 || words.some(word => bug.includes(word)),
  )
  const verdicts = await checkPlants(chosen, SEEDS, ({ bug, isCaught, found }) => {
    process.stdout.write(`${isCaught ? "OK    " : "MISSED"}  ${bug}\n        ${found}\n`)
  })
  const missed = verdicts.filter(verdict => !verdict.isCaught).length
  process.stdout.write(`${verdicts.length - missed} as expected, ${missed} missed\n`)
  process.exitCode = missed > 0 ? 1 : 0
}
