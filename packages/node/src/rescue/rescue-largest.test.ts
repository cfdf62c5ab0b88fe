/** The largest rows that services accept come back by a rescue: items of K2V, messages of queues, small files. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccountId, parseCoordPath, parseItemKey } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { ITEM_LIMITS } from "@hayloft/features/items/limits.js"
import { Coordination } from "@hayloft/features/locks/index.js"
import { COORD_LIMITS } from "@hayloft/features/locks/limits.js"
import { QUEUE_LIMITS, Queues } from "@hayloft/features/queues/index.js"
import { DoomedStore } from "./testing-rescue.js"

const ROOT = parseAccountId("root")
const LONGEST_KEY = "\u00ff".repeat(512)
const QUEUE = { account: ROOT, name: "q" }
const fileOf = (name: string) => ({ account: ROOT, path: parseCoordPath(`space/${name}`) })
const SORT_KEYS = ["a", "b", "c"].map(letter => parseItemKey(letter + LONGEST_KEY.slice(1)))
const PARTITION = parseItemKey(LONGEST_KEY)

const filled = (lengthBytes: number): Buffer => Buffer.alloc(lengthBytes, "x")

/** The values of the last item: equal ones would be one. The others have the first of them. */
const VALUES = Array.from({ length: ITEM_LIMITS.valuesMax }, (_, i) =>
  i === 0 ? filled(ITEM_LIMITS.valueBytesMax) : filled(ITEM_LIMITS.inlineBytesMax).fill(i, 0, 1),
)
const valuesOf = (item: number): readonly Buffer[] => (item === SORT_KEYS.length - 1 ? VALUES : VALUES.slice(0, 1))
/** A message whose content has a row of its own, and one that has it in its row. */
const SIZES = [QUEUE_LIMITS.contentBytesMax, QUEUE_LIMITS.inlineBytesMax / 2]

const servicesOver = (metadata: Metadata) => {
  const common = {
    clock: new SimClock(),
    storeClock: { shownMs: 0, isDoubtful: false },
    random: new SimRandom(1),
    metadata,
    prepare: async () => undefined,
    isShared: false,
  }
  return { queues: new Queues({ ...common, node: "0123abcd" }), coordination: new Coordination(common) }
}

test("the largest items, messages and files come back, several one after another", async () => {
  const store = await DoomedStore.open(4)
  const bucket = await store.bucket("large")
  const { clock } = store.machine
  const { queues, coordination } = servicesOver(store.engine.metadata)
  const write = async (): Promise<void> => {
    const { items } = store.services
    for (const [i, sortKey] of SORT_KEYS.entries()) {
      const of = { partition: PARTITION, sortKey, seen: new Map<string, number>() }
      for (const bytes of valuesOf(i)) await items.write(bucket, [{ ...of, bytes }])
    }
    await queues.create(QUEUE)
    const sender = "arn".repeat(300)
    for (const size of SIZES)
      for (let i = 0; i < 2; i += 1)
        await queues.add(QUEUE, [{ content: { body: filled(size), attributes: [], trace: undefined }, sender }], {
          copiesNow: 1,
        })
    for (const name of ["a", "b"]) await coordination.write(fileOf(name), filled(COORD_LIMITS.fileBytesMax))
  }
  await clock.runUntil(write())
  await store.backUp()
  const { target, summary } = await store.rescue([1, 2])
  assert.deepEqual(summary.items, { count: SORT_KEYS.length, lostValues: 0 })
  const found = await target.rows.itemsOf(bucket.name, PARTITION)
  const isSame = SORT_KEYS.map((sortKey, i) => found[i] === `${sortKey}: ${valuesOf(i).join()}`)
  assert.deepEqual(isSame, [true, true, true], "all items, with all values")
  const back = servicesOver(target.rows.metadata)
  const messages = await back.queues.peek(QUEUE, 2 * SIZES.length, false)
  assert.deepEqual(
    messages.map(({ content }) => content.body.length).sort((a, b) => b - a),
    SIZES.flatMap(size => [size, size]),
  )
  for (const name of ["a", "b"]) {
    const file = await back.coordination.file(fileOf(name))
    assert.equal(file?.content.length, COORD_LIMITS.fileBytesMax)
  }
})
