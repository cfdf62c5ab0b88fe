/**
 * `npm test`: everything that decides whether a change may land: checks (types, lint, format, layers, documents, site) and all
 * tests. Installs and builds what is stale. Ends with the line `N passed, N failed`, in which each check counts as one.
 *
 *   npm test                     everything
 *   npm test -- queue s3/xml     test files whose path contains one of these
 *   npm test -- --class server   test files of a class: pure, simulation, server, nodes, browser (tools/testing/files.mjs)
 *   npm test -- --quick          checks and the pure tests, for use between two edits
 *   npm test -- --changed        what a change affects: since the merge base with main, or since a commit
 *   npm test -- --changed=REF    (tools/changed.mjs)
 *   npm test -- --check NAME     one check
 *   npm test -w packages/engine [-- WORD …]    one package: its types and its tests, built with the packages it needs
 *   npm test -- … --seed 123     random values from this seed instead of the commit's; `--seed random` draws one
 *   npm test -- … --times 10     ten times as many random runs (packages/base/src/testing-seed.ts)
 *   npm test -- … --record       keeps how long each file took in tools/test-times.json
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { availableParallelism, cpus } from "node:os"
import { join } from "node:path"
import { ensure } from "./ensure.mjs"
import { closureOf, packageNames } from "./packages.mjs"
import { allChecks, checksOfChange, quickChecks, typesOfPackage } from "./testing/checks.mjs"
import { makeCodeCaches } from "./testing/code-caches.mjs"
import { CLASSES, classOf, recordTimes, ROOT, testFiles, unitsOf } from "./testing/files.mjs"
import { beginningText, endText, failureText, showProgress } from "./testing/progress.mjs"
import { killAll, runUnit } from "./testing/run-unit.mjs"
import { nextOf, ordered } from "./testing/schedule-core.mjs"
import { seedOfRun } from "./testing/seed.mjs"

const CORES = availableParallelism()

class UsageError extends Error {}

/** Takes an option with a value out of the arguments. */
function takeValue(args, option) {
  const at = args.indexOf(option)
  if (at < 0) return undefined
  const [, value] = args.splice(at, 2)
  if (value === undefined) throw new UsageError(`${option} needs a value`)
  return value
}

function takeFlag(args, option) {
  const at = args.indexOf(option)
  if (at >= 0) args.splice(at, 1)
  return at >= 0
}

function takeSeed(args) {
  const seed = seedOfRun(takeValue(args, "--seed"))
  if (seed === undefined) throw new UsageError("--seed needs a whole number of at most nine digits, or random")
  process.env.TEST_SEED = seed
  process.stdout.write(`seed ${seed}\n`)
  return seed
}

function takeTimes(args) {
  const named = takeValue(args, "--times")
  if (named === undefined) return
  if (!/^[1-9]\d{0,5}$/.test(named)) throw new UsageError("--times needs a whole number from 1 to 999999")
  process.env.TEST_TIMES = named
}

function takePackage(args) {
  const name = takeValue(args, "--package")
  if (name === undefined || packageNames().includes(name)) return name
  throw new UsageError(`no package ${name}; there are: ${packageNames().join(", ")}`)
}

/** The files whose path contains one of the words, all without words. Throws if a word is in no path. */
function namedBy(words, files) {
  for (const word of words)
    if (!files.some(path => path.includes(word)))
      throw new UsageError(`no test file has ${JSON.stringify(word)} in its path`)
  return words.length === 0 ? files : files.filter(path => words.some(word => path.includes(word)))
}

/** The units of a package; with words, only its test files whose path contains one of them. */
function planOfPackage(name, words) {
  const files = namedBy(
    words,
    testFiles().filter(path => path.startsWith(`dist/packages/${name}/`)),
  )
  return { units: [...(words.length === 0 ? [typesOfPackage(name)] : []), ...unitsOf(files)] }
}

