/** Naming the buckets with object lock that a command leaves less safe. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "./failures.js"
import { parseBucketName } from "./ids.js"
import { lockedNamesOf, requireLockedNames } from "./locked-names.js"

const namesOf = (...names: readonly string[]) => lockedNamesOf(names.map(parseBucketName))

function refusalOf(locked: ReturnType<typeof namesOf>, named: readonly string[]): string {
  try {
    requireLockedNames("the device is removed", locked, named)
    return ""
  } catch (error) {
    assert.ok(isFailure(error, "invalidArgument"))
    return error.message
  }
}

test("a command that concerns no bucket with object lock needs no name", () => {
  assert.equal(refusalOf(namesOf(), []), "")
  assert.equal(refusalOf(namesOf(), ["other"]), "")
})

test("every bucket is to be named, and the refusal tells how", () => {
  const locked = namesOf("backups", "ledger")
  assert.equal(refusalOf(locked, ["ledger", "other", "backups"]), "")
  assert.match(refusalOf(locked, []), /^not done: the device is removed\..* backups, ledger\. To do it all the same/)
  assert.match(refusalOf(locked, []), /--locked-buckets backups,ledger, or "lockedBuckets": \["backups","ledger"\]/)
  assert.match(refusalOf(locked, ["backups", "LEDGER"]), /; not named: ledger$/)
})

test("of more than a hundred buckets those that are listed are to be named", () => {
  const all = Array.from({ length: 101 }, (_, i) => `bucket-${i + 100}`)
  const locked = namesOf(...all)
  assert.match(refusalOf(locked, all.slice(1)), /bucket-199 and 1 more\..*; not named: bucket-100$/)
  assert.equal(refusalOf(locked, all.slice(0, 100)), "")
})
