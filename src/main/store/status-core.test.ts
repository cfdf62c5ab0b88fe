import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePolicy } from "../../base/policy.js"
import { withUnseen } from "./status-core.js"

const [CODED, COPIES] = [parsePolicy("ec:2+2"), parsePolicy("replica:2")]

test("what was written since the last look counts under the policy of now", () => {
  const found = [{ policy: COPIES, bytes: 1000 }]
  assert.deepEqual(withUnseen(found, CODED, 300), [...found, { policy: CODED, bytes: 300 }])
  assert.deepEqual(withUnseen(found, COPIES, 300), [{ policy: COPIES, bytes: 1300 }])
  assert.deepEqual(withUnseen(found, CODED, -20), found)
})
