/** Tests of the output of `hayloft lifecycle`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { explanationText, previewText } from "./lifecycle-text.js"

const DAY_MS = 86_400_000
const VERSION = {
  versionId: "null",
  isLatest: true,
  isMarker: false,
  sizeBytes: 5,
  modifiedMs: 0,
  isLocked: false,
  storageClass: "STANDARD",
} as const

test("an explanation says which rule acts when, and why others do not", () => {
  const text = explanationText({
    hasRules: true,
    nowMs: 3 * DAY_MS,
    hasMore: true,
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
        ...VERSION,
        versionId: "v1",
        isLatest: false,
        isLocked: true,
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

test("an explanation says to which storage class a version moves, and why to no other", () => {
  const text = explanationText({
    hasRules: true,
    nowMs: 3 * DAY_MS,
    hasMore: false,
    versions: [
      {
        ...VERSION,
        isLocked: true,
        next: { ruleId: "cold", dueMs: 30 * DAY_MS, action: "move", storageClass: "STANDARD_IA" },
        rules: [
          {
            ruleId: "cold",
            whyNot: "noAction",
            transitions: [
              { storageClass: "STANDARD_IA", dueMs: 30 * DAY_MS },
              { storageClass: "GLACIER", whyNot: "unmapped" },
            ],
          },
        ],
      },
    ],
  })
  assert.match(text, /, STANDARD, .* moves to STANDARD_IA in the first pass after 1970-01-31 .* by rule "cold"\n/)
  assert.match(text, /rule "cold" to STANDARD_IA acts at 1970-01-31/)
  assert.match(text, /rule "cold" to GLACIER cannot move it there: this storage class has no/)
  assert.doesNotMatch(text, /has no action/)
})

test("a preview shows counts, bytes and examples of each rule, and what locks keep", () => {
  const text = previewText({
    hasRules: true,
    atMs: DAY_MS,
    locked: 3,
    examined: 1_200,
    isComplete: false,
    abandonedUploads: 1,
    rules: [
      {
        ruleId: "month",
        isEnabled: true,
        hidden: 1,
        versions: 20,
        markers: 4,
        bytes: 2048,
        moved: 6,
        movedBytes: 3072,
        uploads: 7,
        examples: [
          { key: "logs/1\u001b[31m", versionId: "null", action: "removeVersion" },
          { key: "cold", versionId: "null", action: "move", storageClass: "GLACIER" },
        ],
      },
      {
        ruleId: "off",
        isEnabled: false,
        hidden: 0,
        versions: 0,
        markers: 0,
        bytes: 0,
        moved: 0,
        movedBytes: 0,
        uploads: 0,
        examples: [],
      },
    ],
  })
  assert.match(text, /the pass after 1970-01-02.* would remove and move/)
  assert.match(text, /20 +1 +4 +2(\.0)? KiB +6 +3(\.0)? KiB +7 +month/)
  assert.match(text, / month\n/)
  assert.match(text, / off \(disabled\)\n/)
  assert.match(text, /cold \(null\) moves to GLACIER by rule "month"/)
  assert.match(text, /^the bucket has more than the 1,200 versions that were looked at$/m)
  assert.match(text, /^object lock keeps 3 versions that would be due$/m)
  assert.match(text, /logs\/1.*\(null\) is removed by rule "month"/)
  assert.doesNotMatch(text, /\u001b/)
  assert.match(text, /uploads that go without a rule, because of their age: 1\n/)
  const none = { hasRules: false, atMs: 0, rules: [], locked: 0, examined: 0, isComplete: true, abandonedUploads: 0 }
  assert.equal(previewText(none), "the bucket has no lifecycle rules\n")
})
