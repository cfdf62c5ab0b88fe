/** The test files, each with its class: that of the most that it needs, found from what it imports. */
import { mkdirSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { shareOf } from "./schedule-core.mjs"

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..")

/**
 * In the order in which the most demanding decides:
 *
 * - `browser`: a real browser beside a server.
 * - `nodes`: a PostgreSQL server, mostly with several nodes on it.
 * - `server`: other processes, such as a server or a client.
 * - `simulation`: only this process, and more than a moment: stores in virtual time, sockets, folders, models.
 * - `pure`: beside its source, and does not depend on the machine.
 */
export const CLASSES = ["browser", "nodes", "server", "simulation", "pure"]

const MARKS = [
  ["browser", /from "(?:playwright-core|[^"]*\/harness\/chromium\.js)"/],
  ["nodes", /from "[^"]*(?:harness|client)\/(?:testing-)?(?:postgres|nodes|cluster|patroni)\.js"/],
  [
    "server",
    /from "(?:[^"]*\/harness\/(?!folders|free-port|oidc-provider|collector|planted-copies)[^"]*|(?:node:)?child_process)"/,
  ],
]

/** Modules through which a test accesses more than its own process, or waits for real time. */
export const WORLD =
  /from "(?:node:)?(?:child_process|worker_threads|cluster|net|tls|https?|http2|dgram|fs\/promises|timers\/promises)"/
/** Folders with tests of the machine: the command line and the engine, sockets, and the real seams. */
const WORLDLY =
  /^dist\/packages\/(?:server|cli|client|node\/src(?!\/control|\/config)|(?:protocols\/src\/http|base\/src\/seams))\//
/** These tests drive pure cores with the files of `scenarios/`. */
const SCENARIOS = "dist/tests/scenarios/"

const IMPORT = /from "(\.[^"]+)"/g
/** The product may start processes, which does not say that a test that imports it does; nor what a helper of tests can do besides. */
const isFollowed = path =>
  !/^dist\/(?:sim|tests\/harness)\//.test(path) &&
  (!path.startsWith("dist/packages/") || /\/testing-[^/]*\.js$/.test(path))

const texts = new Map()
function textOf(path) {
  if (!texts.has(path)) texts.set(path, existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), "utf8") : "")
  return texts.get(path)
}

/** The file and the helpers that it imports. */
function helpersOf(path, found = new Set()) {
  if (found.has(path)) return found
  found.add(path)
  for (const [, specifier] of textOf(path).matchAll(IMPORT)) {
    const to = join(dirname(path), specifier)
    if (isFollowed(to)) helpersOf(to, found)
  }
  return found
}

/** The class of a built test file, which is named relative to the root. */
export function classOf(path) {
  const helpers = [...helpersOf(path)].map(textOf)
  const marked = MARKS.find(([, mark]) => helpers.some(text => mark.test(text)))
  if (marked !== undefined) return marked[0]
  const isBeside = path.startsWith("dist/packages/") && !WORLDLY.test(path)
  return (isBeside || path.startsWith(SCENARIOS)) && !WORLD.test(textOf(path)) && timeOf(path) === undefined
    ? "pure"
    : "simulation"
}

/** All built test files, relative to the root. */
export function testFiles() {
  return readdirSync(join(ROOT, "dist"), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith(".test.js"))
    .map(entry => relative(ROOT, join(entry.parentPath ?? entry.path, entry.name)))
    .sort()
}

/**
 * The times of the files that take a while, `[seconds, processorSeconds]`, as measured with two cores. Written by
 * `--record`.
 */
