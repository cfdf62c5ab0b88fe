import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { firstAnswers } from "./first-answers.js"

const never = new Promise<undefined>(() => undefined)

/** Candidates by behaviour: "good", "bad", "hung", or a number of milliseconds after which they are good. */
async function run(what: readonly ("good" | "bad" | "hung" | number)[], needed: number) {
  const clock = new SimClock()
  const requested: number[] = []
  const candidates = what.map((_, i) => i)
  const gathering = firstAnswers(clock, {
    candidates,
    needed,
    slowMs: 50,
    ask: async i => {
      requested.push(i)
      const does = what[i]
      if (does === "hung") return never
      if (typeof does === "number") await clock.sleep(does, new AbortController().signal)
      return does === "bad" ? undefined : i
    },
  })
  const answers = await clock.runUntil(gathering)
  return { answers: [...answers.keys()].sort(), requested, tookMs: clock.monotonicMs() }
}

test("no more candidates are asked than answers are needed", async () => {
  assert.deepEqual(await run(["good", "good", "good"], 2), { answers: [0, 1], requested: [0, 1], tookMs: 0 })
})

test("a candidate without an answer is followed by the next one immediately", async () => {
  assert.deepEqual(await run(["bad", "good", "bad", "good"], 2), {
    answers: [1, 3],
    requested: [0, 1, 2, 3],
    tookMs: 0,
  })
})

test("a hung candidate is followed by the next after the slow time, several one after another", async () => {
  assert.deepEqual(await run(["hung", "good", "hung", "good"], 2), {
    answers: [1, 3],
    requested: [0, 1, 2, 3],
    tookMs: 100,
  })
})

test("a slow answer still counts when no other candidate is left", async () => {
  assert.deepEqual(await run([300, "good", "bad"], 2), { answers: [0, 1], requested: [0, 1, 2], tookMs: 300 })
})

test("too few answers are returned once all candidates have ended", async () => {
  assert.deepEqual(await run(["bad", 70, "bad"], 2), { answers: [1], requested: [0, 1, 2], tookMs: 70 })
  assert.deepEqual(await run([], 2), { answers: [], requested: [], tookMs: 0 })
})

test("an unexpected error ends the batch", async () => {
  const failing = firstAnswers(new SimClock(), {
    candidates: [1, 2],
    needed: 1,
    slowMs: 50,
    ask: () => Promise.reject(new Error("a mistake")),
  })
  await assert.rejects(failing, /a mistake/)
})
