/**
 * Runs a unit, test files in a process of their own or a check, and returns its outcome:
 * `{ unit, seconds, processorSeconds, passed, skipped: [{ name, why }], failures: [{ name, file, text }] }`.
 *
 * Promises  A unit that ends without success, before its tests, or without any test, has a failure, whatever it printed. Its
 *           processes end with it: all that it has started and that has not left its process group is killed.
 * Limits    `UNIT_MS_MAX`; a unit that takes longer fails. `OUTPUT_SHOWN` of what it printed last.
 */
import { spawn } from "node:child_process"
import { mkdirSync, existsSync, readFileSync, rmSync } from "node:fs"
import { constants, setPriority } from "node:os"
import { join } from "node:path"
import { hasCodeCaches, SHORT_LIVED, WITH_CODE_CACHES } from "./code-caches.mjs"
import { NEW_NODE_PROGRAM } from "../ensure.mjs"
import { ROOT } from "./files.mjs"

/** A unit takes up to four minutes on an idle machine. */
const UNIT_MS_MAX = 20 * 60_000
const OUTPUT_SHOWN = 20_000
const PLAIN_TESTS = join(ROOT, "tools/plain-tests.cjs")
const REPORTER = join(ROOT, "tools/testing/reporter.mjs")

/**
 * Tests that only compute keep all cores busy: V8 collects their garbage more cheaply on the one thread than on several, and
 * a heap that may be large from the beginning is seldom collected as a whole. An eighth less processor time. The newest Node
 * that is supported takes another eighth off.
 */
const COMPUTING = ["--no-concurrent-marking", "--initial-heap-size=512"]

/** A port of this machine on which no process listens. */
const NOWHERE = "http://127.0.0.1:9"
const HERE = "127.0.0.1,::1,localhost,.localhost"

/**
 * Processes of tests connect only to this machine: other requests go to a proxy that does not exist. They are short-lived,
 * and the tools of the project find each other as under npm. They know none of the machine's additional certificates: each
 * process of Node would read the file at its start, which takes longer than the rest of it.
 */
