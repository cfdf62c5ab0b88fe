/** To which storage class rules move a version. Each case cites the sentence of the Amazon S3 User Guide that decides it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { STORAGE_CLASSES, type StorageClass } from "@hayloft/base/storage-class.js"
import { fc } from "@hayloft/base/testing-properties.js"
import type { LifecycleRule, LifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import { compileRules, movesOf, verdictsOf, type VersionFacts } from "./due-core.js"
import { REAL_DAYS } from "@hayloft/objects/days.js"
import { mayMove, movesMade, type Move } from "./transitions-core.js"

const ALL_ARCHIVES = { ...REAL_DAYS, archives: ["GLACIER", "DEEP_ARCHIVE"] } as const
const utc = (text: string): number => Date.parse(`${text}Z`)
const CREATED = utc("2014-01-15T10:30:00")

const facts = (given: Partial<VersionFacts> = {}): VersionFacts => ({
  key: objectKeyOfText("logs/1"),
  isMarker: false,
  sizeBytes: 200_000,
  modifiedMs: CREATED,
  tags: () => [],
  storageClass: "STANDARD",
  place: { kind: "current", isOnly: true },
  ...given,
})
const rule = (given: Partial<LifecycleRule>): LifecycleRule => ({
  id: "one",
  isEnabled: true,
  filter: { form: "filter" },
  ...given,
})
const moves = (rules: readonly LifecycleRule[], version = facts(), more: Partial<LifecycleRules> = {}) =>
  movesOf(compileRules({ rules, ...more }), version, ALL_ARCHIVES)
const shown = (made: readonly Move[]) =>
  made.map(({ dueMs, storageClass }) => [storageClass, new Date(dueMs).toISOString().slice(0, 10)])

// "if an object was created on 1/15/2014 at 10:30 AM UTC and you specify 3 days in a transition rule, then the transition
// date of the object would be calculated as 1/19/2014 00:00 UTC."
test("days after creation are rounded up to the next midnight, and 0 days are the next one", () => {
  const afterDays = (days: number) => shown(moves([rule({ transitions: [{ storageClass: "GLACIER", days }] })]))
  assert.deepEqual(afterDays(3), [["GLACIER", "2014-01-19"]])
  assert.deepEqual(afterDays(0), [["GLACIER", "2014-01-16"]])
})

test("thousands of rules, each with a time of its own, are not compared with one another", () => {
  let reads = 0
  const wanted = Array.from({ length: 3_000 }, (_, at): Move => ({
    ruleId: `rule ${at}`,
    storageClass: at % 2 === 0 ? "STANDARD_IA" : "GLACIER_IR",
    get dueMs() {
      reads += 1
      return CREATED + ((at * 7) % 3_000)
    },
  }))
  assert.deepEqual(
    movesMade("STANDARD", wanted).map(({ ruleId }) => ruleId),
    ["rule 0", "rule 2143"],
  )
  assert.ok(reads < 100 * wanted.length, `${reads} reads`)
})

// "Amazon S3 Lifecycle supports a waterfall model for transitioning between storage classes."
test("objects move downwards only", () => {
  const reachable = (from: StorageClass) => STORAGE_CLASSES.filter(to => mayMove(from, to)).sort()
  const archives = ["DEEP_ARCHIVE", "GLACIER"]
  const fromTiering = [...archives, "GLACIER_IR", "ONEZONE_IA"].sort()
  assert.deepEqual(reachable("STANDARD"), [...fromTiering, "INTELLIGENT_TIERING", "STANDARD_IA"].sort())
  assert.deepEqual(reachable("REDUCED_REDUNDANCY"), reachable("STANDARD"))
  assert.deepEqual(reachable("STANDARD_IA"), [...fromTiering, "INTELLIGENT_TIERING"].sort())
  assert.deepEqual(reachable("INTELLIGENT_TIERING"), fromTiering)
  assert.deepEqual(reachable("ONEZONE_IA"), archives)
  assert.deepEqual(reachable("GLACIER_IR"), archives)
  assert.deepEqual(reachable("GLACIER"), ["DEEP_ARCHIVE"])
  assert.deepEqual(reachable("DEEP_ARCHIVE"), [])
})

test("a version goes through the classes of a rule, and passes over those that are behind it", () => {
  const transitions = [
    { storageClass: "STANDARD_IA", days: 30 },
    { storageClass: "GLACIER", days: 90 },
  ] as const
  assert.deepEqual(
    shown(moves([rule({ transitions })])).map(([name]) => name),
    ["STANDARD_IA", "GLACIER"],
  )
  assert.deepEqual(
    shown(moves([rule({ transitions })], facts({ storageClass: "ONEZONE_IA" }))).map(([name]) => name),
    ["GLACIER"],
  )
})

// "When an object is eligible for both an S3 Glacier Flexible Retrieval and an S3 Standard-IA (or an S3 One Zone-IA)
// transition, Amazon S3 chooses the S3 Glacier Flexible Retrieval transition"; "S3 Intelligent-Tiering is favored by S3
// Lifecycle over any storage class, aside from the S3 Glacier Flexible Retrieval and S3 Glacier Deep Archive storage
// classes."
test("of several moves on one day the one to the cheapest class is made, or to intelligent tiering", () => {
  const onOneDay = (...names: readonly StorageClass[]) =>
    moves(names.map(storageClass => rule({ id: storageClass, transitions: [{ storageClass, days: 30 }] }))).map(
      ({ ruleId }) => ruleId,
    )
  assert.deepEqual(onOneDay("STANDARD_IA", "GLACIER"), ["GLACIER"])
  assert.deepEqual(onOneDay("GLACIER", "ONEZONE_IA"), ["GLACIER"])
  assert.deepEqual(onOneDay("STANDARD_IA", "ONEZONE_IA", "GLACIER_IR"), ["GLACIER_IR"])
  assert.deepEqual(onOneDay("GLACIER_IR", "INTELLIGENT_TIERING", "STANDARD_IA"), ["INTELLIGENT_TIERING"])
  assert.deepEqual(onOneDay("INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER"), ["DEEP_ARCHIVE"])
})

// "Objects smaller than 128 KB will not transition to any storage class by default"; of `varies_by_storage_class`: "Objects
// smaller than 128 KB will transition to the S3 Glacier Flexible Retrieval or S3 Glacier Deep Archive storage classes. By
// default, all other storage classes will prevent transitions smaller than 128 KB"; "Custom filters always take precedence
// over the default transition behavior."
test("objects below 128 KiB stay, unless the rule states a size or the bucket moves them to archives", () => {
  const isMoved = (sizeBytes: number, storageClass: StorageClass, more: Partial<LifecycleRules> = {}, filter = {}) =>
    moves(
      [rule({ filter: { form: "filter", ...filter }, transitions: [{ storageClass, days: 30 }] })],
      facts({ sizeBytes }),
      more,
    ).length === 1
  const varies = { transitionMinimum: "varies_by_storage_class" } as const
  assert.deepEqual([isMoved(131_071, "GLACIER"), isMoved(131_072, "GLACIER")], [false, true])
  assert.deepEqual([isMoved(0, "GLACIER", varies), isMoved(0, "DEEP_ARCHIVE", varies)], [true, true])
  assert.deepEqual([isMoved(131_071, "GLACIER_IR", varies), isMoved(131_071, "STANDARD_IA", varies)], [false, false])
  assert.deepEqual(
    [isMoved(6, "STANDARD_IA", {}, { sizeAbove: 5 }), isMoved(5, "STANDARD_IA", {}, { sizeAbove: 5 })],
    [true, false],
  )
  assert.equal(isMoved(1, "STANDARD_IA", {}, { sizeBelow: 2 }), true)
})

// "NoncurrentVersionTransition ... specifies ... how many noncurrent days"; "NewerNoncurrentVersions".
test("noncurrent versions move by their own rules, and the newest stay if the rule keeps some", () => {
  const older = (newer: number) => facts({ place: { kind: "noncurrent", sinceMs: utc("2014-01-02T11:30:00"), newer } })
  const noncurrentTransitions = [{ storageClass: "GLACIER", days: 5, newerKept: 2 }] as const
  assert.deepEqual(shown(moves([rule({ noncurrentTransitions })], older(2))), [["GLACIER", "2014-01-08"]])
  assert.deepEqual(moves([rule({ noncurrentTransitions })], older(1)), [])
  assert.deepEqual(moves([rule({ noncurrentTransitions })]), [])
  assert.deepEqual(moves([rule({ transitions: [{ storageClass: "GLACIER", days: 0 }] })], older(9)), [])
})

test("delete markers have no class, disabled rules and other keys move nothing, and tags are asked for", () => {
  const transitions = [{ storageClass: "GLACIER", days: 0 }] as const
  assert.deepEqual(moves([rule({ transitions })], facts({ isMarker: true })), [])
  assert.deepEqual(moves([rule({ transitions, isEnabled: false })]), [])
  assert.deepEqual(moves([rule({ transitions, filter: { form: "filter", prefix: "x" } })]), [])
  const tagged = rule({ transitions, filter: { form: "filter", tags: [["a", "b"]] } })
  assert.deepEqual(moves([tagged]), [])
  assert.equal(moves([tagged], facts({ tags: () => [["a", "b"]] })).length, 1)
})

test("a verdict tells why a version does not move", () => {
  const rules = compileRules({
    rules: [
      rule({
        transitions: [
          { storageClass: "ONEZONE_IA", days: 30 },
          { storageClass: "GLACIER", days: 60 },
          { storageClass: "DEEP_ARCHIVE", days: 150 },
        ],
      }),
    ],
  })
  const whyOf = (version: VersionFacts, archives: readonly StorageClass[]) =>
    verdictsOf(rules, version, { ...REAL_DAYS, archives })[0]?.transitions?.map(({ when }) =>
      typeof when === "number" ? "moves" : when,
    )
  assert.deepEqual(whyOf(facts({ storageClass: "ONEZONE_IA" }), ["GLACIER"]), ["hasClass", "moves", "unmapped"])
  assert.deepEqual(whyOf(facts({ storageClass: "GLACIER_IR" }), ALL_ARCHIVES.archives), [
    "classOrder",
    "moves",
    "moves",
  ])
  assert.deepEqual(whyOf(facts({ sizeBytes: 5 }), []), ["tooSmall", "unmapped", "unmapped"])
})

const wantedMoves = fc.array(
  fc.record({
    ruleId: fc.constant("r"),
    dueMs: fc.nat(3),
    storageClass: fc.constantFrom<StorageClass>(...STORAGE_CLASSES.slice(2)),
  }),
  { maxLength: 8 },
)

test("a version that has made its moves makes no more, at any time of the passes", () => {
  fc.assert(
    fc.property(fc.constantFrom(...STORAGE_CLASSES), wantedMoves, fc.array(fc.nat(3)), (from, wanted, passes) => {
      const last = (start: StorageClass, untilMs: number) =>
        movesMade(
          start,
          wanted.filter(({ dueMs }) => dueMs <= untilMs),
        ).at(-1)?.storageClass ?? start
      const inSteps = [...passes, 3].sort((a, b) => a - b).reduce(last, from)
      assert.equal(inSteps, last(from, 3))
      assert.equal(last(inSteps, 3), inSteps)
    }),
    { numRuns: 5_000 },
  )
})
