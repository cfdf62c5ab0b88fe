import assert from "node:assert/strict"
import { test } from "node:test"
import { HeaderShapes } from "./request-headers.js"

test("names that are sent once do not displace those that all clients send for long", () => {
  const shapes = new HeaderShapes()
  for (let i = 0; i < 1_000; i += 1) shapes.of(["Host", `X-Junk-${i}`])
  const names = ["Host", "Authorization"]
  assert.equal(shapes.of(names), shapes.of([...names]))
})
