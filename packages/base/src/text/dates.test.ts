import { test } from "node:test"
import assert from "node:assert/strict"
import { fc } from "../testing-properties.js"
import { basicDate, httpDate, isoDate, parseBasicDate, parseDate, parseHttpDate, parseIsoDate } from "./dates.js"

const MOMENT_MS = Date.UTC(1994, 10, 6, 8, 49, 37)

test("all forms of one moment parse to that moment", () => {
  for (const text of [
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 6 Nov 1994 08:49:37 +0000",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "1994-11-06T08:49:37Z",
    "1994-11-06T08:49:37.000Z",
    "1994-11-06T09:49:37+01:00",
    "1994-11-06T07:19:37-01:30",
    "19941106T084937Z",
  ]) {
    assert.equal(parseDate(text), MOMENT_MS, text)
  }
  assert.equal(parseIsoDate("1994-11-06T08:49:37.25Z"), MOMENT_MS + 250)
  assert.equal(parseIsoDate("1994-11-06"), Date.UTC(1994, 10, 6))
})

test("text that is not a date is undefined", () => {
  for (const text of [
    "",
    "now",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Xyz 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 PST",
    "1994-13-01T00:00:00Z",
    "1994-11-06T08:49:37",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00+01:00",
    "0000000000000000",
    "9".repeat(100_000),
  ]) {
    assert.equal(parseDate(text), undefined, text.slice(0, 80))
  }
})

test("printing and parsing agree to the second, in every form", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Date.UTC(2069, 11, 31) }), timeMs => {
      const second = Math.floor(timeMs / 1000) * 1000
      assert.equal(parseHttpDate(httpDate(timeMs)), second)
      assert.equal(parseIsoDate(isoDate(timeMs)), second)
      assert.equal(parseBasicDate(basicDate(timeMs)), second)
    }),
  )
  assert.equal(httpDate(MOMENT_MS + 999), "Sun, 06 Nov 1994 08:49:37 GMT")
  assert.equal(isoDate(MOMENT_MS + 999), "1994-11-06T08:49:37.000Z")
})

test("no text makes parsing throw", () => {
  fc.assert(fc.property(fc.string({ maxLength: 100 }), text => void parseDate(text)))
})
