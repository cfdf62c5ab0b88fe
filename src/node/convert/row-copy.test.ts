import assert from "node:assert/strict"
import { test } from "node:test"
import { FAMILY_NAMES, type Family } from "../../base/families.js"
import { parseBucketId, rowKeyOf, type RowKey } from "../../base/ids.js"
import { TEST_SEED } from "../../base/testing-seed.js"
import type { EntryWrite } from "../../format/entry.js"
import { decodeCounters, encodeCounters } from "../../format/records.js"
import { bucketRowKey } from "../../format/row-key.js"
import { MemoryMetadata } from "../../metadata/testing-engine.js"
import { SimRandom } from "../../seams/random/sim.js"
import { SimTelemetry } from "../../seams/telemetry/sim.js"
import { COPIED_FAMILIES, CopyRows } from "./rows-core.js"
import { removeCopies, RowCopy } from "./row-copy.js"

const { log } = new SimTelemetry()
const END = rowKeyOf("\xff".repeat(20))

/** Every row with its payload, by family. */
function contentOf(metadata: MemoryMetadata, families: readonly Family[] = COPIED_FAMILIES) {
  return families.map(family => [
    family,
    Array.from(metadata.committed.range(family, { start: rowKeyOf(""), end: END }), ([key, row]) => [
      key,
      Buffer.from(row.value).toString("hex"),
      row.payload?.bytes && Buffer.from(row.payload.bytes).toString("hex"),
    ]),
  ])
}

class Source {
  readonly metadata = new MemoryMetadata()
  private readonly random = new SimRandom(TEST_SEED)
  /** Is told what changes. */
  copy: RowCopy | undefined

  private key(family: Family): RowKey {
    const number = this.random.below(400)
    return family === "buckets"
      ? bucketRowKey(parseBucketId(1 + number))
      : rowKeyOf(`\0\0\0\0\0\0\0\x01key ${number}\0`)
  }

  /** A change of some rows of any family. */
  async change(): Promise<void> {
    const writes = Array.from({ length: 1 + this.random.below(5) }, (): EntryWrite => {
      const family = COPIED_FAMILIES[this.random.below(COPIED_FAMILIES.length)] ?? "current"
      const key = this.key(family)
      if (this.random.below(5) === 0) return { family, key, value: undefined }
      const value = this.random.bytes(1 + this.random.below(40))
      return this.random.below(3) === 0
        ? { family, key, value, payload: this.random.bytes(200) }
        : { family, key, value }
    })
    await this.metadata.run(new CopyRows(writes))
    this.copy?.note(writes)
  }
}

test("rows of every family are in the target as they are, also those that change while they are copied", async () => {
  const target = new MemoryMetadata()
  const source = new Source()
  for (let i = 0; i < 6_000; i += 1) await source.change()
  const copy = new RowCopy(source.metadata, target, log)
  source.copy = copy
  let steps = 0
  while (!copy.isThrough) {
    await copy.step()
    steps += 1
    for (let i = 0; i < 3; i += 1) await source.change()
  }
  assert.ok(steps > COPIED_FAMILIES.length, "some families need several slices")
  assert.notDeepEqual(contentOf(target), contentOf(source.metadata), "changes are behind")
  while (await copy.step());
  assert.deepEqual(contentOf(target), contentOf(source.metadata))
  assert.equal(copy.rowsChanged, 0)
})

test("rows that belong to a device, or to the nodes of a store, are not copied", async () => {
  const source = new MemoryMetadata()
  const target = new MemoryMetadata()
  for (const family of FAMILY_NAMES) source.plant(family, bucketRowKey(parseBucketId(3)), new Uint8Array([1]))
  source.plant(
    "counters",
    bucketRowKey(parseBucketId(3)),
    encodeCounters({ objects: 1, versions: 1, bytes: 1, uploads: 0 }),
  )
  const copy = new RowCopy(source, target, log)
  while (await copy.step());
  for (const family of ["marks", "needles", "tablets", "cluster"] as const) assert.equal(target.rows(family), 0, family)
})

test("counters are copied as sums, also if they change, and dropped with their bucket", async () => {
  const source = new MemoryMetadata()
  const target = new MemoryMetadata()
  const [kept, dropped] = [bucketRowKey(parseBucketId(1)), bucketRowKey(parseBucketId(2))]
  const countersIn = (metadata: MemoryMetadata, key: RowKey) => {
    const row = metadata.committed.get("counters", key)
    return row && decodeCounters(row.value)
  }
  const first = { objects: 5, versions: 7, bytes: 1_000, uploads: 2 }
  for (const key of [kept, dropped]) {
    source.plant("buckets", key, new Uint8Array([9]))
    source.plant("counters", key, encodeCounters(first))
  }
  const copy = new RowCopy(source, target, log)
  while (await copy.step());
  assert.deepEqual(countersIn(target, dropped), first)
  const second = { objects: 4, versions: 9, bytes: 10, uploads: 0 }
  source.plant("counters", kept, encodeCounters(second))
  source.lose("buckets", dropped)
  source.lose("counters", dropped)
  copy.note([
    { family: "counters", key: kept, value: encodeCounters(second) },
    { family: "counters", key: dropped, value: undefined },
    { family: "buckets", key: dropped, value: undefined },
  ])
  while (await copy.step());
  assert.deepEqual(countersIn(target, kept), second)
  assert.equal(countersIn(target, dropped), undefined)
})

test("a copy begins again after what an interrupted one has left is removed", async () => {
  const target = new MemoryMetadata()
  const source = new Source()
  for (let i = 0; i < 2_000; i += 1) await source.change()
  const first = new RowCopy(source.metadata, target, log)
  for (let i = 0; i < 10; i += 1) await first.step()
  for (let i = 0; i < 2_000; i += 1) await source.change()
  await removeCopies(target)
  for (const family of COPIED_FAMILIES) assert.equal(target.rows(family), 0, family)
  const copy = new RowCopy(source.metadata, target, log)
  source.copy = copy
  while (await copy.step());
  assert.deepEqual(contentOf(target), contentOf(source.metadata))
})
