/** Layers over one another read as one map: the topmost that contains a key decides, tombstones hide. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { getThrough, MemoryLayer, rangeThrough } from "./layers.js"

const FAMILY = "current"
const keys = fc.constantFrom("\x00", "a", "a\x00", "ab", "b", "b\xff", "\xff").map(rowKeyOf)
const writes = fc.array(fc.tuple(fc.nat(2), keys, fc.option(fc.nat(9), { nil: undefined })), { maxLength: 40 })

test("gets and ranges in both directions are those of one map", () => {
  fc.assert(
    fc.property(writes, keys, keys, fc.boolean(), (list, start, end, reverse) => {
      const layers = [0, 1, 2].map(() => new MemoryLayer<number>())
      const known = [0, 1, 2].map(() => new Map<string, number | undefined>())
      for (const [layer, key, row] of list) {
        layers[layer]?.set(FAMILY, key, row)
        known[layer]?.set(key, row)
      }
      const merged = new Map([...known].reverse().flatMap(layer => [...layer]))
      for (const [, key] of list) assert.equal(getThrough(layers, FAMILY, key), merged.get(key))
      const expected = [...merged]
        .filter(([key, row]) => row !== undefined && key >= start && key < end)
        .sort(([a], [b]) => (a < b ? -1 : 1))
      if (reverse) expected.reverse()
      assert.deepEqual([...rangeThrough(layers, FAMILY, { start, end, reverse })], expected)
    }),
    { numRuns: 1000 },
  )
})

test("a layer keeps its order through many writes, drops and ranges between them", () => {
  const [layer, known] = [new MemoryLayer<number>(), new Map<string, number | undefined>()]
  const random = new SimRandom(1)
  for (let i = 0; i < 5_000; i += 1) {
    const key = rowKeyOf(`k${random.below(1_500)}`)
    if (random.below(3) === 0) {
      layer.drop(FAMILY, key)
      known.delete(key)
    } else {
      const row = random.below(5) === 0 ? undefined : i
      layer.set(FAMILY, key, row)
      known.set(key, row)
    }
    assert.equal(layer.size, known.size)
    if (random.below(50) > 0) continue
    const [start, end] = [rowKeyOf(`k${random.below(9)}`), rowKeyOf(`k${random.below(9)}9`)]
    const expected = [...known].filter(([key]) => key >= start && key < end).sort(([a], [b]) => (a < b ? -1 : 1))
    const found = Array.from({ [Symbol.iterator]: () => layer.range(FAMILY, { start, end }) }, ([k, { row }]) => [
      k,
      row,
    ])
    assert.deepEqual(found, expected)
  }
})

test("a range that is left early releases all its cursors", () => {
  const layers = [new MemoryLayer<number>(), new MemoryLayer<number>()]
  for (let i = 0; i < 10; i += 1) layers[i % 2]?.set(FAMILY, rowKeyOf(`k${i}`), i)
  const range = rangeThrough(layers, FAMILY, { start: rowKeyOf("k"), end: rowKeyOf("l") })
  assert.deepEqual(range.next().value, ["k0", 0])
  range.return(undefined)
  layers[0]?.drop(FAMILY, rowKeyOf("k0"))
  assert.equal(getThrough(layers, FAMILY, rowKeyOf("k0")), undefined)
  assert.equal([...rangeThrough(layers, FAMILY, { start: rowKeyOf("k"), end: rowKeyOf("l") })].length, 9)
})
