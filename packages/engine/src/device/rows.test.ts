/** A metadata store that does not answer; scans against ranges. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "@hayloft/base/testing-properties.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseLogSequence, rowKeyOf } from "@hayloft/base/ids.js"
import { encodeStoredRow } from "../format/tables/stored-row.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { Rows } from "./rows.js"

test("a metadata store that does not answer in time fails the call that warms it, and all later ones", async () => {
  const reader = await new MemoryStores().openReader("/base")
  let isHung = false
  const warm = () => (isHung ? Promise.reject(fail("deviceFailed", { code: "ETIMEDOUT" })) : undefined)
  const store = {
    get: () => undefined,
    range: () => [],
    scan: () => undefined,
    verify: () => Promise.resolve(),
    prepare: () => Promise.resolve(),
    adopt: () => undefined,
    generation: 0,
    close: () => reader.close(),
    warm,
  }
  const rows = new Rows(store, parseLogSequence(0))
  assert.equal(rows.warm("current", [rowKeyOf("a")]), undefined)
  const whyFailed = () => rows.failed?.details["code"]
  assert.equal(whyFailed(), undefined)
  isHung = true
  await assert.rejects(
    async () => rows.warm("current", [rowKeyOf("a")]),
    error => isFailure(error, "deviceFailed"),
  )
  isHung = false
  assert.equal(whyFailed(), "ETIMEDOUT")
})

test("a scan returns the rows of a range, from the memtable, the frozen one and the metadata store", async () => {
  const keys = fc.constantFrom("\x01", "a", "a\x00", "ab", "b", "b\xff", "c", "d", "\xff").map(rowKeyOf)
  const writes = fc.array(fc.tuple(fc.nat(2), keys, fc.option(fc.nat(9), { nil: undefined })), { maxLength: 30 })
  let folder = 0
  const give = fc.integer({ min: 1, max: 10 })
  await fc.assert(
    fc.asyncProperty(writes, keys, keys, give, async (list, start, end, max) => {
      const stores = new MemoryStores()
      const writer = await stores.openWriter(`/base${(folder += 1)}`)
      const rows = new Rows(writer, parseLogSequence(0))
      for (const layer of [0, 1, 2]) {
        const own = list.filter(([at]) => at === layer).map(([, key, value]) => ({ key, value }))
        const bytesOf = (value: number | undefined) => (value === undefined ? undefined : Uint8Array.of(value))
        const encoded = (value: number | undefined) =>
          value === undefined ? undefined : encodeStoredRow(Uint8Array.of(value), undefined)
        if (layer === 0)
          await writer.commit(own.map(({ key, value }) => ({ family: "current", key, value: encoded(value) })))
        else rows.apply(own.map(({ key, value }) => ({ family: "current", key, value: bytesOf(value) })))
        if (layer === 1) rows.freeze()
      }
      const found: string[] = []
      const row = (bytes: Buffer, keyAt: number, valueAt: number, rowEnd: number): boolean =>
        found.push(`${bytes.toString("latin1", keyAt, valueAt)}=${[...bytes.subarray(valueAt, rowEnd)].join()}`) < max
      rows.scan("current", { start, end }, { row })
      const expected = Array.from(rows.range("current", { start, end }), ([key, { value }]) => `${key}=${value.join()}`)
      assert.deepEqual(found, expected.slice(0, max))
    }),
    { numRuns: 500 },
  )
})
