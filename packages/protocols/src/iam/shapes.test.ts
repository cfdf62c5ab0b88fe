/** Built-in policies are told from an account's own ones by what they say, because records may be copies. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { BUILT_IN_POLICIES } from "@hayloft/access/index.js"
import { isBuiltIn } from "./shapes.js"

test("a copy of a built-in policy is built in; an account's own policy of the same name is not", () => {
  for (const record of BUILT_IN_POLICIES.values()) {
    assert.ok(isBuiltIn(structuredClone(record)))
    assert.ok(!isBuiltIn({ ...record, id: "ANPA2OWNPOLICY0000000" }))
  }
})
