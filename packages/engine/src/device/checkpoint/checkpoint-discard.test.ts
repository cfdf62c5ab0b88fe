import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId, rowKeyOf } from "@hayloft/base/ids.js"
import { encodeStoredRow } from "../../format/tables/stored-row.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { discardSource } from "./checkpoint-discard.js"
import { readSourceMark, sourceMark } from "./checkpoint.js"

const FOLDER = "/d/base"
const HOST = { disk: new SimDisk().boot(), deviceId: parseDeviceId("00000000000000d1") }
const ROWS = 50_000
const ALL = { start: rowKeyOf("\0"), end: rowKeyOf("\xff\xff") }

async function filled(stores: MemoryStores): Promise<void> {
  const store = await stores.openWriter(FOLDER)
  const mark = encodeStoredRow(Uint8Array.of(1), undefined)
  await store.commit([
    { family: "marks", key: sourceMark("volumes"), value: mark },
    { family: "marks", key: rowKeyOf("log"), value: Uint8Array.of(2) },
    { family: "current", key: rowKeyOf("a"), value: Uint8Array.of(3) },
    ...Array.from({ length: ROWS }, (_, i) => ({
      family: "needles" as const,
      key: rowKeyOf(`\0${String(i).padStart(6, "0")}`),
      value: Uint8Array.of(i & 0xff),
    })),
  ])
  await store.close()
}

async function contentOf(stores: MemoryStores) {
  const store = await stores.openReader(FOLDER)
  try {
    return {
      needles: [...store.range("needles", ALL)].length,
      others: [store.get("current", rowKeyOf("a")), store.get("marks", rowKeyOf("log"))].filter(row => row).length,
      mark: readSourceMark(store, "volumes"),
    }
  } finally {
    await store.close()
  }
}

test("all rows of the source and its mark are deleted; other rows stay", async () => {
  const stores = new MemoryStores()
  await filled(stores)
  assert.equal(await discardSource(stores, FOLDER, HOST, ["volumes"], "needles"), ROWS)
  assert.deepEqual(await contentOf(stores), { needles: 0, others: 2, mark: undefined })
  assert.equal(await discardSource(stores, FOLDER, HOST, ["volumes"], "needles"), 0)
})

test("a discard that is cut off leaves no mark", async () => {
  let commits = 0
  const stores = new MemoryStores({
    beforeCommit: () => {
      commits += 1
      if (commits === 3) throw fail("deviceFailed")
    },
  })
  await filled(stores)
  await assert.rejects(discardSource(stores, FOLDER, HOST, ["volumes"], "needles"))
  const { needles, others, mark } = await contentOf(stores)
  assert.deepEqual([needles, others, mark], [ROWS, 2, undefined])
})
