/** An expensive evaluation ends early and denies. */
import { test } from "node:test"
import assert from "node:assert/strict"
import type { Decision } from "./contract.js"
import { decide, NO_RESOURCE_POLICIES } from "./decide.js"
import { sentenceOfDecision } from "./explain.js"
import { ALLOW, identityOf, requestOf, type Keys } from "./testing-requests.js"

/** The least processor time of three runs: on a busy machine any run may be delayed. */
function millisecondsOf(condition: object, keys: Keys): number {
  const policies = identityOf({ ...ALLOW, Condition: condition })
  const times = [1, 2, 3].map(() => {
    const before = process.cpuUsage()
    decide(requestOf({ keys }), policies, NO_RESOURCE_POLICIES)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1_000
  })
  return Math.min(...times)
}

const LONGEST = 15_000
const copies = (value: string, lengthMax = 9_000): readonly string[] =>
  Array<string>(Math.floor(lengthMax / (value.length + 3))).fill(value)

for (const [what, values] of [
  ["one character after another", [`*${"a?".repeat(4_500)}b*`]],
  ["a long text that almost matches everywhere", [`*${"a".repeat(4_500)}b${"a".repeat(4_400)}*`]],
  ["the same at the end", [`*${"a".repeat(4_500)}b${"?".repeat(4_000)}`]],
  ["many small ones", copies("*a?b*")],
  ["many stars", ["*a?".repeat(3_000)]],
  ["the longest value as a pattern", copies(`*\${aws:UserAgent}b*`)],
  ["characters that are only counted", [`*${"?".repeat(9_000)}x`, "*a".repeat(200)]],
  ["the longest value between wildcards", [`\${aws:UserAgent}${"?*".repeat(4_000)}b`]],
] as const) {
  test(`any pattern and header cost little: ${what}`, () => {
    const ms = millisecondsOf({ StringLike: { "aws:UserAgent": values } }, { "aws:useragent": "a".repeat(LONGEST) })
    assert.ok(ms < 50, `${ms} ms`)
  })
}

test("once the budget is spent, Deny statements apply and Allow statements do not", () => {
  const costly = { StringLike: { "aws:UserAgent": `*${"a?".repeat(4_000)}b*` } }
  const keys = { "aws:useragent": "a".repeat(LONGEST) }
  const ask = (...statements: readonly object[]): Decision =>
    decide(requestOf({ keys }), identityOf(...statements), NO_RESOURCE_POLICIES)
  const allowing = { ...ALLOW, Condition: costly }
  const denying = { ...allowing, Effect: "Deny" }
  assert.deepEqual(ask(allowing), { outcome: "implicitDeny", lacking: ["identity"], isCutShort: true })
  assert.equal(ask(ALLOW, denying).outcome, "explicitDeny")
  assert.match(sentenceOfDecision(ask(ALLOW, denying)), /denied by statement 2 .*evaluation budget was spent/)
  assert.equal(ask(allowing, ALLOW).outcome, "allow", "cheap statements still apply")
  const negated = { ...ALLOW, Condition: { StringNotLike: { "aws:UserAgent": `*${"a?".repeat(4_000)}b*` } } }
  assert.equal(ask(negated).outcome, "implicitDeny")
})
