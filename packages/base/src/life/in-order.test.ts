/** Works follow one another in their order, however those before them ended. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { InOrder } from "./in-order.js"

test("a work begins once the one before it has ended, even by a rejection", async () => {
  const order = new InOrder()
  const seen: string[] = []
  const work = (name: string, fails: boolean) => async () => {
    seen.push(`${name} begins`)
    await Promise.resolve()
    seen.push(`${name} ends`)
    if (fails) throw new Error(name)
    return name
  }
  const works = [order.run(work("one", false)), order.run(work("two", true)), order.run(work("three", false))]
  const outcomes = await Promise.allSettled(works)
  assert.deepEqual(
    outcomes.map(outcome => (outcome.status === "fulfilled" ? outcome.value : String(outcome.reason))),
    ["one", "Error: two", "three"],
  )
  assert.deepEqual(
    seen,
    ["one", "two", "three"].flatMap(name => [`${name} begins`, `${name} ends`]),
  )
})

test("a work that throws at once rejects", async () => {
  const order = new InOrder()
  await assert.rejects(
    order.run(() => {
      throw new Error("at once")
    }),
    /at once/,
  )
  assert.equal(await order.run(async () => "next"), "next")
})

test("the end of all works has come once the last one has ended; it tells nothing of their outcomes", async () => {
  const order = new InOrder()
  await order.ended()
  let hasEnded = false
  const failing = assert.rejects(
    order.run(async () => {
      await Promise.resolve()
      hasEnded = true
      throw new Error("failed")
    }),
  )
  assert.equal(await order.ended(), undefined)
  assert.ok(hasEnded)
  await failing
  await order.run(async () => "kept by its caller alone")
  assert.equal(await order.ended(), undefined)
})
