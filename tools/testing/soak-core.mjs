/**
 * The commands that a soak runs. Pure.
 *
 * Each kind draws from its seed: a run is one command with a fresh seed, which repeats it. `weight`: how often it has its
 * turn, beside the others.
 */

const simulation = (kind, ...more) => ({
  args: seed => ["dist/sim/main.js", "--kind", kind, "--seed", String(seed), ...more],
  repeat: seed => ["npm run sim --", `--kind ${kind}`, `--seed ${seed}`, ...more].join(" "),
})

/** Test files with random values, whose seed is set. `settings`: of how much they do. */
const tests = (path, settings = {}) => ({
  args: () => ["--require", "./tools/plain-tests.cjs", `dist/${path}.test.js`],
  env: seed => ({ ...settings, TEST_SEED: String(seed) }),
  repeat: seed =>
    [...Object.entries(settings).map(([name, value]) => `${name}=${value}`), `npm test -- ${path} --seed ${seed}`].join(
      " ",
    ),
})

const command = (text, ...args) => ({ args: () => args, repeat: () => text })

export const SOAK_KINDS = [
  { name: "storm", weight: 4, ...simulation("storm") },
  { name: "twins", weight: 6, ...simulation("twins") },
  { name: "disks", weight: 4, ...simulation("disks") },
  { name: "cluster", weight: 8, ...simulation("cluster", "--rounds", "1") },
  { name: "long cluster", weight: 2, ...simulation("cluster", "--rounds", "2") },
  { name: "aging", weight: 2, ...simulation("aging") },
  { name: "limits", weight: 2, ...simulation("limits") },
  { name: "histories", weight: 6, ...tests("tests/engines/histories") },
  { name: "histories of PostgreSQL", weight: 2, ...tests("tests/engines/postgres") },
  { name: "simulated database", weight: 3, ...tests("tests/sql/simulated") },
  { name: "crash points of the log", weight: 2, ...tests("tests/crash/log") },
  { name: "crash points of volumes", weight: 2, ...tests("tests/crash/volume") },
  { name: "kills", weight: 2, ...tests("tests/kill/kill") },
  { name: "hostile requests", weight: 2, ...tests("tests/hostile/hostile", { HOSTILE_MUTATIONS: 200 }) },
  { name: "failing disk calls", weight: 2, ...tests("tests/faults/sweep") },
  { name: "policies", weight: 1, ...tests("tests/policies/policies") },
  { name: "suites of three nodes", weight: 1, ...tests("tests/cluster/suites", { TEST_TIMES: 8 }) },
  { name: "drama of disks", weight: 1, ...tests("tests/drama/drama", { TEST_TIMES: 5 }) },
  { name: "drama of nodes", weight: 1, ...tests("tests/drama/nodes-drama", { TEST_TIMES: 6 }) },
  { name: "planted bugs", weight: 0.2, ...command("npm run planted", "dist/sim/planted.js") },
  { name: "mutation", weight: 0.1, ...command("npm run mutation", "tools/mutation.mjs") },
]

/**
 * The kind that has its turn: of those that run less than their weight gives them, the one that is furthest behind.
 * `spentSeconds`: by name, as of all runs so far.
 */
export function nextKind(kinds, spentSeconds) {
  const behind = ({ name, weight }) => (spentSeconds.get(name) ?? 0) / weight
  return [...kinds].sort((a, b) => behind(a) - behind(b))[0]
}

/** One line for each run, so that a log of days can be searched. */
export const lineOf = ({ isWell, kind, seed, seconds, commit, repeat }) =>
  `${isWell ? "ok    " : "failed"}  ${commit}  ${kind}  seed ${seed}  ${Math.round(seconds)} s  ${repeat}`
