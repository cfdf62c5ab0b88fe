import { test } from "node:test"
import assert from "node:assert/strict"
import { mostOn, timesOn } from "./thread-bound.js"

const alone = { engine: 100, fronts: 0, all: 125 }

test("cores are full first, then the engine thread", () => {
  const threaded = { engine: 25, fronts: 100, all: 150 }
  assert.deepEqual(mostOn(3, threaded), { perSecond: 20_000, full: "cores" })
  assert.deepEqual(mostOn(8, threaded), { perSecond: 40_000, full: "engine thread" })
  assert.deepEqual(mostOn(32, threaded), { perSecond: 40_000, full: "engine thread" })
  assert.deepEqual(
    [3, 8].map(cores => timesOn(cores, threaded, alone)),
    [2, 4],
  )
})

test("a server has 16 front threads at most", () => {
  const threaded = { engine: 1, fronts: 200, all: 201 }
  assert.deepEqual(mostOn(32, threaded), { perSecond: 80_000, full: "16 front threads" })
  assert.equal(mostOn(8, threaded).full, "cores")
})

test("one thread that serves everything uses one core, and the threads that help it the others", () => {
  assert.deepEqual(mostOn(1, alone), { perSecond: 8_000, full: "cores" })
  assert.deepEqual(mostOn(4, alone), { perSecond: 10_000, full: "engine thread" })
})
