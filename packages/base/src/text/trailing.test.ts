/** Ends of texts are removed at once, however long the text is: a test that hangs has found a quadratic pattern. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { withoutOuter, withoutTrailing } from "./trailing.js"

test("only the characters at the end are removed, also from a long text that has them elsewhere", () => {
  for (const [text, expected] of [
    ["a//", "a"],
    ["//", ""],
    ["", ""],
    ["/a/b", "/a/b"],
  ] as const)
    assert.equal(withoutTrailing(text, "/"), expected)
  assert.equal(withoutTrailing("a \t ", " \t"), "a")
  const inside = `${"/".repeat(1_000_000)}x`
  assert.equal(withoutTrailing(`${inside}//`, "/"), inside)
  assert.equal(withoutOuter(`${inside}/`, "/"), "x")
  assert.equal(withoutOuter("//", "/"), "")
  assert.equal(withoutOuter("./a./b.", "./"), "a./b")
})
