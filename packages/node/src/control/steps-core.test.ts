/** Numbers of processes: each start is above all before it, with what it reserves for its threads. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { FRONT_INCARNATIONS } from "@hayloft/engine/format/needles/upload-id.js"
import { FORGET_LIVES, GENERATIONS_PER_INCARNATION, nextGeneration, nextIncarnation } from "./steps-core.js"

test("a start is above all incarnations and records that it has seen", () => {
  assert.equal(nextIncarnation([]), 1)
  const seen = [
    { incarnation: 7, generation: 0 },
    { incarnation: 3, generation: 9 * GENERATIONS_PER_INCARNATION + 5 },
  ]
  assert.equal(nextIncarnation(seen), 10)
})

test("the numbers that a start reserves are its own: above all before it, and below the next one", () => {
  const own = nextIncarnation([{ incarnation: 7, generation: 0 }], FRONT_INCARNATIONS)
  assert.equal(own, 8 + FRONT_INCARNATIONS)
  assert.equal(nextIncarnation([{ incarnation: own, generation: nextGeneration(own, 0) }]), own + 1)
  assert.equal(nextIncarnation([], 3), 4, "numbers begin with 1")
})

test("devices that were given up stay below, also if a process with front threads had them for many starts", () => {
  let [there, here] = [nextIncarnation([], FRONT_INCARNATIONS), nextIncarnation([], FRONT_INCARNATIONS)]
  for (let starts = 0; starts < 60; starts += 1)
    there = nextIncarnation([{ incarnation: there, generation: 0 }], FRONT_INCARNATIONS)
  here = nextIncarnation([{ incarnation: here, generation: 0 }])
  assert.ok(here + FORGET_LIVES > there)
})
