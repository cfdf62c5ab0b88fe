/** When rules act. Each case cites the sentence of the Amazon S3 User Guide that decides it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { fc } from "@hayloft/base/testing-properties.js"
import type { LifecycleRule } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { abortDueOf, compileRules, dueAfter, dueOf, expiryOf, verdictsOf, type VersionFacts } from "./due-core.js"
import { REAL_DAYS } from "@hayloft/objects/days.js"

const DAY = REAL_DAYS.dayMs
const utc = (text: string): number => Date.parse(`${text}Z`)
const CREATED = utc("2014-01-15T10:30:00")

const rule = (given: Partial<LifecycleRule>): LifecycleRule => ({
  id: "one",
  isEnabled: true,
  filter: { form: "filter" },
  ...given,
})
const facts = (given: Partial<VersionFacts> = {}): VersionFacts => ({
  key: objectKeyOfText("logs/é/1"),
  isMarker: false,
  sizeBytes: 1000,
  modifiedMs: CREATED,
  tags: () => [],
  storageClass: "STANDARD",
  place: { kind: "current", isOnly: true },
  ...given,
})
const noncurrent = (sinceMs: number, newer = 0): Partial<VersionFacts> => ({
  place: { kind: "noncurrent", sinceMs, newer },
})
const due = (rules: readonly LifecycleRule[], version: VersionFacts) =>
  dueOf(compileRules({ rules }), version, REAL_DAYS)
const when = (given: Partial<LifecycleRule>, version: VersionFacts) =>
  verdictsOf(compileRules({ rules: [rule(given)] }), version, REAL_DAYS)[0]?.when

// "if an object was created on 1/15/2014 at 10:30 AM UTC and you specify 3 days in a transition rule, then the transition
// date of the object would be calculated as 1/19/2014 00:00 UTC."
test("days after creation are rounded up to the next midnight", () => {
  assert.equal(when({ expiration: { days: 3 } }, facts()), utc("2014-01-19T00:00:00"))
})

// "it becomes one day old at 00:05 UTC on January 3, which makes it eligible for expiration when S3 Lifecycle evaluates
// objects at 00:00 UTC on January 4."
test("a day that is over shortly after midnight counts from the next midnight", () => {
  const version = facts({ modifiedMs: utc("2024-01-02T00:05:00") })
  assert.equal(when({ expiration: { days: 1 } }, version), utc("2024-01-04T00:00:00"))
})

test("a time at midnight is due a day later, never earlier", () => {
  assert.equal(dueAfter(utc("2024-01-02T00:00:00"), 1, REAL_DAYS), utc("2024-01-04T00:00:00"))
})

test("a due time is a midnight, at least the days and less than a day more after creation", () => {
  fc.assert(
    fc.property(fc.nat(4e12), fc.integer({ min: 1, max: 36_500 }), (fromMs, days) => {
      const dueMs = dueAfter(fromMs, days, REAL_DAYS)
      assert.equal(dueMs % DAY, 0)
      assert.ok(dueMs > fromMs + days * DAY && dueMs <= fromMs + (days + 1) * DAY)
    }),
  )
})

// The guide's `photo.gif`, deleted on 1/2/2014 at 11:30 AM UTC, is removed "On 1/8/2014 at 00:00 UTC ... five days after it
// became a noncurrent version."
test("noncurrent days count from the successor", () => {
  const version = facts({ modifiedMs: 0, ...noncurrent(utc("2014-01-02T11:30:00")) })
  assert.equal(when({ noncurrent: { days: 5 } }, version), utc("2014-01-08T00:00:00"))
})

// "NewerNoncurrentVersions ... specifies how many newer noncurrent versions must exist before Amazon S3 can expire a given
// version."
test("the newest noncurrent versions stay if the rule keeps some", () => {
  const keepsTwo = { noncurrent: { days: 5, newerKept: 2 } }
  assert.equal(when(keepsTwo, facts(noncurrent(0, 1))), "newerKept")
  assert.equal(when(keepsTwo, facts(noncurrent(0, 2))), 6 * DAY)
})

// "If you specify an S3 Lifecycle action with a date that is in the past, all qualified objects become immediately
// eligible for that lifecycle action."
test("a date counts for every object, also for later ones", () => {
  assert.equal(when({ expiration: { dateMs: DAY } }, facts()), DAY)
})

// "Object expiration applies only to an object's current version"; a noncurrent rule applies to no current one.
test("an action is for current or for noncurrent versions", () => {
  assert.equal(when({ expiration: { days: 1 } }, facts(noncurrent(0))), "noAction")
  assert.equal(when({ noncurrent: { days: 1 } }, facts()), "noAction")
  assert.equal(when({ abortDays: 1 }, facts()), "noAction")
})

// "When you specify the Days tag, Amazon S3 automatically performs ExpiredObjectDeleteMarker cleanup when the delete
// markers are old enough to satisfy the age criteria. To clean up delete markers as soon as they become the only version,
// create a separate rule with only the ExpiredObjectDeleteMarker tag."
test("a delete marker goes once it is the only version: by age, or at once", () => {
  const marker = facts({ isMarker: true, sizeBytes: 0 })
  const hiding = facts({ isMarker: true, sizeBytes: 0, place: { kind: "current", isOnly: false } })
  assert.equal(when({ expiration: { days: 3 } }, marker), utc("2014-01-19T00:00:00"))
  assert.equal(when({ expiration: { expiredMarkers: true } }, marker), CREATED)
  assert.equal(when({ expiration: { expiredMarkers: false } }, marker), "noAction")
  assert.equal(when({ expiration: { expiredMarkers: true } }, facts()), "noAction")
  for (const expiration of [{ days: 1 }, { dateMs: 0 }, { expiredMarkers: true }]) {
    assert.equal(when({ expiration }, hiding), "hidesVersions")
  }
})

// "to expire noncurrent objects that have no data, including noncurrent delete marker objects": ObjectSizeLessThan 1.
test("a delete marker has no bytes", () => {
  const filter = { form: "filter", sizeBelow: 1 } as const
  const marker = facts({ isMarker: true, sizeBytes: 0, ...noncurrent(0) })
  assert.equal(when({ filter, noncurrent: { days: 1 } }, marker), 2 * DAY)
})

// "The ObjectSizeGreaterThan and ObjectSizeLessThan filters exclude the specified values."
test("sizes are exclusive", () => {
  const sized = (filter: object, sizeBytes: number) =>
    when({ filter: { form: "filter", ...filter }, expiration: { dateMs: 0 } }, facts({ sizeBytes }))
  assert.deepEqual([sized({ sizeAbove: 5 }, 5), sized({ sizeAbove: 5 }, 6)], ["size", 0])
  assert.deepEqual([sized({ sizeBelow: 5 }, 5), sized({ sizeBelow: 5 }, 4)], ["size", 0])
})

// "Each tag must match both the key and value exactly"; "If an object has additional tags specified, the rule will still
// apply."
test("all tags of a filter must be there, and others may be", () => {
  const tagged = (...tags: (readonly [string, string])[]) =>
    when(
      {
        filter: {
          form: "and",
          tags: [
            ["a", "1"],
            ["b", ""],
          ],
        },
        expiration: { dateMs: 0 },
      },
      facts({ tags: () => tags }),
    )
  assert.equal(tagged(["c", "3"], ["b", ""], ["a", "1"]), 0)
  assert.equal(tagged(["a", "1"]), "tags")
  assert.equal(tagged(["a", "1"], ["b", "2"]), "tags")
})

test("a prefix is compared as bytes, and a disabled rule does nothing", () => {
  const prefixed = (prefix: string) => when({ filter: { form: "prefix", prefix }, expiration: { dateMs: 0 } }, facts())
  assert.deepEqual([prefixed("logs/é"), prefixed(""), prefixed("logs/e")], [0, 0, "prefix"])
  assert.equal(when({ isEnabled: false, expiration: { dateMs: 0 } }, facts()), "disabled")
})

// "If two expiration policies overlap, the shorter expiration policy is honored so that data is not stored for longer than
// expected."
test("the earliest rule acts, and of equal ones the first", () => {
  const days = (id: string, count: number) => rule({ id, expiration: { days: count } })
  assert.equal(due([days("long", 9), days("short", 2), days("same", 2)], facts())?.ruleId, "short")
  assert.equal(due([rule({ noncurrent: { days: 1 } })], facts()), undefined)
})

test("tags are read only for rules that ask for them", () => {
  const version = facts({
    tags: () => {
      throw new Error("the tags were read")
    },
  })
  assert.equal(due([rule({ expiration: { days: 1 } })], version)?.ruleId, "one")
})

// "If the bucket has a lifecycle rule configured with an action to abort incomplete multipart uploads and the prefix in
// the lifecycle rule matches the object name in the request, the response includes this header."
test("an upload is aborted by the first rule whose prefix matches", () => {
  const rules = compileRules({
    rules: [
      rule({ id: "off", isEnabled: false, abortDays: 1 }),
      rule({ id: "other", filter: { form: "filter", prefix: "x" }, abortDays: 1 }),
      rule({ id: "seven", abortDays: 7 }),
      rule({ id: "three", filter: { form: "filter", prefix: "logs/" }, abortDays: 3 }),
    ],
  })
  const upload = { key: facts().key, initiatedMs: CREATED }
  assert.deepEqual(abortDueOf(rules, upload, REAL_DAYS), { ruleId: "three", dueMs: utc("2014-01-19T00:00:00") })
  assert.equal(abortDueOf(compileRules({ rules: [rule({ expiration: { days: 1 } })] }), upload, REAL_DAYS), undefined)
})

test("only an expiration of objects is announced", () => {
  const announced = (given: Partial<LifecycleRule>) =>
    expiryOf(compileRules({ rules: [rule(given)] }), { ...facts(), tags: [] }, REAL_DAYS)?.dueMs
  assert.equal(announced({ expiration: { days: 3 } }), utc("2014-01-19T00:00:00"))
  assert.equal(announced({ expiration: { expiredMarkers: true } }), undefined)
  assert.equal(announced({ noncurrent: { days: 1 } }), undefined)
})

test("a shorter day is for trying rules out", () => {
  assert.equal(dueAfter(61_000, 1, { dayMs: 60_000 }), 180_000)
})
