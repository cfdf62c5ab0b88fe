/** The window of copies: whatever ends in whatever order, changes of a key stay in order, and nothing passes that is not done. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { CopyWindow, type Taken } from "./window-core.js"

interface Change {
  readonly key: string
  readonly number: number
}

const STEP = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("a", "b", "c").map(key => ({ kind: "add", key }) as const) },
  { weight: 1, arbitrary: fc.constantFrom("a", "b", "c", "d").map(key => ({ kind: "retry", key }) as const) },
  { weight: 4, arbitrary: fc.constant({ kind: "take" } as const) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("finish" as const), at: fc.nat(5), isDone: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "passed" } as const) },
)

test("changes of a key are taken in order, one batch at a time, and pass in the order of the log once they are done", () => {
  fc.assert(
    fc.property(fc.array(STEP, { minLength: 20, maxLength: 60 }), steps => {
      const window = new CopyWindow<Change>()
      const [added, done, passed] = [[] as Change[], new Set<number>(), [] as Change[]]
      const underWay: Taken<Change>[] = []
      const finish = (at: number, isDone: boolean): void => {
        const [taken] = underWay.splice(at, 1)
        if (taken === undefined) return
        window.finish(taken.key, isDone)
        if (isDone) for (const { number } of taken.changes) done.add(number)
      }
      for (const step of steps) {
        if (step.kind === "add") {
          const change = { key: step.key, number: added.length }
          added.push(change)
          window.add(step.key, change)
        } else if (step.kind === "retry") window.addRetry(step.key)
        else if (step.kind === "finish") finish(step.at % Math.max(1, underWay.length), step.isDone)
        else if (step.kind === "passed") passed.push(...window.passed())
        else {
          const taken = window.take()
          if (taken === undefined) continue
          assert.ok(!underWay.some(({ key }) => key === taken.key), "one batch of a key at a time")
          const expected = added.filter(({ key, number }) => key === taken.key && !done.has(number))
          assert.deepEqual(taken.changes, expected, "all that is not done, in order")
          underWay.push(taken)
        }
        assert.ok(
          passed.every(({ number }) => done.has(number)),
          "what has passed is done",
        )
        assert.deepEqual(passed, added.slice(0, passed.length), "in the order of the log")
      }
      // In the end everything passes.
      for (let left = 200; left > 0; left -= 1) {
        while (underWay.length > 0) finish(0, true)
        const taken = window.take()
        if (taken === undefined) break
        underWay.push(taken)
      }
      passed.push(...window.passed())
      assert.deepEqual(passed, added)
      assert.ok(window.isEmpty)
    }),
    { numRuns: 500 },
  )
})
