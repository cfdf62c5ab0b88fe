/** Dotted version vector sets: the published examples, and what a write may make obsolete, on random histories. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import type { K2vItem, K2vValue } from "@hayloft/engine/format/k2v/k2v-rows.js"
import type { CausalContext } from "@hayloft/engine/format/k2v/k2v-token.js"
import { contextOfVector, countsOf, isNewer, mergeItems, valuesOf, writeValue } from "./vector-core.js"

const [N1, N2] = ["0000000000000001", "0000000000000002"]
const named = (text: string): K2vValue => ({ kind: "inline", bytes: Buffer.from(text) })
const textOf = (value: K2vValue): string => (value.kind === "inline" ? Buffer.from(value.bytes).toString() : value.kind)
const shown = (item: K2vItem): readonly string[] => valuesOf(item).map(textOf)

/** v1 (n1, 1), v2 (n1, 2), v3 (n2, 3). */
const PUBLISHED: K2vItem = [
  {
    node: N1,
    discard: 0,
    values: [
      { time: 1, value: named("v1") },
      { time: 2, value: named("v2") },
    ],
  },
  { node: N2, discard: 0, values: [{ time: 3, value: named("v3") }] },
]

test("the published example of a basic insertion", () => {
  const seen = contextOfVector(PUBLISHED)
  assert.deepEqual(
    [...seen],
    [
      [N1, 2],
      [N2, 3],
    ],
  )
  const { item, obsolete } = writeValue(PUBLISHED, { node: N2, time: 4, value: named("v4"), seen })
  assert.deepEqual(item, [
    { node: N1, discard: 2, values: [] },
    { node: N2, discard: 3, values: [{ time: 4, value: named("v4") }] },
  ])
  assert.deepEqual(
    obsolete.map(({ node, time }) => [node, time]),
    [
      [N1, 1],
      [N1, 2],
      [N2, 3],
    ],
  )
  assert.deepEqual(
    [...contextOfVector(item)],
    [
      [N1, 2],
      [N2, 4],
    ],
  )
})

test("the published example of writes that did not see each other", () => {
  const fifth = writeValue(PUBLISHED, { node: N1, time: 5, value: named("v5"), seen: new Map([[N1, 1]]) }).item
  assert.deepEqual(shown(fifth), ["v2", "v5", "v3"])
  const seen = new Map([
    [N1, 2],
    [N2, 3],
  ])
  const { item } = writeValue(fifth, { node: N2, time: 6, value: named("v4"), seen })
  assert.deepEqual(shown(item), ["v5", "v4"])
  assert.deepEqual(
    [...contextOfVector(item)],
    [
      [N1, 5],
      [N2, 6],
    ],
  )
})

test("nodes and times of a token that the item has not had mean nothing", () => {
  const seen = new Map([
    [N1, Number.MAX_SAFE_INTEGER],
    ["00000000000000ff", 7],
  ])
  const { item } = writeValue(PUBLISHED, { node: N1, time: 9, value: named("v9"), seen })
  assert.deepEqual(shown(item), ["v9", "v3"])
  assert.equal(item.length, 2)
  const after = writeValue(item, { node: N1, time: 10, value: named("v10"), seen: new Map() }).item
  assert.deepEqual(shown(after), ["v9", "v10", "v3"])
})

test("equal concurrent values are kept once, tombstones too", () => {
  const write = (item: K2vItem, time: number, value: K2vValue) =>
    writeValue(item, { node: N1, time, value, seen: new Map() }).item
  const twice = write(write(write([], 1, named("a")), 2, named("b")), 3, named("a"))
  assert.deepEqual(shown(twice), ["b", "a"])
  const tombstone: K2vValue = { kind: "tombstone" }
  const deleted = write(write(twice, 4, tombstone), 5, tombstone)
  assert.deepEqual(shown(deleted), ["b", "a", "tombstone"])
  assert.deepEqual(countsOf(deleted), { entries: 1, conflicts: 1, values: 2, bytes: 2 })
})

interface Step {
  /** The client: it writes with what it read last. */
  readonly client: number
  readonly reads: boolean
  readonly node: number
}

test("a value goes exactly when a client that has seen it writes", () => {
  const step = fc.record({ client: fc.nat(2), reads: fc.boolean(), node: fc.nat(1) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps: readonly Step[]) => {
      let item: K2vItem = []
      let time = 0
      let present = new Set<string>()
      const clients = [0, 1, 2].map(() => ({ token: new Map() as CausalContext, seen: new Set<string>() }))
      for (const { client: number, reads, node } of steps) {
        const client = clients[number]
        if (client === undefined) return
        if (reads) {
          client.token = contextOfVector(item)
          client.seen = new Set([...client.seen, ...present])
          assert.equal(isNewer(item, client.token), false)
          continue
        }
        time += 1
        const value = `v${time}`
        const write = { node: node === 0 ? N1 : N2, time, value: named(value), seen: client.token }
        item = writeValue(item, write).item
        present = new Set([...[...present].filter(one => !client.seen.has(one)), value])
        assert.deepEqual(new Set(shown(item)), present)
        assert.equal(isNewer(item, client.token), true)
      }
    }),
  )
})

/** A history of one item: each step is a client's reading, or its write of one of a few values. */
function play(start: K2vItem, steps: readonly Step[], from: number): readonly K2vItem[] {
  const items = [start]
  const tokens: CausalContext[] = [new Map(), new Map(), new Map()]
  for (const [at, { client, reads, node }] of steps.entries()) {
    const item = items.at(-1) ?? start
    if (reads) tokens[client] = contextOfVector(item)
    // Few values, so that equal ones follow each other.
    const value: K2vValue = at % 5 === 4 ? { kind: "tombstone" } : named(`v${(at + node) % 3}`)
    const write = { node: N1, time: from + at, value, seen: tokens[client] ?? new Map<string, number>() }
    items.push(reads ? item : writeValue(item, write).item)
  }
  return items
}

const STEPS = fc.array(fc.record({ client: fc.nat(2), reads: fc.boolean(), node: fc.nat(1) }), { maxLength: 20 })

test("an earlier copy of an item, merged with a later one, is the later one", () => {
  fc.assert(
    fc.property(STEPS, fc.nat(20), (steps: readonly Step[], at: number) => {
      const items = play([], steps, 1)
      const [earlier, later] = [items[at % items.length] ?? [], items.at(-1) ?? []]
      assert.deepEqual(mergeItems(earlier, later), later)
      assert.deepEqual(mergeItems(later, earlier), later)
    }),
  )
})

test("of copies that went on apart, a merge loses only what the token of a write covers", () => {
  fc.assert(
    fc.property(STEPS, STEPS, STEPS, (before: readonly Step[], one: readonly Step[], other: readonly Step[]) => {
      const common = play([], before, 1).at(-1) ?? []
      const [a, b] = [play(common, one, 100).at(-1) ?? [], play(common, other, 200).at(-1) ?? []]
      const merged = mergeItems(a, b)
      assert.deepEqual(mergeItems(b, a), merged)
      assert.deepEqual(mergeItems(merged, a), merged)
      const discard = Math.max(0, ...[...a, ...b].map(state => state.discard))
      const kept = [...a, ...b].flatMap(({ values }) => values.filter(({ time }) => time > discard))
      assert.deepEqual(new Set(shown(merged)), new Set(kept.map(({ value }) => textOf(value))))
      assert.equal(new Set(shown(merged)).size, shown(merged).length, "no value twice")
    }),
  )
})
