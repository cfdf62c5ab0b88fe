/** Quorums and Hayloft's rule under the same faults: what clients see, and what survives. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { cartsUnder } from "./quorum/carts.js"
import { FAULTS } from "./quorum/clients.js"
import { History } from "./quorum/history.js"
import { CONTENDERS, HAYLOFT, type Contender } from "./quorum/study.js"

const SEED = 3
const [, VANISH, , , , SPLIT] = FAULTS

const contender = (name: string): Contender =>
  CONTENDERS.find(each => each.name === name) ?? assert.fail(`no contender "${name}"`)

for (const { name, make } of HAYLOFT) {
  test(`${name}: some order explains all answers, whatever fails`, () => {
    for (const fault of FAULTS) {
      const history = new History(make, fault, SEED)
      const { explained, keys } = history.explainedKeys
      assert.ok(keys > 10, fault.name)
      assert.deepEqual([explained, history.staleReads, history.lostWrites], [keys, 0, 0], fault.name)
    }
  })

  test(`${name}: what was acknowledged while a server was away survives the loss of any disk, and mostly of two`, () => {
    const { store, writes } = new History(make, VANISH ?? assert.fail(), SEED)
    const acknowledged = writes.filter(({ end }) => end === "done").map(({ id }) => store.survives.get(id) ?? -1)
    assert.ok(acknowledged.length > 500)
    assert.ok(acknowledged.every(losses => losses >= 1))
    assert.ok(acknowledged.filter(losses => losses >= 2).length > acknowledged.length / 2)
  })

  test(`${name}: a block that was acknowledged can be read while another server is away`, () => {
    const { reads } = new History(make, VANISH ?? assert.fail(), SEED)
    assert.deepEqual(
      reads.filter(({ found }) => found === undefined),
      [],
    )
  })

  test(`${name}: no addition to a list is lost under If-Match, and some are without`, () => {
    const fault = SPLIT ?? assert.fail()
    const { acknowledged, lost } = cartsUnder(make, true, fault, SEED)
    assert.ok(acknowledged > 500)
    assert.equal(lost, 0)
    assert.ok(cartsUnder(make, false, fault, SEED).lost > 0)
  })
}

test("one acknowledgement and one answer are not enough: stale reads, and no order that explains them", () => {
  const history = new History(contender("W = 1, R = 1").make, VANISH ?? assert.fail(), SEED)
  assert.ok(history.staleReads > 0)
  const { explained, keys } = history.explainedKeys
  assert.ok(explained < keys)
})

test("a sloppy quorum accepts on both sides of a split, and loses additions", () => {
  const { make } = contender("W = 2, R = 2, sloppy")
  const fault = SPLIT ?? assert.fail()
  assert.ok(new History(make, fault, SEED).staleReads > 0)
  assert.ok(cartsUnder(make, false, fault, SEED).lost > 0)
})

test("quorums with a second round are explained too", () => {
  for (const fault of [VANISH ?? assert.fail(), SPLIT ?? assert.fail()]) {
    const { explained, keys } = new History(contender("W = 2, R = 2, two rounds").make, fault, SEED).explainedKeys
    assert.equal(explained, keys, fault.name)
  }
})
