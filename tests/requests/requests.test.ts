/** Random requests get the answers that were recorded. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { differences } from "./recorded.js"

test("a server answers random requests as recorded", { timeout: 300_000 }, async () => {
  const found = await differences()
  const note = "If an answer was changed on purpose: npm run requests -- --record, and read the diff of recorded.txt."
  assert.equal(found.length, 0, `${found.join("\n\n")}\n${note}`)
})