/** The units to run, and how they were chosen: only what a whole run took is remembered. */
async function planOf(args, isRecorded) {
  const kind = takeValue(args, "--class")
  if (kind !== undefined && !CLASSES.includes(kind))
    throw new UsageError(`no class ${kind}; there are: ${CLASSES.join(", ")}`)
  const named = takeValue(args, "--check")
  if (named !== undefined) {
    const check = allChecks().find(({ name }) => name === named)
    if (check === undefined)
      throw new UsageError(
        `no check ${JSON.stringify(named)}; there are: ${allChecks()
          .map(({ name }) => name)
          .join(", ")}`,
      )
    if (args.length > 0 || kind !== undefined) throw new UsageError("--check stands alone, with the name of one check")
    return { units: [check] }
  }
  const [option] = args.filter(arg => arg.startsWith("--"))
  if (option === undefined) {
    const files = namedBy(
      args,
      testFiles().filter(path => kind === undefined || classOf(path) === kind),
    )
    const isWhole = args.length === 0 && kind === undefined
    return { units: [...(isWhole ? allChecks() : []), ...unitsOf(files, { isRecorded })], isWhole }
  }
  if (kind !== undefined) throw new UsageError(`${option} stands alone, not beside --class`)
  if (args.length > 1) throw new UsageError(`${option} stands alone, not beside ${args.filter(arg => arg !== option)}`)
  if (option === "--quick")
    return { units: [...quickChecks(), ...unitsOf(testFiles().filter(path => classOf(path) === "pure"))] }
  const [, ref] = /^--changed(?:=(.+))?$/.exec(option) ?? []
  if (option !== "--changed" && ref === undefined) throw new UsageError(`unknown: ${option}; see tools/test.mjs`)
  const change = (await import("./changed.mjs")).changeIn(ROOT, ref)
  process.stdout.write(`since ${change.commit.slice(0, 12)}: ${change.changed.length} files have changed\n`)
  const built = new Set(change.tests.map(path => join("dist", path.replace(/\.ts$/, ".js"))))
  return {
    units: [...checksOfChange(change), ...unitsOf(testFiles().filter(path => built.has(path)))],
    mayBeEmpty: true,
  }
}

/** How long the last whole run took here. */
const LAST = join(ROOT, ".cache/last-run.json")
function lastRunSeconds() {
  try {
    return JSON.parse(readFileSync(LAST, "utf8")).seconds
  } catch {
    return undefined
  }
}

function rememberRun(seconds) {
  mkdirSync(join(ROOT, ".cache"), { recursive: true })
  writeFileSync(LAST, JSON.stringify({ seconds: Math.round(seconds) }))
}

const secondsOfUnit = ({ class: kind, seconds }) => (kind === "check" ? 60 : seconds)

/** Returns the processor time of all processes of the machine. */
const processorMs = () => cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys, 0)

async function runAll(units, { isWhole, isRecorded }) {
  const began = performance.now()
  const processorBegan = processorMs()
  const seconds = () => (performance.now() - began) / 1000
  const expectedSeconds = isWhole ? lastRunSeconds() : undefined
  const files = units.reduce((sum, unit) => sum + unit.files.length, 0)
  const checks = units.filter(unit => unit.class === "check").length
  process.stdout.write(beginningText({ files, checks, expectedSeconds }))
  const waiting = ordered(units, secondsOfUnit)
  const running = []
  const outcomes = []
  const isFailed = ({ failures }) => failures.length > 0
  const progress = showProgress(process.stdout, () => ({
    done: outcomes.length,
    all: units.length,
    running: running.map(({ name }) => name),
    failed: outcomes.filter(isFailed).length,
    seconds: seconds(),
    expectedSeconds,
  }))
  await new Promise(resolve => {
    const startMore = () => {
      if (waiting.length + running.length === 0) return resolve()
      for (let unit = nextOf(waiting, running, CORES); unit !== undefined; unit = nextOf(waiting, running, CORES)) {
        const begun = unit
        waiting.splice(waiting.indexOf(begun), 1)
        running.push(begun)
        void runUnit(begun).then(outcome => {
          running.splice(running.indexOf(begun), 1)
          outcomes.push(outcome)
          if (isRecorded) recordTimes(outcomes)
          for (const failure of outcome.failures) progress.say(failureText(begun, failure))
          startMore()
        })
      }
    }
    startMore()
  })
  progress.end()
  return { outcomes, seconds: seconds(), processorSeconds: (processorMs() - processorBegan) / 1000 }
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    killAll()
    process.exit(1)
  })
}

const args = process.argv.slice(2)
try {
  const seed = takeSeed(args)
  takeTimes(args)
  const isRecorded = takeFlag(args, "--record")
  const name = takePackage(args)
  await ensure({ dev: true, packages: name && closureOf(name) })
  const {
    units,
    isWhole = false,
    mayBeEmpty = false,
  } = name === undefined ? await planOf(args, isRecorded) : planOfPackage(name, args)
  if (isWhole) makeCodeCaches()
  const { outcomes, ...took } = await runAll(units, { isWhole, isRecorded })
  process.stdout.write(endText(outcomes, { ...took, seed }))
  if (units.length === 0 && !mayBeEmpty) process.stdout.write("no test file was found\n")
  const passed = outcomes.reduce((sum, each) => sum + each.passed, 0)
  const failed = outcomes.reduce((sum, each) => sum + each.failures.length, 0)
  if (isWhole && failed === 0) rememberRun(took.seconds)
  process.stdout.write(`${passed} passed, ${failed} failed\n`)
  process.exitCode = failed > 0 || (passed === 0 && !mayBeEmpty) ? 1 : 0
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}
