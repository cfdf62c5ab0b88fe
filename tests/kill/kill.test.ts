/** Kill -9 in npm test: a short loop over one folder and over seven. The long one is a command of its own. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { killLoop, replayCommand } from "./kill-loop.js"

const seed = Date.now() % 1_000_000

for (const { kills, folders } of [
  { kills: 12, folders: 1 },
  { kills: 8, folders: 7 },
]) {
  test(`${kills} kills over ${folders} folder(s) lose nothing that was acknowledged`, async () => {
    const options = { kills, folders, seed }
    const { violations, operations } = await killLoop(options)
    assert.equal(violations.join("\n"), "", `replay: ${replayCommand(options)}`)
    assert.ok(operations > kills * 50, `${operations} operations are enough to mean something`)
  })
}
