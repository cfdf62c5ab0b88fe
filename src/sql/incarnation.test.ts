/** What a process knows of the incarnations of others, as last read. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseIncarnation } from "../base/ids.js"
import { KnownIncarnations } from "./incarnation.js"

const live = (...incarnations: readonly number[]) =>
  incarnations.map(incarnation => ({ node: `node ${incarnation}`, process: "", incarnation }))

test("the oldest live incarnation is this one, unless an earlier one is not over", () => {
  const known = new KnownIncarnations(parseIncarnation(7))
  assert.equal(known.oldestLive, 7)
  known.learn({ live: live(7, 9), highest: 9 })
  assert.equal(known.oldestLive, 7)
  known.learn({ live: live(5, 6, 7, 9), highest: 9 })
  assert.equal(known.oldestLive, 5)
  known.learn({ live: live(6, 7), highest: 9 })
  assert.equal(known.oldestLive, 6)
})
