import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, sentenceOf } from "./failures.js"

test("a sentence shows each detail once: one that the message contains is not repeated", () => {
  const message = "the metadata store in /mnt/a/base cannot be read"
  const failure = fail("corruptRow", { message, path: "/mnt/a/base", folder: "/mnt/a", generation: 6, code: undefined })
  assert.equal(sentenceOf(failure), `${message} (generation 6)`)
  assert.equal(sentenceOf(fail("accountExists", { account: "app" })).endsWith("(account app)"), true)
})
