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

/** All test files of a class, so that properties without a kind of their own meet fresh seeds, too. */
const testsOfClass = name => ({
  args: seed => ["tools/test.mjs", "--class", name, "--seed", String(seed)],
  repeat: seed => `npm test -- --class ${name} --seed ${seed}`,
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
  { name: "pure tests", weight: 2, ...testsOfClass("pure") },
  { name: "histories", weight: 6, ...tests("tests/engines/histories") },
  { name: "histories of PostgreSQL", weight: 2, ...tests("tests/engines/postgres") },
  { name: "simulated database", weight: 3, ...tests("tests/sql/simulated") },
  { name: "crash points of the log", weight: 2, ...tests("tests/crash/log", { TEST_TIMES: 4 }) },
  { name: "crash points of volumes", weight: 2, ...tests("tests/crash/volume", { TEST_TIMES: 10 }) },
  { name: "crash points of metadata stores", weight: 1, ...tests("tests/crash/table", { TEST_TIMES: 4 }) },
  { name: "kills", weight: 4, ...tests("tests/kill/kill", { TEST_TIMES: 8 }) },
  { name: "kills of table builds", weight: 0.5, ...tests("tests/tables/kills", { TEST_TIMES: 10 }) },
  { name: "kills of appends", weight: 1, ...tests("tests/node/appends", { TEST_TIMES: 10 }) },
  { name: "hostile requests", weight: 2, ...tests("tests/hostile/hostile", { TEST_TIMES: 5 }) },
  { name: "failing disk calls", weight: 2, ...tests("tests/faults/sweep", { TEST_TIMES: 10 }) },
  { name: "rot", weight: 2, ...tests("tests/faults/rot", { TEST_TIMES: 10 }) },
  { name: "repair of rotten metadata stores", weight: 2, ...tests("tests/faults/rot-repair", { TEST_TIMES: 10 }) },
  { name: "sets of lost disks", weight: 1, ...tests("tests/devices/every-subset", { TEST_TIMES: 20 }) },
  { name: "nodes in trouble", weight: 2, ...tests("tests/cluster/cut-off", { TEST_TIMES: 4 }) },
  { name: "a lost zone", weight: 2, ...tests("tests/cluster/zones", { TEST_TIMES: 4 }) },
  { name: "nodes that change", weight: 2, ...tests("tests/cluster/changes", { TEST_TIMES: 4 }) },
  { name: "moves of metadata", weight: 1, ...tests("tests/cluster/convert", { TEST_TIMES: 5 }) },
  {
    name: "moves of metadata, simulated",
    weight: 1,
    ...tests("tests/cluster/convert-interrupted", { TEST_TIMES: 12 }),
  },
  { name: "rescue", weight: 0.5, ...tests("tests/cluster/rescue") },
  { name: "races on PostgreSQL", weight: 1, ...tests("tests/sql/races", { TEST_TIMES: 20 }) },
  { name: "quotas", weight: 0.5, ...tests("tests/sql/quotas", { TEST_TIMES: 10 }) },
  { name: "engines on PostgreSQL", weight: 0.5, ...tests("tests/sql/metadata", { TEST_TIMES: 10 }) },
  { name: "bugs of engines", weight: 0.2, ...tests("tests/engines/planted", { TEST_PLANTS: "all" }) },
  { name: "bugs of the simulated database", weight: 0.2, ...tests("tests/sql/planted", { TEST_PLANTS: "all" }) },
  { name: "policies", weight: 1, ...tests("tests/policies/policies") },
  { name: "steward", weight: 1, ...tests("tests/steward/steward", { TEST_TIMES: 10 }) },
  { name: "sorted tables", weight: 1, ...tests("tests/table/model", { TEST_TIMES: 20 }) },
  { name: "tables on real disks", weight: 0.5, ...tests("packages/engine/src/table/store", { TEST_TIMES: 5 }) },
  { name: "recovery of replicas", weight: 0.5, ...tests("tests/tablet/recovery", { TEST_TIMES: 4 }) },
  {
    name: "remote buckets",
    weight: 1,
    ...tests("packages/features/src/remote-buckets/remote-model", { TEST_TIMES: 10 }),
  },
  { name: "deduplication", weight: 1, ...tests("packages/features/src/dedup/model", { TEST_TIMES: 10 }) },
  {
    name: "upkeep of deduplication",
    weight: 0.5,
    ...tests("packages/features/src/dedup/histories", { TEST_TIMES: 10 }),
  },
  { name: "renames", weight: 0.5, ...tests("packages/objects/src/rename-races", { TEST_TIMES: 10 }) },
  { name: "erasures", weight: 0.5, ...tests("packages/node/src/erase/erasures", { TEST_TIMES: 5 }) },
  { name: "shards", weight: 0.5, ...tests("packages/engine/src/block/shard-store", { TEST_TIMES: 10 }) },
  { name: "scans of shards", weight: 0.2, ...tests("packages/engine/src/block/shard-scan-core", { TEST_TIMES: 10 }) },
  { name: "layouts", weight: 0.2, ...tests("packages/engine/src/placement/next-layout", { TEST_TIMES: 10 }) },
  { name: "capacity of layouts", weight: 0.2, ...tests("packages/engine/src/placement/capacity", { TEST_TIMES: 10 }) },
  { name: "layouts of domains", weight: 0.2, ...tests("packages/engine/src/placement/domains", { TEST_TIMES: 10 }) },
  { name: "control records", weight: 0.2, ...tests("packages/node/src/control/truth", { TEST_TIMES: 5 }) },
  { name: "bugs planted into the steward", weight: 0.1, ...tests("tests/steward/planted", { TEST_PLANTS: "all" }) },
  { name: "bugs planted into tables", weight: 0.1, ...tests("tests/table/planted", { TEST_PLANTS: "all" }) },
  { name: "synchronous answers", weight: 1, ...tests("tests/s3/delays", { TEST_TIMES: 10 }) },
  { name: "bench", weight: 0.2, ...tests("bench/quick", { TEST_BENCH: "all" }) },
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
