import assert from "node:assert/strict"
import { test } from "node:test"
import { acceptsCoding } from "./transformed-object.js"

test("a coding is accepted where Accept-Encoding says so (RFC 9110, section 12.5.3)", () => {
  const cases: readonly (readonly [string | undefined, boolean])[] = [
    [undefined, false],
    ["", false],
    ["gzip", true],
    ["GZIP;q=0.1", true],
    ["br, gzip ; q=0", false],
    ["gzip;q=0.000", false],
    ["gzip;q=0.001", true],
    ["*", true],
    ["*;q=0", false],
    ["*, gzip;q=0", false],
    ["gzip;q=1, *;q=0", true],
    ["identity", false],
  ]
  for (const [header, expected] of cases) assert.equal(acceptsCoding(header, "gzip"), expected, header)
})
