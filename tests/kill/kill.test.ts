/**
 * Kill -9 in a loop, over one to seven folders, as the seed chooses; a soak does more kills, and a separate command as many as it
 * is asked for.
 */
import { test } from "node:test"
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { runsOf, TEST_SEED as seed } from "@hayloft/base/testing-seed.js"
import { killLoop, replayCommand } from "./kill-loop.js"

const FOLDERS = [1, 3, 7]

test("kills lose nothing that was acknowledged", async () => {
  const [kills, folders] = [runsOf(3), must(FOLDERS[seed % FOLDERS.length], "there is one for each seed")]
  const options = { kills, folders, seed }
  const { violations, operations } = await killLoop(options)
  assert.equal(violations.join("\n"), "", `replay: ${replayCommand(options)}`)
  assert.ok(operations > kills * 50, `${operations} operations are too few`)
})
