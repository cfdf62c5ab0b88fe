/** No command or query is left out: those of the source are those that histories play, with and without success. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { playOnEmbedded } from "./histories.js"
import { kindsInSource } from "./kinds-in-source.js"
import { COMMANDS, KINDS, withTheirThemes } from "./kinds.js"

/** Rows of earlier releases. */
const ONLY_HERE = ["PlantOld", "PlantOldAccount"]

test("every kind of command and query in the source is played", () => {
  const played = new Set(KINDS.map(({ name }) => name))
  for (const name of ONLY_HERE) played.delete(name)
  assert.deepEqual([...played].sort(), kindsInSource())
})

test("every kind is played with success", async () => {
  let left = KINDS
  for (let seed = TEST_SEED; left.length > 0 && seed < TEST_SEED + 120; seed += 1) {
    const favoured = withTheirThemes(left)
    const options = { rounds: 300, atOnce: 1, restartOneIn: 100, restarts: "before", favoured } as const
    const { played } = await playOnEmbedded(seed, options)
    left = left.filter(({ name }) => (played.get(name)?.done ?? 0) === 0)
  }
  assert.deepEqual(
    left.map(({ name }) => name),
    [],
  )
  assert.ok(COMMANDS.length > 50)
})