const TIMES = "tools/test-times.json"
const times = JSON.parse(readFileSync(join(ROOT, TIMES), "utf8"))
/** Returns the name of a test file in the source, without its ending; `path`: from the root, or absolute. */
export const nameOf = path =>
  path
    .replace(`${ROOT}/`, "")
    .replace(/^dist\//, "")
    .replace(/\.test\.js$/, "")
export const timedNames = () => Object.keys(times)

/** `{ seconds, processorSeconds }` of a file that takes a while. */
export function timeOf(path) {
  const time = times[nameOf(path)]
  return time && { seconds: time[0], processorSeconds: time[1] }
}

/** Only these are worth a line. */
const RECORDED_SECONDS_MIN = 5

/** The times of units that are one file; those of other files stay. */
export function recordTimes(outcomes) {
  const kept = new Map(Object.entries(times))
  for (const { unit, seconds, processorSeconds } of outcomes) {
    if (unit.files.length !== 1 || processorSeconds === undefined) continue
    if (seconds < RECORDED_SECONDS_MIN) kept.delete(unit.name)
    else kept.set(unit.name, [Math.round(seconds), Math.round(processorSeconds)])
  }
  const lines = [...kept]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, time]) => `  ${JSON.stringify(name)}: [${time.join(", ")}]`)
  writeFileSync(join(ROOT, TIMES), `{\n${lines.join(",\n")}\n}\n`)
}

/**
 * The classes whose files share processes, and into how many: few enough to save processes, small enough to spread over the
 * cores.
 */
const PARTS = { pure: 6, simulation: 12, server: 14, nodes: 4 }
/** Other files are recorded if they take a while, and share no process then. */
const WAITING = ["server", "nodes"]
/** A file that takes longer gains nothing from sharing, and would be in the way of others. */
const SHARED_MOST = { seconds: 60, processorSeconds: 15 }
/** Of a file that is not recorded. */
const USUAL_TIME = { seconds: 3, processorSeconds: 2 }

function isShared({ class: kind, path }) {
  const time = timeOf(path)
  if (!WAITING.includes(kind)) return kind in PARTS && time === undefined
  const { seconds, processorSeconds } = time ?? USUAL_TIME
  return seconds <= SHARED_MOST.seconds && processorSeconds <= SHARED_MOST.processorSeconds
}

/**
 * The test files as the units that run. To start a process and to load the modules costs more than most tests do, so files
 * are bundled if there are many. `{ name, class, path, files, share, seconds }`; `isRecorded`: those whose time may be recorded are not.
 */
export function unitsOf(files, { isRecorded = false } = {}) {
  const classed = files.map(path => {
    const kind = classOf(path)
    const time = timeOf(path)
    const seconds = time?.seconds ?? 0
    return { name: nameOf(path), class: kind, path, files: [path], share: shareOf(kind, time), seconds }
  })
  const isSmall = unit => isShared(unit) && !(isRecorded && WAITING.includes(unit.class))
  const small = kind => classed.filter(unit => unit.class === kind && isSmall(unit))
  return [
    ...classed.filter(unit => !isSmall(unit)),
    ...Object.keys(PARTS).flatMap(kind =>
      small(kind).length > PARTS[kind] ? bundled(kind, small(kind)) : small(kind),
    ),
  ]
}

/** Distributes the units over parts of about the same time. */
function distributed(units, parts) {
  const found = Array.from({ length: parts }, () => ({ paths: [], seconds: 0, processorSeconds: 0 }))
  for (const { path } of [...units].sort((a, b) => b.seconds - a.seconds)) {
    const { seconds, processorSeconds } = timeOf(path) ?? USUAL_TIME
    const least = found.reduce((a, b) => (b.seconds < a.seconds ? b : a))
    least.paths.push(path)
    least.seconds += seconds
    least.processorSeconds += processorSeconds
  }
  return found
}

function bundled(kind, units) {
  const folder = ".cache/parts"
  mkdirSync(join(ROOT, folder), { recursive: true })
  return distributed(units, PARTS[kind]).map(({ paths, ...time }, i) => {
    const path = join(folder, `${kind}-${i}.mjs`)
    const absolute = paths.map(each => join(ROOT, each))
    const runner = JSON.stringify(join(ROOT, "tools/testing/part.mjs"))
    const text = WAITING.includes(kind)
      ? `import { runPart } from ${runner}\nawait runPart(${JSON.stringify(absolute, undefined, 2)})\n`
      : absolute.map(each => `await import(${JSON.stringify(each)})\n`).join("")
    writeFileSync(join(ROOT, path), text)
    const name = `${kind} tests, part ${i + 1} of ${PARTS[kind]}`
    const share = shareOf(kind, WAITING.includes(kind) ? time : undefined)
    return { name, class: kind, path, files: paths, share, seconds: time.seconds }
  })
}
