/** Moments as texts: one rule, which refuses what could mean something else. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseMoment, textOfMoment } from "./moment.js"
import { fc } from "../testing-properties.js"

test("a time with a zone and up to six decimals, or 16 digits, is a moment", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["2026-01-31T09:30:00Z", 1_769_851_800_000_000],
    ["2026-01-31T10:30:00+01:00", 1_769_851_800_000_000],
    ["2026-01-31T09:30:00.25Z", 1_769_851_800_250_000],
    ["2026-01-31t09:30:00.000001z", 1_769_851_800_000_001],
    ["1769851800000001", 1_769_851_800_000_001],
  ]
  for (const [text, us] of cases) assert.equal(parseMoment(text), us, text)
})

test("every other text is refused", () => {
  const wrong = [
    "",
    "now",
    "2026-01-31",
    "2026-01-31T09:30:00",
    "2026-01-31 09:30:00Z",
    "2026-01-31T09:30Z",
    "2026-01-31T09:30:00.1234567Z",
    "2026-02-30T09:30:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T09:30:00+0100",

    "1769851800",
    "1769851800000",
    "17698518000000011",
    "-769851800000001",
    " 1769851800000001",
    "20260131T093000Z",
  ]
  for (const text of wrong) assert.equal(parseMoment(text), undefined, text)
})

test("a moment is read back from its text", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253_000_000_000_000_000 / 40 }), us => {
      assert.equal(parseMoment(textOfMoment(us)), us)
    }),
  )
})
