import { test } from "node:test"
import assert from "node:assert/strict"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { Progress } from "./progress.js"

test("one line for many files: drawn at most ten times a second, removed before other text, drawn again", async () => {
  const clock = new SimClock()
  const drawn: string[] = []
  let files = 0
  const progress = new Progress(
    text => void drawn.push(text),
    clock,
    () => `${files} copied`,
    undefined,
  )
  progress.end()
  assert.deepEqual(drawn, [], "nothing was drawn yet")
  await clock.advance(100)
  for (files = 1; files < 1000; files += 1) progress.add(1024)
  assert.deepEqual(drawn, ["\r\x1b[K1 copied  1.0 KiB  10.0 KiB/s"])
  progress.end()
  progress.end()
  assert.deepEqual(drawn.slice(1), ["\r\x1b[K"])
  await clock.advance(100)
  progress.add(1024)
  assert.match(drawn.at(-1) ?? "", /1000 copied +1000\.0 KiB/)
})
