/** Kill -9 in a loop, over one folder and over seven; a separate command runs longer ones. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { TEST_SEED as seed } from "../../src/base/testing-seed.js"
import { killLoop, replayCommand } from "./kill-loop.js"

for (const { kills, folders } of [
  { kills: 12, folders: 1 },
  { kills: 8, folders: 7 },
]) {
  test(`${kills} kills over ${folders} folder(s) lose nothing that was acknowledged`, async () => {
    const options = { kills, folders, seed }
    const { violations, operations } = await killLoop(options)
    assert.equal(violations.join("\n"), "", `replay: ${replayCommand(options)}`)
    assert.ok(operations > kills * 50, `${operations} operations are too few`)
  })
}
