/**
 * `npm run planted [WORD…]`: shows that the checks would find bugs. Each planted bug (see `plants.ts`) is built
 * into a copy of the program in a temporary folder, its scenario is run there for some seeds, and must
 * fail by the check that is named; the unchanged program must pass the same seeds. Bugs that tests catch are built into a
 * copy with these tests. Prints two lines for each bug, and those of missed bugs again at the end; exits with 1 if one
 * was missed.
 */
import { execFile } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { MIB } from "@hayloft/base/limits.js"
import { transpiled } from "../tests/harness/transpiled.js"
import { SCENARIO_PLANTS, TESTED_PLANTS } from "./all-plants.js"
import type { Edit, Plant, TestedPlant } from "./plants.js"

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
/** A bug may not appear with every seed: a single passing seed proves little. */
const SEEDS = ["1", "2", "3", "4", "5", "6"]
/** By how much more random runs tests have than for a landing. */
const RANDOM_RUN_TIMES = "4"
const RUN_MS_MAX = 300_000
const OUTPUT_BYTES_MAX = 16 * MIB
const run = promisify(execFile)

/** A copy of the built files that match, in a separate folder. */
function copyProgram(isSkipped: RegExp = /\.(map|tmp)$|\.test\.js$/): string {
  const copy = mkdtempSync(join(tmpdir(), "hayloft-planted-"))
  for (const folder of ["packages", "sim", "conformance", "tests"]) {
    cpSync(join(ROOT, "dist", folder), join(copy, "dist", folder), {
      recursive: true,
      filter: path => !isSkipped.test(path),
    })
  }
  // Tests read known answers beside their source.
  for (const folder of ["node_modules", "packages"]) symlinkSync(join(ROOT, folder), join(copy, folder))
  writeFileSync(join(copy, "package.json"), JSON.stringify({ type: "module" }))
  return copy
}

/** Returns the sources with the bug; undefined if a text to replace does not occur exactly once. */
function edited(edits: readonly Edit[]): ReadonlyMap<string, string> | undefined {
  const sources = new Map<string, string>()
  for (const { file, find, put } of edits) {
    const source = sources.get(file) ?? readFileSync(join(ROOT, file), "utf8")
    if (source.split(find).length !== 2) return undefined
    sources.set(
      file,
      source.replace(find, () => put),
    )
  }
  return sources
}

/** Returns the files with the bug, as JavaScript. */
function planted(edits: readonly Edit[]): ReadonlyMap<string, string> | undefined {
  const sources = edited(edits)
  if (sources === undefined) return undefined
  return new Map([...sources].map(([file, source]) => [file, transpiled(source, file)]))
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

/** Returns false if the source has changed. Throws if it cannot be parsed with the bug. */
export const fits = (plant: Pick<Plant, "edits">): boolean => planted(plant.edits) !== undefined

export interface Verdict {
  readonly bug: string
  readonly isCaught: boolean
  readonly found: string
}

/** Plants one bug in the copy, returns what `look` finds, and removes it again. */
async function withPlanted(
  program: string,
  { bug, edits }: Pick<Plant, "bug" | "edits">,
  look: () => Promise<Omit<Verdict, "bug">>,
): Promise<Verdict> {
  const changed = planted(edits)
  if (!changed) return { bug, isCaught: false, found: "the source has changed: update the text that this bug replaces" }
  const paths = [...changed].map(([file, text]) => ({
    path: join(program, "dist", file.replace(/\.ts$/, ".js")),
    text,
  }))
  const healthy = paths.map(({ path }) => readFileSync(path))
  try {
    for (const { path, text } of paths) writeFileSync(path, text)
    return { bug, ...(await look()) }
  } finally {
    for (const [i, { path }] of paths.entries()) writeFileSync(path, healthy[i] ?? "")
  }
}

const checkPlant = (program: string, plant: Plant, seeds: readonly string[]): Promise<Verdict> =>
  withPlanted(program, plant, async () => {
    const found = await outcome(program, plant.scenario, seeds)
    const check = found.split(" ")[0]
    return { isCaught: plant.caughtBy.some(name => name === check), found: found.split("\n")[0] ?? "" }
  })

/** The first failed test of a test file; undefined if all pass. */
async function failedTest(program: string, name: string): Promise<string | undefined> {
  const args = ["--test-reporter=tap", join(program, `dist/${name}.test.js`)]
  try {
    const env = { ...process.env, TEST_TIMES: RANDOM_RUN_TIMES }
    await run(process.execPath, args, { env, timeout: RUN_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX })
    return undefined
  } catch (error) {
    const { stdout = "" } = typeof error === "object" && error !== null && "stdout" in error ? error : {}
    return /^not ok .*/m.exec(String(stdout))?.[0] ?? `not ok: ${String(error)}`
  }
}

/** Checks bugs that tests catch, which must pass without them. */
export async function checkTested(
  plants: readonly TestedPlant[],
  report: (verdict: Verdict) => void,
): Promise<readonly Verdict[]> {
  const program = copyProgram(/\.(map|tmp)$/)
  const verdicts: Verdict[] = []
  try {
    for (const file of new Set(plants.map(({ caughtBy }) => caughtBy))) {
      const failed = await failedTest(program, file)
      verdicts.push({ bug: `none (${file})`, isCaught: failed === undefined, found: failed ?? "passed" })
    }
    for (const plant of plants) {
      const look = async () => {
        const failed = await failedTest(program, plant.caughtBy)
        return { isCaught: failed !== undefined, found: `${plant.caughtBy}: ${failed ?? "passed"}` }
      }
      verdicts.push(await withPlanted(program, plant, look))
    }
  } finally {
    rmSync(program, { recursive: true, force: true })
  }
  verdicts.forEach(report)
  return verdicts
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
  const isChosen = ({ bug }: { readonly bug: string }): boolean =>
    words.length === 0 || words.some(word => bug.includes(word))
  const show = ({ bug, isCaught, found }: Verdict): void =>
    void process.stdout.write(`${isCaught ? "OK    " : "MISSED"}  ${bug}\n        ${found}\n`)
  const verdicts = [
    ...(await checkPlants(SCENARIO_PLANTS.filter(isChosen), SEEDS, show)),
    ...(await checkTested(TESTED_PLANTS.filter(isChosen), show)),
  ]
  const missed = verdicts.filter(verdict => !verdict.isCaught)
  // The lines above are many, and a soak keeps the last ones.
  missed.forEach(show)
  process.stdout.write(`${verdicts.length - missed.length} as expected, ${missed.length} missed\n`)
  process.exitCode = missed.length > 0 ? 1 : 0
}
