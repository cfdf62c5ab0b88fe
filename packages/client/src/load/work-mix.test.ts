import { test } from "node:test"
import assert from "node:assert/strict"
import { parseMix, scatter, turnsOf } from "./work-mix.js"

test("a mix is parsed, and anything else refused", () => {
  assert.deepEqual(parseMix("get=60, put=30"), { get: 60, put: 30 })
  for (const bad of ["", "get", "get=0", "get=1,get=2", "post=1", "get=-1", "get=1.5", "get=99999"]) {
    assert.equal(parseMix(bad), undefined, bad)
  }
})

test("each operation has its share of a round, evenly spread", () => {
  const turns = turnsOf({ get: 6, put: 3, delete: 1 })
  const count = (operation: string, of: readonly string[]) => of.filter(turn => turn === operation).length
  assert.deepEqual([count("get", turns), count("put", turns), count("delete", turns), turns.length], [6, 3, 1, 10])
  assert.equal(count("put", turns.slice(0, 5)) + count("get", turns.slice(0, 5)) >= 4, true)
  assert.ok([1, 2].includes(count("put", turns.slice(0, 5))))
})

test("scattered turns visit everything before they repeat", () => {
  for (const count of [1, 2, 7, 100, 1000]) {
    const seen = new Set(Array.from({ length: count }, (_, turn) => scatter(turn, count)))
    assert.equal(seen.size, count)
  }
})