export function environment() {
  const proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap(name => [name, name.toLowerCase()])
  return {
    ...process.env,
    // Servers have the threads that their tests want, whatever the machine is.
    HAYLOFT_THREADS: "0",
    NODE_EXTRA_CA_CERTS: undefined,
    ...(hasCodeCaches() ? WITH_CODE_CACHES : {}),
    ...Object.fromEntries(proxies.map(name => [name, NOWHERE])),
    NO_PROXY: HERE,
    no_proxy: HERE,
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --require ${JSON.stringify(SHORT_LIVED)}`,
    PATH: `${join(ROOT, "node_modules/.bin")}:${process.env.PATH ?? ""}`,
  }
}

const TICKS_PER_SECOND = 100

/** The processor time of all processes that have ended, of this one and of those that it has started. Linux. */
function endedSeconds() {
  try {
    const fields = readFileSync("/proc/self/stat", "utf8")
      .replace(/^.*\) /, "")
      .split(" ")
    return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND
  } catch {
    return undefined
  }
}

/** The processor time up to the latest end of a unit. */
let countedSeconds = endedSeconds()

/** The processor time of a unit that ends now. Two that end in the same moment share theirs. */
function takeSeconds() {
  const nowSeconds = endedSeconds()
  const spent = nowSeconds === undefined ? undefined : nowSeconds - countedSeconds
  countedSeconds = nowSeconds
  return spent
}

const running = new Set()

/** Ends all units at once. */
export function killAll() {
  for (const child of running) killGroup(child)
}

function killGroup({ pid }) {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL")
  } catch {
    // It has ended.
  }
}

/**
 * Runs a program of Node; resolves with its exit code, or why it has none, and the end of its output. `isModest`: others
 * that need the processor come first.
 */
export function runNode(args, options = {}) {
  const { program = process.execPath, isModest = false, env = process.env, msMax = UNIT_MS_MAX } = options
  return new Promise(resolve => {
    const child = spawn(program, args, { cwd: ROOT, env, detached: true, stdio: ["ignore", "pipe", "pipe"] })
    running.add(child)
    if (isModest && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL)
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8")
      stream.on("data", text => {
        output = (output + text).slice(-OUTPUT_SHOWN)
        if (process.env.TEST_VERBOSE) process.stdout.write(text)
      })
    }
    let why
    const timer = setTimeout(() => {
      why = `it took longer than ${msMax / 1000} s`
      killGroup(child)
    }, msMax)
    const end = result => {
      clearTimeout(timer)
      running.delete(child)
      killGroup(child)
      resolve({ ...result, output })
    }
    child.on("error", error => end({ why: String(error) }))
    child.on("exit", (code, signal) => {
      const processorSeconds = takeSeconds()
      // Others may have its output open for ever.
      setTimeout(
        () => end({ why: why ?? (code === null ? `it was ended by ${signal}` : undefined), code, processorSeconds }),
        50,
      )
    })
  })
}

let number = 0

async function runFiles(unit, msMax) {
  const folder = join(ROOT, ".cache/results")
  mkdirSync(folder, { recursive: true })
  number += 1
  const results = join(folder, `${process.pid}-${number}.jsonl`)
  const reporting = [`--test-reporter=${REPORTER}`, `--test-reporter-destination=${results}`]
  const computes = unit.class === "pure" || unit.class === "simulation"
  const flags = computes ? COMPUTING : []
  // Servers run under the Node that npm has, the oldest that is supported where it matters.
  const program = computes && existsSync(NEW_NODE_PROGRAM) ? NEW_NODE_PROGRAM : undefined
  const outcome = await runNode([...flags, "--require", PLAIN_TESTS, ...reporting, unit.path], {
    program,
    env: environment(),
    isModest: computes,
    msMax,
  })
  const lines = existsSync(results) ? readFileSync(results, "utf8").split("\n") : []
  rmSync(results, { force: true })
  // The last line of a process that was killed may be incomplete.
  const found = lines.filter(line => line.endsWith("}")).map(line => JSON.parse(line))
  const failures = found
    .filter(({ kind }) => kind === "failed" || kind === "stray")
    .map(({ name, file, error = "" }) => ({ name, file, text: error }))
  const isWell = outcome.code === 0 && outcome.why === undefined
  const isEmpty = found.every(({ kind }) => kind === "end")
  if (!isWell && failures.length === 0)
    failures.push({ name: outcome.why ?? `the file ended with exit code ${outcome.code}`, text: outcome.output })
  else if (isWell && isEmpty) failures.push({ name: "the file has no test", text: outcome.output })
  else if (isWell && found.at(-1)?.kind !== "end")
    failures.push({ name: "something ended the process before all tests had ended", text: outcome.output })
  return {
    passed: found.filter(({ kind }) => kind === "passed").length,
    skipped: found.filter(({ kind }) => kind === "skipped"),
    failures,
    processorSeconds: outcome.processorSeconds,
  }
}

async function runCheck({ name, args }) {
  // A checker written in Go collects its garbage less often: a fourth less processor time for a tenth more memory.
  const env = { ...environment(), GOGC: "400" }
  const { code, why, output, processorSeconds } = await runNode(args, { isModest: true, env })
  const failures = code === 0 && why === undefined ? [] : [{ name: why ?? name, text: output }]
  return { passed: failures.length === 0 ? 1 : 0, skipped: [], failures, processorSeconds }
}

export async function runUnit(unit, msMax = UNIT_MS_MAX) {
  const began = performance.now()
  const outcome = await (unit.class === "check" ? runCheck(unit) : runFiles(unit, msMax))
  return { unit, seconds: (performance.now() - began) / 1000, ...outcome }
}
