/**
 * Tests of the cost of a page of a large K2V partition, in rows and in blocks that are read from disk: as much at its
 * beginning, in its middle and at its end. `npm run k2v-pages` does it with 1,000,000 items.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  parseBucketId,
  parseDeviceId,
  parseIncarnation,
  parseItemKey,
  parsePosition,
  type RowKey,
} from "@hayloft/base/ids.js"
import type { Family } from "@hayloft/base/rows/families.js"
import {
  changeRowKey,
  encodeK2vChange,
  encodeK2vItem,
  encodeK2vPartition,
  itemRowKey,
} from "@hayloft/engine/format/k2v/k2v-rows.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { soleProcess, type Query, type QueryView } from "@hayloft/engine/metadata/index.js"
import { readChanges, readItem, readItems, readPartitions } from "@hayloft/features/items/item-queries-core.js"
import { interceptedDisk, SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { StoreReader, StoreWrite } from "@hayloft/base/seams/store/contract.js"
import { TABLE_LIMITS, TableStores } from "@hayloft/engine/table/index.js"

const ITEMS = Number(process.env["K2V_ITEMS"] ?? 20_000)
const PAGE = 50
const ROWS_PER_COMMIT = 50_000
/** For each run of tables that is not merged yet, and for each level: its index, and the blocks of 8 KiB that a page touches. */
const BLOCKS_OF_PAGE_MAX = 2 * (TABLE_LIMITS.topRunsMax + 2) + 4
const BUCKET = parseBucketId(1)
const PARTITION = parseItemKey("p")
const STEM = objectRowKey(BUCKET, PARTITION)
const NODE = "000000000000002a"

const nameOf = (at: number) => parseItemKey(`k${String(at).padStart(8, "0")}`)

function* rows(): Generator<StoreWrite> {
  const value = { kind: "inline", bytes: Buffer.from("a small value") } as const
  for (let at = 0; at < ITEMS; at += 1) {
    const item = encodeK2vItem([{ node: NODE, discard: 0, values: [{ time: at + 1, value }] }])
    yield { family: "k2vItems", key: itemRowKey(STEM, nameOf(at)), value: item }
    yield { family: "k2vChanges", key: changeRowKey(STEM, at + 1), value: encodeK2vChange(nameOf(at)) }
  }
  const counts = { entries: ITEMS, conflicts: 0, values: ITEMS, bytes: 13 * ITEMS, changedAt: ITEMS, collectedTo: 0 }
  yield { family: "k2vPartitions", key: STEM, value: encodeK2vPartition(counts) }
}

/** The rows in tables on a disk, and a view of them that counts. */
async function filled() {
  const count = { rows: 0, blocks: 0 }
  const disk = interceptedDisk(new SimDisk().boot(), ({ kind }) => {
    if (kind === "read" || kind === "readSync") count.blocks += 1
    return undefined
  })
  const host = { disk, deviceId: parseDeviceId("00000000000000d1") }
  const merging = { urgency: "full", spaceBytes: Infinity, dropped: () => undefined, marks: () => [] } as const
  const writer = await new TableStores().openWriter("/store", host)
  let batch: StoreWrite[] = []
  const commit = async () => {
    await writer.commit(batch)
    batch = []
    while (writer.isCrowded && (await writer.merge(merging)) !== undefined);
  }
  for (const row of rows()) {
    batch.push(row)
    if (batch.length === ROWS_PER_COMMIT) await commit()
  }
  await commit()
  await writer.close()
  // Nothing stays in memory: what a page costs without a cache.
  const reader = await new TableStores({ cacheBytesMax: 0, syncBytesMax: Infinity }).openReader("/store", host)
  return { count, reader }
}

const viewOf = (reader: StoreReader, count: { rows: number }): QueryView => ({
  position: parsePosition(1),
  incarnations: soleProcess(parseIncarnation(1)),
  generationMark: undefined,
  get: (family: Family, key: RowKey) => {
    count.rows += 1
    const value = reader.get(family, key)
    return value && { value, payload: undefined }
  },
  range: function* (family, range) {
    for (const [key, value] of reader.range(family, range)) {
      count.rows += 1
      yield [key, { value, payload: undefined }] as const
    }
  },
  scan: () => assert.fail("items are read by ranges"),
})

test(`a page of a partition with ${ITEMS} items costs the same wherever it is`, { timeout: 600_000 }, async () => {
  const { count, reader } = await filled()
  const view = viewOf(reader, count)
  const costOf = <T>(query: Query<T>): { readonly result: T; readonly rows: number; readonly blocks: number } => {
    Object.assign(count, { rows: 0, blocks: 0 })
    const result = query.answer(view)
    return { result, ...count }
  }
  const all = { conflictsOnly: false, tombstones: false }
  const costs: string[] = []
  for (const at of [0, Math.floor(ITEMS / 2), ITEMS - PAGE]) {
    for (const reverse of [false, true]) {
      const bounds = { start: nameOf(reverse ? at + PAGE - 1 : at), reverse }
      const { result, rows: read, blocks } = costOf(readItems(BUCKET, PARTITION, bounds, all, PAGE))
      assert.equal(result.found.length, PAGE)
      assert.equal(result.found[0]?.sortKey, bounds.start)
      costs.push(`${at} ${reverse ? "down" : "up"}: ${read} rows, ${blocks} blocks`)
      assert.ok(read <= PAGE + 1 && blocks <= BLOCKS_OF_PAGE_MAX, costs.join("; "))
    }
    const one = costOf(readItem({ bucketId: BUCKET, node: NODE }, PARTITION, nameOf(at), new Map()))
    assert.equal(one.result?.values.length, 1)
    assert.ok(one.rows === 1 && one.blocks <= BLOCKS_OF_PAGE_MAX, `an item: ${one.rows} rows, ${one.blocks} blocks`)
  }
  const changes = costOf(readChanges(BUCKET, PARTITION, {}, ITEMS - 10))
  assert.equal(changes.result.found.length, 10)
  assert.ok(changes.rows <= 21, `10 changes: ${changes.rows} rows`)
  const index = costOf(readPartitions(BUCKET, {}, 1_000))
  assert.deepEqual([index.result.found[0]?.entries, index.rows], [ITEMS, 1])
  await reader.close()
})
