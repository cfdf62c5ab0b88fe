/**
 * Turns: the checks of a landing have to end in time, and all slow files together do not. Each commit runs a part of them,
 * which its hash chooses; `npm test` runs all. With less to do there will be fewer parts, and in the end one.
 */
import { spawnSync } from "node:child_process"
import { ROOT, timeOf } from "./files.mjs"

/** Every turn has these: what they find is worst. */
const ALWAYS = [
  "sim/cluster/cluster",
  "tests/kill/kill",
  "tests/conformance",
  "tests/crash/log",
  "tests/cluster/database-trouble",
  "tests/cluster/cut-off",
]
/** Files that take as long take turns. */
const SLOW_SECONDS_MIN = 10
/** The processor time of the slow files of one part, together. */
const PART_PROCESSOR_SECONDS = 1_500
const USUAL_SHARE = 0.6

const processorSecondsOf = ({ seconds, processorSeconds = seconds * USUAL_SHARE }) => processorSeconds

/** `{ parts, partOf }`: the number of parts, and the part of a file; undefined: every turn has it. `files` in any order. */
export function partsOf(files) {
  const slow = files
    .filter(({ name, time }) => time !== undefined && time.seconds >= SLOW_SECONDS_MIN && !ALWAYS.includes(name))
    .sort((a, b) => processorSecondsOf(b.time) - processorSecondsOf(a.time) || (a.name < b.name ? -1 : 1))
  const all = slow.reduce((sum, { time }) => sum + processorSecondsOf(time), 0)
  const parts = Math.max(1, Math.ceil(all / PART_PROCESSOR_SECONDS))
  // Back and forth, so that the parts weigh the same.
  const placeOf = i => (Math.floor(i / parts) % 2 === 0 ? i % parts : parts - 1 - (i % parts))
  const chosen = new Map(slow.map(({ name }, i) => [name, placeOf(i)]))
  return { parts, partOf: name => chosen.get(name) }
}

/** The units of the turn of this commit, and a line that says which it is. */
export function takeTurn(units) {
  const { parts, partOf } = partsOf(units.map(({ name, path }) => ({ name, time: path && timeOf(path) })))
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD"], { cwd: ROOT, encoding: "utf8" })
  const turn = status === 0 ? Number.parseInt(stdout.slice(0, 8), 16) % parts : 0
  const isIn = ({ name }) => partOf(name) === undefined || partOf(name) === turn
  return {
    units: units.filter(isIn),
    line: `part ${turn + 1} of ${parts} of the slow test files; npm test runs all of them\n`,
  }
}
