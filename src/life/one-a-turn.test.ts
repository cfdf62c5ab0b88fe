/** Work that blocks the thread for long is spread over turns. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../base/failures.js"
import { RealClock } from "../seams/clock/real.js"
import { OneATurn } from "./one-a-turn.js"

const turnOfLoop = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

test("the first runs immediately, the others one after another, each in a later turn", async () => {
  const pages = new OneATurn(new RealClock(), 100)
  let turns = 0
  let isOver = false
  const counting = (async () => {
    for (; !isOver; turns += 1) await turnOfLoop()
  })()
  const [first, ...others] = await Promise.all(Array.from({ length: 5 }, () => pages.turn().then(() => turns)))
  isOver = true
  await counting
  assert.equal(first, 0)
  // The event loop may begin with any phase of a turn: between the others is a whole turn.
  assert.deepEqual(
    [...new Set(others)].sort((a, b) => a - b),
    others,
    "no two in one turn, in the order in which they came",
  )
})

test("callers beyond the limit are refused, and the waiting ones still get their turn", async () => {
  const pages = new OneATurn(new RealClock(), 2)
  const results = await Promise.allSettled([1, 2, 3, 4].map(() => pages.turn()))
  assert.deepEqual(
    results.map(({ status }) => status),
    ["fulfilled", "fulfilled", "fulfilled", "rejected"],
  )
  const [last] = results.slice(-1)
  assert.ok(last?.status === "rejected" && isFailure(last.reason, "tooManyInFlight"))
})
