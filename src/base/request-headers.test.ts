import assert from "node:assert/strict"
import { test } from "node:test"
import { HeaderShapes } from "./request-headers.js"

test("names that nobody sends again do not keep those from being remembered that all send", () => {
  const shapes = new HeaderShapes()
  for (let i = 0; i < 1_000; i += 1) shapes.of(["Host", `X-Junk-${i}`])
  const names = ["Host", "Authorization"]
  assert.equal(shapes.of(names), shapes.of([...names]))
})
