/** Pages of an index: together they are the needles of the range in the chosen partitions, however small they are. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { parsePartitionId, parseUploadId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { ALL_NEEDLES, type ShardStore } from "../block/index.js"
import { needleIdOfKey, needleKeyOf } from "../format/needles/needle.js"
import { PartitionSet } from "../format/nodes/shard-calls.js"
import type { IndexedNeedle } from "../volume/contract.js"
import { indexPage } from "./index-page.js"

const key = (partition: number, upload: number): RowKey => {
  const uploadId = parseUploadId(upload.toString(16).padStart(32, "0"))
  return needleKeyOf({ partition: parsePartitionId(partition), uploadId, part: 0, block: 0, generation: 0, slot: 0 })
}

/** A store with these keys; it fails at `damaged`. */
function storeOf(keys: readonly RowKey[], damaged?: RowKey): ShardStore {
  const store: Partial<ShardStore> = {
    *indexed({ start, end }): Iterable<IndexedNeedle> {
      for (const each of keys) {
        if (each < start || each >= end) continue
        if (each === damaged) throw fail("corruptRow")
        yield { key: each, bodyBytes: 64, shape: undefined, isSuspect: false }
      }
    },
  }
  return store as ShardStore
}

const somePartition = fc.oneof(
  fc.integer({ min: 0, max: 12 }),
  fc.integer({ min: PARTITIONS - 4, max: PARTITIONS - 1 }),
)
const someKeys = fc
  .array(fc.tuple(somePartition, fc.nat(6)), { maxLength: 60 })
  .map(pairs => [...new Set(pairs.map(([partition, upload]) => key(partition, upload)))].sort())

test("the pages of a range contain each needle of the chosen partitions once, in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      someKeys,
      fc.option(fc.array(somePartition, { maxLength: 9 })),
      fc.record({ pageNeedlesMax: fc.integer({ min: 1, max: 9 }), pageSeeksMax: fc.integer({ min: 1, max: 4 }) }),
      fc.tuple(fc.nat(60), fc.nat(60)),
      async (keys, chosen, limits, [low, high]) => {
        const partitions = chosen === null ? undefined : PartitionSet.of(chosen.map(it => parsePartitionId(it)))
        const [start, end] = [keys[low] ?? ALL_NEEDLES.start, keys[high] ?? ALL_NEEDLES.end]
        const expected = keys.filter(each => {
          return each >= start && each < end && partitions?.has(needleIdOfKey(each).partition) !== false
        })
        const listed: RowKey[] = []
        let from: RowKey | undefined = start
        for (let pages = 0; from !== undefined; pages += 1) {
          assert.ok(pages <= 200, "every page ends behind the one before it")
          const request = { start: from, end, needlesMin: Infinity, partitions }
          const page = await indexPage(storeOf(keys), request, limits)
          assert.ok(page.needles.length <= limits.pageNeedlesMax)
          listed.push(...page.needles.map(needle => needle.key))
          from = page.end.kind === "more" ? page.end.next : undefined
        }
        assert.deepEqual(listed, expected)
      },
    ),
  )
})

test("a page ends where the index is damaged", async () => {
  const keys = [1, 2, 3].map(partition => key(partition, 1))
  const request = { ...ALL_NEEDLES, needlesMin: Infinity, partitions: undefined }
  const limits = { pageNeedlesMax: 100, pageSeeksMax: 100 }
  const page = await indexPage(storeOf(keys, keys[1]), request, limits)
  assert.deepEqual([page.needles.length, page.end], [1, { kind: "damaged" }])
  const next = { ...request, start: rowKeyOf(must(keys[2], "3 keys")) }
  assert.deepEqual((await indexPage(storeOf(keys, keys[1]), next, limits)).end, { kind: "end" })
})
