/** Limits of rates over the model: how Swift's clients learn of them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { OWNER } from "../s3/over-model.js"
import { serveSwift } from "./world.js"

test("a request beyond the rate of its account or key is answered 498, with the time to wait", async () => {
  let isOver = false
  const enter = () => {
    if (isOver) throw fail("rateExceeded", { retryAfterSeconds: 3 })
    return undefined
  }
  const world = await serveSwift({ rates: { enter } })
  try {
    const owner = await world.signIn(OWNER)
    assert.equal((await owner.call("HEAD", "")).status, 204)
    isOver = true
    const refused = await owner.call("PUT", "/container")
    assert.deepEqual([refused.status, refused.header("retry-after")], [498, "3"])
    assert.match(refused.text, /Rate Limited/)
    assert.equal((await world.anonymous.call("GET", "")).status, 401, "nobody's rate")
    isOver = false
    assert.equal((await owner.call("HEAD", "/container")).status, 404, "nothing was made")
  } finally {
    await world.stop()
  }
})
