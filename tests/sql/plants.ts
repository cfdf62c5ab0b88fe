/**
 * Bugs planted into the SQL engine and into the statements of the simulated database, each with the check that must
 * catch it. The product contains none of them: `planted.test.ts` builds a changed copy.
 */
import type { SqlPlant } from "./plant.js"
import { TIMESTAMP_PLANTS } from "./timestamp-plants.js"

const statements = "packages/engine/src/sql/simulated/statements.ts"
const lane = "packages/engine/src/sql/lane.ts"

export const SQL_PLANTS: readonly SqlPlant[] = [
  ...TIMESTAMP_PLANTS,
  {
    bug: "the versions of rows that were only read are not compared",
    edits: [{ file: statements, find: 'if (!(await lockRows(on, expected, "share"))) return "conflict"', put: "" }],
    caughtBy: "oneStays",
  },
  {
    bug: "the versions of rows that are changed are not compared",
    edits: [
      {
        file: statements,
        find: "const matches = ({ version }: SimulatedRow): boolean => version === row.version",
        put: 'const matches = ({ version }: SimulatedRow): boolean => mode === "exclusive" || version === row.version',
      },
    ],
    caughtBy: "eachChangeOnce",
  },
  {
    bug: "a version counts the changes of its row: a row deleted and made again looks unchanged",
    edits: [
      {
        file: statements,
        find: "tables.rows.replace(transaction, found, { family, key, version, value, head, payload })",
        put: "tables.rows.replace(transaction, found, { family, key, version: found.row.version + 1n, value, head, payload })",
      },
      {
        file: statements,
        find: "tables.rows.insert(transaction, { ...row, version })",
        put: "tables.rows.insert(transaction, { ...row, version: 1n })",
      },
    ],
    caughtBy: "eachChangeOnce",
  },
  {
    bug: "the lane's number is not compared",
    edits: [{ file: statements, find: "row.number === from.number && ", put: "" }],
    caughtBy: "eachChangeOnce",
  },
  {
    bug: "the lane's number is not advanced",
    edits: [
      {
        file: statements,
        find: "{ ...row, number: row.number + 1n, committed: lastUs }",
        put: "{ ...row, committed: lastUs }",
      },
    ],
    caughtBy: "eachChangeOnce",
  },
  {
    bug: "the outcome of a lost commit is read",
    edits: [
      {
        file: lane,
        find: "session => session.resolve(this.id)",
        put: "async session => (await session.fetch({ lane: this.id, keys: [], ranges: [], counters: [], usage: [] })).lane",
      },
      { file: lane, find: "this.number = state.number + RESOLVE_JUMP", put: "this.number = state.number" },
    ],
    caughtBy: "eachChangeOnce",
  },
  {
    bug: "a lane whose outcome was resolved twice is over",
    edits: [{ file: lane, find: "ahead % RESOLVE_JUMP !== 0n", put: "ahead !== 0n" }],
    caughtBy: "eachChangeOnce",
  },
  {
    bug: "the generation is not increased in the lanes of one process",
    edits: [
      {
        file: statements,
        find: "row => !row.isEnded,\n    row => ({\n",
        put: "row => !row.isEnded && (row.incarnation % 2 === 1 || row.incarnation === lane.incarnation),\n    row => ({\n",
      },
    ],
    caughtBy: "closedStaysClosed",
  },
  {
    bug: "the generation is not compared",
    edits: [{ file: statements, find: "row.generation === from.generation && !row.isEnded", put: "!row.isEnded" }],
    caughtBy: "closedStaysClosed",
  },
  {
    bug: "a change of the generation misses an incarnation that begins meanwhile",
    edits: [{ file: statements, find: " && hasSameLanes(row)", put: "" }],
    caughtBy: "closedStaysClosed",
  },
  {
    bug: "an ended incarnation commits",
    edits: [
      {
        file: statements,
        find: " && row.generation === from.generation && !row.isEnded",
        put: " && row.generation === from.generation",
      },
    ],
    caughtBy: "endedIsOver",
  },
  {
    bug: "two incarnations of a node begin at the same time, and both live",
    edits: [
      {
        file: statements,
        find: "row => row.lastIncarnation === highest",
        put: "() => true",
      },
    ],
    caughtBy: "endedIsOver",
  },
  {
    bug: "a process takes its own incarnation, whose begin was not answered, for that of another one",
    edits: [{ file: "packages/engine/src/sql/sql-metadata.ts", find: " && process !== own.process", put: "" }],
    caughtBy: "beginsAgain",
  },
  {
    bug: "rows that are missing are fetched alone: a decision sees two moments",
    edits: [
      {
        file: lane,
        find: "for (let fetches = 0; fetches < SQL_LIMITS.fetchesMax; fetches += 1) {\n        const found = await this.fetch(untilMs, wants)",
        put: `let earlier: Fetched | undefined
    for (let fetches = 0; fetches < SQL_LIMITS.fetchesMax; fetches += 1) {
      const newest = await this.fetch(untilMs, wants)
      const rows = newest.rows.map((row, at) => (earlier !== undefined && at < earlier.rows.length ? earlier.rows[at] : row))
      const found = { ...newest, rows }
      earlier = found`,
      },
    ],
    caughtBy: "oneMoment",
  },
  {
    bug: "rows that are added are not counted",
    edits: [
      {
        file: statements,
        find: 'if ((await insertRows(on, request)) !== added.length) return "conflict"',
        put: "await insertRows(on, request)",
      },
    ],
    caughtBy: "eachChangeOnce",
  },
  {
    bug: "rows are not locked in one order",
    edits: [
      {
        file: statements,
        find: "[...expected].sort(byStoredKey)",
        put: "[...expected].sort((a, b) => (transaction.snapshot % 2 === 0 ? byStoredKey(a, b) : byStoredKey(b, a)))",
      },
    ],
    caughtBy: "noDeadlocks",
  },
]
