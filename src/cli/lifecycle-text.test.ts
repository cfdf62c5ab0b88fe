/** What `hayloft lifecycle` prints. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { explanationText, previewText } from "./lifecycle-text.js"

const DAY_MS = 86_400_000
const VERSION = { versionId: "null", isLatest: true, isMarker: false, sizeBytes: 5, modifiedMs: 0, isLocked: false }

test("an explanation says which rule acts when, and why others do not", () => {
  const text = explanationText({
    ...{ hasRules: true, nowMs: 3 * DAY_MS, hasMore: true },
    versions: [
      {
        ...VERSION,
        next: { ruleId: "month", dueMs: 30 * DAY_MS, action: "hide" },
        rules: [
          { ruleId: "month", dueMs: 30 * DAY_MS },
          { ruleId: "logs", whyNot: "prefix" },
        ],
      },
      {
        ...{ ...VERSION, versionId: "v1", isLatest: false, isLocked: true },
        next: { ruleId: "old", dueMs: 2 * DAY_MS, action: "removeVersion" },
        rules: [],
      },
      { ...VERSION, versionId: "v0", isLatest: false, isMarker: true, rules: [{ ruleId: "old", whyNot: "newerKept" }] },
    ],
  })
  assert.match(text, /current version null.*gets a delete marker in the first pass after 1970-01-31.*by rule "month"/)
  assert.match(text, /rule "logs" is for another prefix/)
  assert.match(text, /noncurrent version v1.*is removed in the next pass by rule "old", but object lock keeps it/)
  assert.match(text, /noncurrent delete marker v0.*stays: no rule applies/)
  assert.match(text, /keeps the newest versions, of which this is one/)
  assert.match(text, /there are older versions/)
})

test("a preview shows counts, bytes and examples of each rule, and what locks keep", () => {
  const text = previewText({
    ...{ hasRules: true, atMs: DAY_MS, locked: 3 },
    rules: [
      {
        ...{ ruleId: "month", hidden: 1, versions: 20, markers: 4, bytes: 2048 },
        examples: [{ key: "logs/1\u001b[31m", versionId: "null", action: "removeVersion" }],
      },
    ],
  })
  assert.match(text, /the pass after 1970-01-02.* would remove/)
  assert.match(text, /20 +1 +4 +2(\.0)? KiB +month/)
  assert.match(text, /3 versions are due and stay: object lock keeps them/)
  assert.match(text, /logs\/1.*\(null\) is removed by rule "month"/)
  assert.doesNotMatch(text, /\u001b/)
  assert.equal(previewText({ hasRules: false, atMs: 0, rules: [], locked: 0 }), "the bucket has no lifecycle rules\n")
})
