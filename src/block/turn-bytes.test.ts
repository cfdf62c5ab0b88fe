import assert from "node:assert/strict"
import { test } from "node:test"
import { TurnBytes } from "./turn-bytes.js"

test("bytes beyond those of a turn wait for the next turns, in the order of their requests", async () => {
  const ends: (() => void)[] = []
  const endTurn = async (): Promise<void> => {
    for (const end of ends.splice(0)) end()
    for (let i = 0; i < 5; i += 1) await Promise.resolve()
  }
  const turns = new TurnBytes({ atEndOfTurn: call => void ends.push(call) }, 100)
  const served: number[] = []
  for (let n = 0; n < 7; n += 1) {
    const turn = turns.take(60)
    if (turn === undefined) served.push(n)
    else void turn.then(() => served.push(n))
  }
  assert.deepEqual(served, [0, 1])
  await endTurn()
  assert.deepEqual(served, [0, 1, 2, 3])
  await endTurn()
  await endTurn()
  assert.deepEqual(served, [0, 1, 2, 3, 4, 5, 6])
  await endTurn()
  assert.equal(ends.length, 0, "without readers no turns are counted")
  assert.equal(turns.take(1000), undefined, "the first request does not wait, however long it is")
})
