/**
 * Test runner: builds, then runs every `*.test.js` below dist/ (or those whose path contains one of the given
 * words) with Node's own runner, and ends with the line `N passed, N failed`.
 *
 *   npm test                    everything
 *   npm test -- tablet s3/xml   only files whose path contains one of these
 *   npm test -- --seed 123      random values from another seed; `--seed random` generates one and prints it
 */
import { spawnSync } from "node:child_process"
import { randomInt } from "node:crypto"
import { run } from "node:test"
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const FILE_TIMEOUT_MS = 10 * 60_000
const SLOWEST_SHOWN = 12
const CORES = 2
/** One more than cores: tests that start servers wait about as long as they compute. */
const CONCURRENCY = CORES + 1
const PLAIN_TESTS = join(ROOT, "tools/plain-tests.cjs")

/** A port of this machine on which no process listens. */
const NOWHERE = "http://127.0.0.1:9"
const HERE = "127.0.0.1,::1,localhost,.localhost"

/** Processes of tests connect only to this machine: other requests go to a proxy that does not exist. */
function stayHere() {
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]) {
    process.env[name] = process.env[name.toLowerCase()] = NOWHERE
  }
  process.env["NO_PROXY"] = process.env["no_proxy"] = HERE
}

function ensureReady() {
  return import("./ensure.mjs").then(({ ensure }) => ensure({ dev: true }))
}

/**
 * Test files of 10 s and more, the slowest first. `always`: every whole run includes them; they start first, so that no core is
 * idle at the end. `inTurn`: `npm run check` runs one of `TURNS` parts of them, chosen by the commit, so that a few commits run
 * all. TEST_TURN=all runs all of them, as `npm test` does.
 */
const { always: ALWAYS, inTurn: IN_TURN } = JSON.parse(readFileSync(join(ROOT, "tools/slow-tests.json"), "utf8"))
const TURNS = 10

const fileOf = name => `dist/${name}.test.js`
export const LONGEST = [...IN_TURN, ...ALWAYS].map(fileOf)

/** Which part of `IN_TURN` this run includes; undefined: all. */
function turnNow() {
  const asked = process.env["TEST_TURN"]
  if (asked === "all") return undefined
  if (asked !== undefined) return Number(asked) % TURNS
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD"], { cwd: ROOT, encoding: "utf8" })
  return status === 0 ? Number.parseInt(stdout.slice(0, 8), 16) % TURNS : undefined
}

/** The files of a whole check: without those that have their turn at another commit. */
function inTurn(files) {
  const turn = turnNow()
  if (turn === undefined) return files
  const others = new Set(IN_TURN.filter((_, i) => i % TURNS !== turn).map(fileOf))
  process.stdout.write(`part ${turn + 1} of ${TURNS} of the slowest test files; TEST_TURN=all runs all of them\n`)
  return files.filter(file => !others.has(relative(ROOT, file)))
}

/** Returns the files, the slowest first. */
function longestFirst(files) {
  const place = file => LONGEST.indexOf(relative(ROOT, file)) + 1 || LONGEST.length + 1
  return [...files].sort((a, b) => place(a) - place(b))
}

export function testFiles(words = []) {
  return readdirSync(join(ROOT, "dist"), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith(".test.js"))
    .map(entry => join(entry.parentPath ?? entry.path, entry.name))
    .filter(path => words.length === 0 || words.some(word => relative(ROOT, path).includes(word)))
    .sort()
}

/** Modules through which a test accesses more than its own process, or waits for real time. */
export const WORLD =
  /from "(?:node:)?(?:child_process|worker_threads|cluster|net|tls|https?|http2|dgram|fs\/promises|timers\/promises)"/
/** Folders with tests of the machine: the command line and the engine, sockets, and the real seams. */
const WORLDLY = /^dist\/src\/(?:main|cli|client|rescue|node(?!\/control)|http|seams)\//

/** These tests drive pure cores with the files of `scenarios/`. */
const SCENARIOS = "dist/tests/scenarios/"

/**
 * The pure tests: tests beside their source in src/, outside of folders with tests of the machine, that do not
 * import processes, threads, sockets, folders or real time; without slow ones. Also the scenarios.
 */
export const pureTestFiles = () =>
  testFiles().filter(path => {
    const from = relative(ROOT, path)
    const isBeside = from.startsWith("dist/src/") && !WORLDLY.test(from) && !LONGEST.includes(from)
    return (isBeside || from.startsWith(SCENARIOS)) && !WORLD.test(readFileSync(path, "utf8"))
  })

