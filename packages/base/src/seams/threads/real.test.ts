/** Threads that the system does not start. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import { startThread } from "./real.js"

const NOTHING = new URL("data:text/javascript,")

test("a thread for which the system has nothing to give is a shortage, which names the limits", () => {
  // No address space has room for this stack.
  const resourceLimits = { stackSizeMb: 1e9 }
  assert.throws(
    () => startThread(NOTHING, { resourceLimits }),
    error => isFailure(error, "tooManyInFlight") && /TasksMax.*memory.*EAGAIN/.test(error.message),
  )
})

test("an entry that is no module's address is a bug, and no shortage", () => {
  assert.throws(
    () => startThread(new URL("http://localhost/"), {}),
    error => !isFailure(error) && error instanceof TypeError,
  )
})

test("a thread that starts runs", async () => {
  const worker = startThread(NOTHING, { execArgv: [] })
  const code = await new Promise(resolve => worker.once("exit", resolve))
  assert.equal(code, 0)
})
