/** Kill -9 of a process with front threads under a mixed load: the run of tests/kill, in which all threads serve. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED as seed } from "@hayloft/base/testing-seed.js"
import { noNode24 } from "../harness/new-node.js"
import { killLoop, replayCommand } from "../kill/kill-loop.js"

test("kills of a process with front threads lose nothing that was acknowledged", { skip: noNode24 }, async () => {
  const options = { kills: runsOf(2), folders: 1 + (seed % 3), seed, threads: 2 + (seed % 2) }
  const { violations, operations } = await killLoop(options)
  assert.equal(violations.join("\n"), "", `replay: ${replayCommand(options)}`)
  assert.ok(operations > options.kills * 25, `${operations} operations are too few`)
})
