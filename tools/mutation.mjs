/**
 * `npm run mutation`: the mutation score of the pure cores.
 *
 * StrykerJS changes the cores one place at a time; a change (a mutant) is killed if a pure test fails or does not end.
 * Prints the score of each core, of each module, and in total; fails below the bound in
 * `tools/mutation/cores.json`, which also lists the cores. Strings are not changed: messages are not decisions, and
 * the compiler rejects wrong tags.
 *
 *   npm run mutation                     all cores, a module at a time
 *   npm run mutation -- cluster jobs/    cores whose path contains one of the words
 *   npm run mutation -- --jobs 1         with one process instead of one for each processor
 *
 * The mutants that survived or timed out are in `.cache/mutation/<module>.txt`, and with their source in
 * `.cache/mutation/<module>.html`.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join, relative } from "node:path"
import { CONFIG, coreModules } from "./mutation/cores.mjs"
import { ROOT } from "./lint/paths.mjs"

const REPORTS = ".cache/mutation"
const RUN_TIMEOUT_MS = 10_000
const say = text => process.stdout.write(text)

function optionsOf({ module, cores, tests }, jobs) {
  return {
    testRunner: "in-process",
    plugins: [join(ROOT, "tools/mutation/runner.mjs")],
    hayloft: { cores, tests },
    warnings: { unknownOptions: false },
    mutate: cores,
    mutator: { excludedMutations: ["StringLiteral"] },
    coverageAnalysis: "perTest",
    ignorePatterns: ["**", "!packages/**/*.ts", "!tests/**/*.ts", "!package.json"],
    concurrency: jobs,
    timeoutMS: RUN_TIMEOUT_MS,
    tempDirName: `${REPORTS}/sandbox`,
    cleanTempDir: "always",
    checkers: [],
    reporters: ["html", process.stdout.isTTY ? "progress" : "progress-append-only"],
    htmlReporter: { fileName: `${REPORTS}/${module}.html` },
    logLevel: "warn",
    fileLogLevel: "off",
    allowConsoleColors: false,
  }
}

/** Mutants that cannot run are excluded from the score. */
function countsOf(mutants) {
  const of = (...statuses) => mutants.filter(({ status }) => statuses.includes(status)).length
  return { killed: of("Killed", "Timeout"), survived: of("Survived"), uncovered: of("NoCoverage") }
}

const percentOf = ({ killed, survived, uncovered }) => (100 * killed) / Math.max(killed + survived + uncovered, 1)

function line(name, counts) {
  const percent = percentOf(counts).toFixed(1).padStart(5)
  const { killed, survived, uncovered } = counts
  return `${percent} %  ${name}: ${killed} killed, ${survived} survived, ${uncovered} without a test\n`
}

const survivorText = ({ fileName, location, status, mutatorName, replacement }) => {
  const { line: at, column } = location.start
  return `${relative(ROOT, fileName)}:${at}:${column} ${status} ${mutatorName}: ${replacement.replaceAll(/\s+/g, " ")}\n`
}

async function scoreOf(module, jobs) {
  const { Stryker } = await import("@stryker-mutator/core")
  const mutants = await new Stryker(optionsOf(module, jobs)).runMutationTest()
  const left = mutants.filter(({ status }) => ["Survived", "NoCoverage", "Timeout"].includes(status))
  writeFileSync(join(ROOT, REPORTS, `${module.module}.txt`), left.map(survivorText).join(""))
  for (const core of module.cores)
    say(line(core, countsOf(mutants.filter(({ fileName }) => relative(ROOT, fileName) === core))))
  say(line(`all of ${module.module}`, countsOf(mutants)))
  return mutants
}

function argumentsOf(args) {
  const at = args.indexOf("--jobs")
  if (at < 0) return { words: args, jobs: availableParallelism() }
  const jobs = Number(args[at + 1])
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error("--jobs needs a whole number of at least 1")
  return { words: args.filter((_, i) => i !== at && i !== at + 1), jobs }
}

process.chdir(ROOT)
const { words, jobs } = argumentsOf(process.argv.slice(2))
const modules = coreModules(words)
if (modules.length === 0) throw new Error(`no core has a path that contains ${words.join(" or ")}`)
mkdirSync(REPORTS, { recursive: true })
const mutants = []
for (const module of modules) mutants.push(...(await scoreOf(module, jobs)))
const total = countsOf(mutants)
say(line("total", total))
if (percentOf(total) < CONFIG.killedPercentMin) {
  say(`below the bound of ${CONFIG.killedPercentMin} %\n`)
  process.exitCode = 1
}
