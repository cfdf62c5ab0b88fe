/**
 * One history: whatever happens to a few devices, in any order, the store never opens with a record that another one
 * has replaced or followed, nor takes one of its devices for one of a copy.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { after, Divergence, firstWorld, keyOf, type Menu, type Rule, type World } from "./testing-truth.js"

const PLAIN: Menu = { mayDie: false, mayForget: false, manyAtOnce: true }
const WORST: Menu = { mayDie: true, mayForget: true, manyAtOnce: true }

/** All worlds reachable from a world, nearest first; `isAll` is false if there were more than `worldsMax`. */
function explore(first: World, menu: Menu, worldsMax: number): { readonly worlds: number; readonly isAll: boolean } {
  const seen = new Set([keyOf(first)])
  let nearest = [first]
  while (nearest.length > 0) {
    const next: World[] = []
    for (const world of nearest) {
      for (const other of after(world, menu)) {
        const key = keyOf(other)
        if (seen.has(key)) continue
        seen.add(key)
        next.push(other)
      }
      if (seen.size > worldsMax) return { worlds: seen.size, isAll: false }
    }
    nearest = next
  }
  return { worlds: seen.size, isAll: true }
}

test("two devices: no sequence of events opens a superseded record", () => {
  assert.deepEqual(explore(firstWorld(2, 0), PLAIN, 10_000), { worlds: 1460, isAll: true })
  const { isAll } = explore(firstWorld(2, 0), WORST, 20_000)
  assert.equal(isAll, true, "also where devices die, and the operator gives them up")
})

for (const [named, spare, menu, worldsMax] of [
  [2, 1, PLAIN, 3_000],
  [3, 0, PLAIN, 4_000],
  [3, 0, WORST, 2_000],
  [4, 0, PLAIN, 1_500],
] as const) {
  const what = menu === PLAIN ? "changes and starts" : "changes, starts, deaths and the operator's word"
  test(`${named} devices and ${spare} to add: the nearest ${runsOf(worldsMax)} worlds of ${what}`, () => {
    explore(firstWorld(named, spare), menu, runsOf(worldsMax))
  })
}

test("four and five devices: long random histories", () => {
  for (const [named, spare, walks] of [
    [3, 1, runsOf(12)],
    [4, 0, runsOf(12)],
    [5, 0, runsOf(2)],
  ] as const) {
    for (let seed = 0; seed < walks; seed += 1) {
      const random = new SimRandom(1000 * named + seed)
      let world = firstWorld(named, spare)
      for (let step = 0; step < 12; step += 1) {
        const next = [...after(world, seed % 2 === 0 ? PLAIN : WORST)]
        if (next.length === 0) break
        world = next[random.below(next.length)] ?? world
      }
    }
  }
})

const NEEDED: readonly Rule[] = [
  "more than half",
  "one by one",
  "failed records",
  "incarnation",
  "renewal",
  "noted first",
]

/** One is drawn; a soak has all. */
const DRAWN = NEEDED.filter((_, at) => runsOf(1) > 1 || at === TEST_SEED % NEEDED.length)

for (const without of DRAWN) {
  test(`without the rule "${without}" two records in effect, or a device taken for one of a copy, are found`, () => {
    const find = (): void => {
      explore(firstWorld(3, 0), { ...PLAIN, without }, 60_000)
    }
    assert.throws(find, Divergence)
  })
}
