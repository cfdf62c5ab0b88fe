/**
 * `npm run soak -- --hours H`: fresh seeds of everything that draws, until the time is over: storms of one process and of
 * clusters, twins, damaged disks, histories of both engines, crash points, kills, hostile requests, planted bugs, mutation.
 *
 *   --hours H, --seconds S   how long; a run that has begun is still finished
 *   --seed N                 the first seed; drawn and printed if absent
 *   --kind NAME              only this kind
 *   --at-once N              runs at the same time; as many as there are cores if absent
 *
 * Prints a line for each run, also into `.cache/soak/log`, and for each failure what repeats it; its output is in a file
 * beside. Ends with `N runs, M failed`, and with 1 if one failed. Other programs that need the processor come first.
 */
import { spawnSync } from "node:child_process"
import { randomInt } from "node:crypto"
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { ensure } from "./ensure.mjs"
import { ROOT } from "./testing/files.mjs"
import { environment, killAll, runNode } from "./testing/run-unit.mjs"
import { lineOf, nextKind, SOAK_KINDS } from "./testing/soak-core.mjs"

const FOLDER = join(ROOT, ".cache/soak")
const SEEDS = 1_000_000
/** Planted bugs and mutation take hours, each. */
const RUN_MS_MAX = 12 * 3_600_000

const usage = message => {
  process.stderr.write(`soak: ${message}\n`)
  process.exit(2)
}

function parse() {
  const text = { type: "string" }
  try {
    return parseArgs({ options: { hours: text, seconds: text, seed: text, kind: text, "at-once": text } }).values
  } catch (error) {
    return usage(error.message)
  }
}

const { hours, seconds, seed: firstSeed = String(randomInt(SEEDS)), kind: only, ...further } = parse()
const atOnce = Number(further["at-once"] ?? availableParallelism())
const durationMs = (Number(hours ?? 0) * 3_600 + Number(seconds ?? 0)) * 1_000
if (!(durationMs > 0)) usage("say how long: --hours H or --seconds S")
if (!(Number.isInteger(atOnce) && atOnce > 0)) usage("--at-once is a whole number from 1")
if (!/^\d{1,9}$/.test(firstSeed)) usage("--seed is a whole number of at most nine digits")
const kinds = SOAK_KINDS.filter(({ name }) => only === undefined || name === only)
if (kinds.length === 0) usage(`no kind "${only}"; there are: ${SOAK_KINDS.map(({ name }) => name).join(", ")}`)

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    killAll()
    process.exit(1)
  })
}

await ensure({ dev: true })
mkdirSync(FOLDER, { recursive: true })
const commit = spawnSync("git", ["rev-parse", "--short=12", "HEAD"], { cwd: ROOT, encoding: "utf8" }).stdout.trim()
process.stdout.write(`soak: ${durationMs / 1_000} s from seed ${firstSeed}, at ${commit}\n`)

const untilMs = performance.now() + durationMs
const spentSeconds = new Map()
let [nextSeed, runs, failed] = [Number(firstSeed), 0, 0]

async function runOne(kind) {
  const seed = nextSeed
  nextSeed += 1
  const began = performance.now()
  // So that another worker takes another kind.
  const spend = more => spentSeconds.set(kind.name, (spentSeconds.get(kind.name) ?? 0) + more)
  spend(1)
  const env = { ...environment(), ...kind.env?.(seed) }
  const { code, why, output } = await runNode(kind.args(seed), { isModest: true, env, msMax: RUN_MS_MAX })
  const tookSeconds = (performance.now() - began) / 1_000
  spend(tookSeconds)
  const isWell = code === 0 && why === undefined
  runs += 1
  const line = lineOf({ isWell, kind: kind.name, seed, seconds: tookSeconds, commit, repeat: kind.repeat(seed) })
  process.stdout.write(`${line}\n`)
  appendFileSync(join(FOLDER, "log"), `${new Date().toISOString()}  ${line}\n`)
  if (isWell) return
  failed += 1
  const file = join(FOLDER, `${commit}-${kind.name.replaceAll(" ", "-")}-${seed}.txt`)
  writeFileSync(file, `${line}\n${why ?? ""}\n${output}`)
  process.stdout.write(`        its output: ${file}\n`)
}

async function work() {
  while (performance.now() < untilMs) await runOne(nextKind(kinds, spentSeconds))
}

await Promise.all(Array.from({ length: atOnce }, work))
process.stdout.write(`${runs} runs, ${failed} failed\n`)
process.exitCode = failed > 0 ? 1 : 0