/** Bundles the test files into a few files: a process for each test file costs more than most of their tests. */
export function bundled(files, count = CORES) {
  const folder = join(ROOT, ".cache/quick")
  mkdirSync(folder, { recursive: true })
  return Array.from({ length: count }, (_, part) => {
    const path = join(folder, `part-${part}.mjs`)
    const lines = files.filter((_, i) => i % count === part).map(file => `await import(${JSON.stringify(file)})\n`)
    writeFileSync(path, lines.join(""))
    return path
  })
}

/** Parts of the pure tests in the whole check: few enough to save processes, small enough to spread over workers. */
const PARTS = 4

/** The test files of a whole run, with the pure ones bundled. */
export function wholeRun() {
  const pure = new Set(pureTestFiles())
  return [...inTurn(testFiles().filter(file => !pure.has(file))), ...bundled([...pure], PARTS)]
}

const SEED_LIMIT = 1_000_000

/** Removes `--seed N` or `--seed random` from the arguments, and passes it to the tests. */
export function takeSeed(args) {
  const at = args.indexOf("--seed")
  if (at < 0) return args
  const named = args[at + 1] ?? ""
  const seed = named === "random" ? String(randomInt(SEED_LIMIT)) : named
  if (!/^\d{1,9}$/.test(seed)) throw new Error("--seed needs a whole number of at most nine digits, or random")
  process.env.TEST_SEED = seed
  process.stdout.write(`seed ${seed}\n`)
  return args.filter((_, i) => i !== at && i !== at + 1)
}

/** Node reports an uncaught error as a diagnostic, since it cannot attribute it to a test. */
const isStray = ({ message }) => message.startsWith("Error: A resource generated asynchronous activity")

function describe(event) {
  const error = event.details.error
  const cause = error?.cause ?? error
  return `not ok  ${event.file ? relative(ROOT, event.file) + "  " : ""}${event.name}\n${cause?.stack ?? cause}\n`
}

/** Runs the files, prints failures as they happen and a summary at the end; resolves with the counts. */
export async function runTests(files) {
  stayHere()
  // Node passes its own arguments to the processes of test files.
  if (!process.execArgv.includes(PLAIN_TESTS)) process.execArgv.push("--require", PLAIN_TESTS)
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const tookMs = new Map()
  const started = performance.now()
  for await (const { type, data } of run({
    files: longestFirst(files),
    concurrency: CONCURRENCY,
    timeout: FILE_TIMEOUT_MS,
  })) {
    if ((type === "test:pass" || type === "test:fail") && data.nesting === 0 && data.file) {
      tookMs.set(data.file, (tookMs.get(data.file) ?? 0) + data.details.duration_ms)
    }
    if (type === "test:pass" && data.details.type !== "suite") counts[data.skip ? "skipped" : "passed"] += 1
    if (type === "test:pass" && data.skip) process.stdout.write(`skipped  ${data.name}: ${data.skip}\n`)
    if (type === "test:fail" && !/subtests? failed/.test(data.details.error?.message ?? "")) {
      counts.failed += 1
      process.stdout.write(describe(data))
    }
    if (type === "test:diagnostic" && isStray(data)) process.stdout.write(`${data.message}\n`)
    if (type === "test:stderr" && process.env["TEST_VERBOSE"]) process.stdout.write(data.message)
    if (type === "test:stdout" && process.env["TEST_VERBOSE"]) process.stdout.write(data.message)
  }
  const seconds = Math.round((performance.now() - started) / 1000)
  process.stdout.write(
    `${files.length} test files in ${seconds} s${counts.skipped ? `, ${counts.skipped} skipped` : ""}\n`,
  )
  const slowest = [...tookMs].sort((a, b) => b[1] - a[1]).slice(0, SLOWEST_SHOWN)
  const shown = slowest.map(([file, ms]) => `${relative(ROOT, file).replace(/^dist./, "")} ${Math.round(ms / 1000)} s`)
  process.stdout.write(`slowest: ${shown.join(", ")}\n`)
  return counts
}

export const closingLine = ({ passed, failed }) => `${passed} passed, ${failed} failed\n`

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const words = takeSeed(process.argv.slice(2))
  await ensureReady()
  const counts = await runTests(testFiles(words))
  process.stdout.write(closingLine(counts))
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0
}
