/** Data of Swift's accounts: what a full store still lets clients remove. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccountId } from "@hayloft/base/ids.js"
import { encodeSwiftAccount, type SwiftAccount } from "@hayloft/engine/format/swift/swift-account.js"
import { setSwiftAccount } from "./swift-accounts.js"

const FULL: SwiftAccount = { metadata: [["color", "blue"]], access: '{"read-only":["ann"]}' }

const grows = (former: SwiftAccount | undefined, next: SwiftAccount): boolean =>
  setSwiftAccount(parseAccountId("team"), former && encodeSwiftAccount(former), encodeSwiftAccount(next)).grows

test("on a full store data and permissions of an account can be removed, and the account deleted, but nothing added", () => {
  assert.equal(grows(FULL, { ...FULL, metadata: [] }), false)
  assert.equal(grows(FULL, { ...FULL, access: "" }), false)
  assert.equal(grows(FULL, { ...FULL, deletedMs: 1_800_000_000_000 }), false)
  assert.equal(grows({ ...FULL, deletedMs: 1_800_000_000_000 }, FULL), false)
  assert.equal(grows({ ...FULL, metadata: [] }, FULL), true)
  assert.equal(grows(undefined, FULL), true)
})
