import assert from "node:assert/strict"
import { test } from "node:test"
import { progressText } from "./progress-text.js"

test("the rate of a slow job is not rounded to nothing", () => {
  const textOf = (rate: number, unit: "objects" | "bytes"): string =>
    progressText({ phase: "working", progress: { done: 5, total: 130, unit }, rate }, 0)
  assert.equal(textOf(0.1, "objects"), "5 of 130 objects, 0.1/s")
  assert.equal(textOf(812.4, "objects"), "5 of 130 objects, 812/s")
  assert.equal(textOf(2_048.5, "bytes"), "5 B of 130 B, 2.0 KiB/s")
})
