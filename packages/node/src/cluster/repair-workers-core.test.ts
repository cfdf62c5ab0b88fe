import assert from "node:assert/strict"
import { test } from "node:test"
import { parseNodeName } from "@hayloft/base/ids.js"
import { REPAIR_WORKER_LIMITS, RepairPlaces } from "./repair-workers-core.js"

const [own, b, c] = [parseNodeName("a"), parseNodeName("b"), parseNodeName("c")]
const { partitionsHereMax, partitionsPerNodeMax, restMs, takesPartMs } = REPAIR_WORKER_LIMITS
const all = () => true

test("the node of the first slot is chosen, then that of the next one, then this node", () => {
  const places = new RepairPlaces(own)
  assert.equal(places.begin([b, c], all, 0), b)
  assert.equal(
    places.begin([b, c], node => node !== b, 0),
    c,
  )
  assert.equal(places.begin([own, b], all, 0), own)
  assert.equal(
    places.begin([b, c], () => false, 0),
    own,
  )
  assert.equal(places.begin([], all, 0), own)
})

test("a node that has failed a visit rests", () => {
  const places = new RepairPlaces(own)
  assert.equal(places.begin([b, c], all, 0), b)
  places.failed(b, 10)
  assert.equal(places.begin([b, c], all, 10 + restMs - 1), c)
  assert.equal(places.begin([b, c], all, 10 + restMs), b)
  assert.equal(places.begin([own], all, 0), own)
  places.failed(own, 0)
  assert.equal(places.begin([own, b], all, 0), own, "there is no other way")
})

test("a node makes a limited number of visits concurrently; the next one gets further ones, or they wait", () => {
  const places = new RepairPlaces(own)
  const begin = () => places.begin([b, c], all, 0)
  for (let i = 0; i < partitionsPerNodeMax; i += 1) assert.equal(begin(), b)
  for (let i = 0; i < partitionsPerNodeMax; i += 1) assert.equal(begin(), c)
  assert.equal(begin(), undefined, "this node does not take over what busy nodes will do")
  places.finished(c, 0)
  assert.equal(begin(), c)
  places.failed(b, 0)
  assert.equal(begin(), undefined)
  assert.equal(places.begin([b, c], all, restMs), b)
  for (let i = 0; i < partitionsHereMax; i += 1) assert.equal(places.begin([own], all, 0), own)
  assert.equal(places.begin([own], all, 0), undefined)
})

test("a node takes part while it finishes visits", () => {
  const places = new RepairPlaces(own)
  for (const [node, atMs] of [
    [own, 0],
    [b, 5],
    [c, 7],
  ] as const) {
    places.begin([node], all, atMs)
    if (node === c) places.failed(node, atMs)
    else places.finished(node, atMs)
  }
  assert.equal(places.takingPart(takesPartMs - 1), 2)
  assert.equal(places.takingPart(takesPartMs), 1)
  assert.equal(places.takingPart(takesPartMs + 5), 0)
})
