import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { BodyBudget } from "./body-budget.js"

const turn = (): Promise<void> => new Promise(resolve => void setImmediate(resolve))

test("bodies wait for their bytes in order, and one that is larger than the budget travels alone", async () => {
  const budget = new BodyBudget(100, 100)
  const granted: string[] = []
  const take = (name: string, bytes: number): Promise<() => void> =>
    Promise.resolve(budget.take(bytes, [])).then(giveBack => {
      granted.push(name)
      return giveBack
    })
  const large = await take("large", 300)
  const [first, second, third] = [take("first", 60), take("second", 60), take("third", 10)]
  await turn()
  assert.deepEqual(granted, ["large"])
  large()
  large()
  await turn()
  assert.deepEqual(granted, ["large", "first"], "the third does not overtake the second")
  const giveFirst = await first
  giveFirst()
  await turn()
  assert.deepEqual(granted, ["large", "first", "second", "third"])
  for (const taken of [second, third]) (await taken)()
})

test("a node or device that has used up its share holds back only its own bodies", async () => {
  const budget = new BodyBudget(100, 50)
  assert.ok(!(budget.take(50, ["node a", "device 1"]) instanceof Promise))
  assert.ok(budget.take(20, ["node a", "device 2"]) instanceof Promise)
  assert.ok(budget.take(20, ["node b", "device 1"]) instanceof Promise)
  assert.ok(!(budget.take(20, ["node b", "device 2"]) instanceof Promise))
})

test("a body that is given up leaves the queue, with the reason, and others go on", async () => {
  const budget = new BodyBudget(100, 100)
  const all = await budget.take(100, [])
  const stop = new AbortController()
  const given = Promise.resolve(budget.take(100, [], () => stop.signal))
  const next = Promise.resolve(budget.take(10, []))
  stop.abort(new Error("given up"))
  await assert.rejects(given, /given up/)
  all()
  ;(await next)()
  assert.ok(!(budget.take(100, []) instanceof Promise), "nothing is left")
  await assert.rejects(Promise.resolve(budget.take(100, [], () => AbortSignal.abort(new Error("before")))), /before/)
})

test("whatever is taken, given up and returned: never more than the limits, and at the end nothing", async () => {
  const step = fc.record({ bytes: fc.integer({ min: 1, max: 70 }), node: fc.nat(2), isGivenUp: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      const budget = new BodyBudget(100, 60)
      let used = 0
      const held: { bytes: number; giveBack: () => void }[] = []
      const waits: Promise<void>[] = []
      for (const { bytes, node, isGivenUp } of steps) {
        const stop = new AbortController()
        const granted = (giveBack: () => void): void => {
          used += bytes
          assert.ok(used <= 100)
          held.push({ bytes, giveBack })
        }
        waits.push(
          Promise.resolve(budget.take(bytes, [`node ${node}`], () => stop.signal)).then(granted, () => undefined),
        )
        await turn()
        if (isGivenUp) stop.abort(new Error("given up"))
        else if (held.length > 1) {
          const [first] = held.splice(0, 1)
          used -= first?.bytes ?? 0
          first?.giveBack()
          await turn()
        }
      }
      for (let rounds = 0; rounds < 100 && held.length > 0; rounds += 1) {
        for (const { bytes, giveBack } of held.splice(0)) {
          used -= bytes
          giveBack()
        }
        await turn()
      }
      await Promise.all(waits)
      assert.ok(!(budget.take(60, ["node 0"]) instanceof Promise))
    }),
    { numRuns: 60 },
  )
})
