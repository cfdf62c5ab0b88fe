import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePolicy } from "../../base/policy.js"
import { withReencoding, withUnseen } from "./status-core.js"

const [CODED, COPIES] = [parsePolicy("ec:2+2"), parsePolicy("replica:2")]

test("bytes written since the last scan count under the current policy", () => {
  const found = [{ policy: COPIES, bytes: 1000 }]
  assert.deepEqual(withUnseen(found, CODED, 300), [...found, { policy: CODED, bytes: 300 }])
  assert.deepEqual(withUnseen(found, COPIES, 300), [{ policy: COPIES, bytes: 1300 }])
  assert.deepEqual(withUnseen(found, CODED, -20), found)
})

test("the remaining bytes to re-encode count under the policies found, otherwise under the previous policy", () => {
  const found = [
    { policy: COPIES, bytes: 600 },
    { policy: CODED, bytes: 400 },
  ]
  assert.deepEqual(withReencoding(found, [CODED], undefined, 150), [
    { policy: COPIES, bytes: 150 },
    { policy: CODED, bytes: 850 },
  ])
  assert.deepEqual(withReencoding(found, [CODED], undefined, 0), [{ policy: CODED, bytes: 1000 }])
  const unseen = [{ policy: CODED, bytes: 1000 }]
  assert.deepEqual(withReencoding(unseen, [CODED], COPIES, 300), [
    { policy: COPIES, bytes: 300 },
    { policy: CODED, bytes: 700 },
  ])
  assert.deepEqual(withReencoding(unseen, [CODED], undefined, 300), unseen)
  assert.deepEqual(withReencoding([], [CODED], undefined, 0), [])
  // Policies of buckets stay.
  const third = { policy: parsePolicy("replica:3"), bytes: 50 }
  assert.deepEqual(withReencoding([...found, third], [CODED, third.policy], undefined, 100), [
    { policy: COPIES, bytes: 100 },
    { policy: CODED, bytes: 900 },
    third,
  ])
})
