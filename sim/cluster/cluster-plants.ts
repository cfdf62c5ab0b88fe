/**
 * Planted bugs that a simulated cluster must catch. Those of the SQL engine are the ones that `tests/sql` plants; there
 * each has a check of its own, here clients and their histories notice them. The others of `tests/sql` and
 * `tests/steward` need events that a minute with few keys seldom has.
 */
import { must } from "../../src/base/assert.js"
import { SQL_PLANTS } from "../../tests/sql/plants.js"
import type { Plant } from "../plants.js"
import type { CheckName } from "../world/checks.js"

const LOST: readonly CheckName[] = ["acknowledgedStays", "readsAreFresh", "linearizable", "releasedBytesStay"]
const RACES: readonly CheckName[] = [...LOST, "oneWinner", "refusedStaysOut", "refusalWasTrue", "countersAgree"]

function ofSql(bug: string): Plant {
  const { edits } = must(
    SQL_PLANTS.find(plant => plant.bug === bug),
    `tests/sql plants "${bug}"`,
  )
  return { bug: `cluster: ${bug}`, edits, scenario: "cluster", caughtBy: [...RACES, "noAssertionFails"] }
}

export const CLUSTER_PLANTS: readonly Plant[] = [
  ofSql("the versions of rows that are changed are not compared"),
  ofSql("the outcome of a lost commit is read"),
  {
    bug: "cluster: released bytes are removed without a retention",
    edits: [
      {
        file: "src/node/engine.ts",
        find: "retention: shared && new EpochRetention(clock, shared)",
        put: "retention: undefined",
      },
    ],
    scenario: "cluster",
    caughtBy: LOST,
  },
]
