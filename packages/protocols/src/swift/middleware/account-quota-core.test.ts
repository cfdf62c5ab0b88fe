/** Quotas of accounts: what headers change of the store's limits, and what stays. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { changedLimits, quotaChangeIn, quotaFields, withoutQuota } from "./account-quota-core.js"

const change = (headers: Readonly<Record<string, string>>) => quotaChangeIn(new Map(Object.entries(headers)))

test("limits are set and removed by header, by the older name too, and removal wins", () => {
  assert.equal(change({ "x-account-meta-color": "red" }), undefined)
  assert.deepEqual(change({ "x-account-meta-quota-bytes": "5" }), { hardBytes: 5 })
  assert.deepEqual(change({ "x-account-quota-bytes": "7", "x-account-meta-quota-bytes": "5" }), { hardBytes: 7 })
  assert.deepEqual(change({ "x-account-quota-count": "0" }), { hardObjects: 0 })
  assert.deepEqual(change({ "x-account-quota-bytes": "" }), { hardBytes: null })
  assert.deepEqual(change({ "x-remove-account-meta-quota-bytes": "x", "x-account-quota-bytes": "7" }), {
    hardBytes: null,
  })
  for (const wrong of ["-1", "1.5", "ten", "1e3", "1".repeat(16)])
    assert.throws(() => change({ "x-account-quota-bytes": wrong }), { kind: "invalidRequest" }, wrong)
})

test("a change keeps the other limit and the warning levels of the operator", () => {
  const former = { hardBytes: 10, warnBytes: 8, hardObjects: 3 }
  assert.deepEqual(changedLimits(former, { hardBytes: 20 }), { hardBytes: 20, warnBytes: 8, hardObjects: 3 })
  assert.deepEqual(changedLimits(former, { hardBytes: null }), { warnBytes: 8, hardObjects: 3 })
  assert.equal(changedLimits({ hardBytes: 10 }, { hardBytes: null }), undefined)
  assert.equal(changedLimits(undefined, { hardObjects: null }), undefined)
})

test("limits are shown by both names, and are no metadata", () => {
  assert.deepEqual(quotaFields({ hardBytes: 5, warnObjects: 1 }), [
    ["X-Account-Quota-Bytes", "5"],
    ["X-Account-Meta-Quota-Bytes", "5"],
  ])
  assert.deepEqual(quotaFields({ hardObjects: 2 }), [["X-Account-Quota-Count", "2"]])
  const headers = new Map([["x-account-meta-quota-bytes", "5"] as const, ["x-account-meta-a", "1"] as const])
  assert.deepEqual([...withoutQuota(headers)], [["x-account-meta-a", "1"]])
})
