import assert from "node:assert/strict"
import { test } from "node:test"
import { ByteBudget } from "./byte-budget.js"

const turns = async (): Promise<void> => new Promise(resolve => setImmediate(resolve))

test("work starts in order of arrival, once others have freed their bytes or returned them early", async () => {
  const budget = new ByteBudget(() => 10)
  const begun: string[] = []
  const ends: Record<string, () => void> = {}
  const gives: Record<string, (bytes: number) => void> = {}
  const start = (name: string, bytes: number): Promise<void> =>
    budget.run(bytes, async giveBack => {
      begun.push(name)
      gives[name] = giveBack
      await new Promise<void>(resolve => (ends[name] = resolve))
    })
  const all = [start("a", 6), start("b", 4), start("c", 5), start("d", 1), start("e", 100)]
  await turns()
  assert.deepEqual(begun, ["a", "b"])
  gives["a"]?.(4)
  await turns()
  assert.deepEqual(begun, ["a", "b"], "the first in the queue still lacks a byte")
  // No more bytes are returned than were granted.
  gives["a"]?.(1_000)
  await turns()
  assert.deepEqual(begun, ["a", "b", "c", "d"])
  for (const name of ["a", "b", "c"]) ends[name]?.()
  await turns()
  assert.ok(!begun.includes("e"), "work that needs more than the budget runs alone")
  ends["d"]?.()
  await turns()
  assert.ok(begun.includes("e"))
  ends["e"]?.()
  await Promise.all(all)
})
