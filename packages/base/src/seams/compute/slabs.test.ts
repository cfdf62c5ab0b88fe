/** Checks who gets the slabs of a pool: a part is kept for those that hold little. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { allocateSlabs, Slabs, type GrantedSlab } from "./slabs.js"

const SLABS = 16

test("an account that takes all it gets leaves slabs for others", async () => {
  const sizes = { slabBytes: 4096, poolBytes: SLABS * 4096, workers: 1, shared: false }
  const slabs = new Slabs(allocateSlabs(sizes))
  const greedy = { account: "greedy", address: "a" }
  const granted: GrantedSlab[] = []
  const taking = Array.from({ length: 2 * SLABS }, async () => granted.push(await slabs.take(undefined, greedy)))
  await Promise.resolve()
  await Promise.resolve()
  assert.equal(granted.length, SLABS - 2)
  assert.equal(slabs.waiting, SLABS + 2)
  const modest = await slabs.take(undefined, { account: "modest", address: "b" })
  assert.equal(slabs.slabsFree, 1)
  modest.release()
  while (granted.length < taking.length) {
    granted[granted.length - 1]?.release()
    await Promise.resolve()
    await Promise.resolve()
  }
  for (const slab of granted) slab.release()
  await Promise.all(taking)
  assert.equal(slabs.slabsFree, SLABS)
})
