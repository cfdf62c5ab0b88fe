import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId } from "../../base/ids.js"
import { parsePolicy } from "../../base/policy.js"
import { withUnseen } from "./status-core.js"

const [CODED, COPIES] = [parsePolicy("ec:2+2"), parsePolicy("replica:2")]

test("what devices hold beyond what was found counts as written under the policy of now", () => {
  const found = [{ policy: COPIES, bytes: 1000 }]
  assert.deepEqual(withUnseen(found, [], CODED, 2000 + 600), [...found, { policy: CODED, bytes: 300 }])
  const both = [...found, { policy: CODED, bytes: 50 }]
  assert.deepEqual(withUnseen(both, [], CODED, 2000 + 100 + 600), [found[0], { policy: CODED, bytes: 350 }])
})

test("blocks that lie otherwise are not counted twice, headers of needles not at all, and nothing is guessed", () => {
  const found = [{ policy: CODED, bytes: 1000 }]
  const odd = [
    {
      partition: 3,
      needed: 2,
      devices: ["1", "2", "3"].map(text => parseDeviceId(text.padStart(16, "0"))),
      bytes: 100,
    },
  ]
  assert.deepEqual(withUnseen(found, odd, CODED, 2000 + 150), found)
  assert.deepEqual(withUnseen(found, [], CODED, 2040), found)
  assert.deepEqual(withUnseen(found, [], CODED, 1500), found)
  assert.deepEqual(withUnseen(found, [], CODED, undefined), found)
})
