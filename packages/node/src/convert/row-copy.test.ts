import assert from "node:assert/strict"
import { test } from "node:test"
import { FAMILY_NAMES, type Family } from "@hayloft/base/rows/families.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseAccountId,
  parseBucketId,
  parseBucketName,
  rowKeyOf,
  type RowKey,
} from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { decodeCounters, encodeBucket, encodeCounters, encodeStoreClock } from "@hayloft/engine/format/records.js"
import { bucketRowKey, objectRowKey } from "@hayloft/engine/format/row-key.js"
import { decodeUsage, encodeUsage } from "@hayloft/engine/format/objects/usage.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { COPIED_FAMILIES, CopyRows } from "./rows-core.js"
import { removeCopies, RowCopy } from "./row-copy.js"

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

const rowsIn = (metadata: MemoryMetadata, family: Family): readonly EntryWrite[] =>
  Array.from(metadata.committed.range(family, { start: rowKeyOf(""), end: END }), ([key, { value }]) => ({
    family,
    key,
    value,
  }))

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
  const copy = new RowCopy(source.metadata, target)
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

test("the store's clock is copied, also while it goes on", async () => {
  const [source, target] = [new MemoryMetadata(), new MemoryMetadata()]
  const clockOf = (ms: number): EntryWrite => ({
    family: "clock",
    key: rowKeyOf("store"),
    value: Uint8Array.from(encodeStoreClock(ms)),
  })
  const [first, later] = [clockOf(1_800_000_000_000), clockOf(1_900_000_000_000)]
  await source.run(new CopyRows([first]))
  const copy = new RowCopy(source, target)
  while (await copy.step());
  assert.deepEqual(rowsIn(target, "clock"), [first])
  await source.run(new CopyRows([later]))
  copy.note([later])
  while (await copy.step());
  assert.deepEqual(rowsIn(target, "clock"), [later])
})

test("every family is copied but those of devices and nodes: a new one is not forgotten", () => {
  const own: readonly Family[] = ["marks", "needles", "expiringNeedles", "tablets", "cluster", "counters", "usage"]
  assert.deepEqual([...COPIED_FAMILIES].sort(), FAMILY_NAMES.filter(family => !own.includes(family)).sort())
  assert.ok(COPIED_FAMILIES.includes("clock"))
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
  source.lose("usage", bucketRowKey(parseBucketId(3)))
  const copy = new RowCopy(source, target)
  while (await copy.step());
  for (const family of ["marks", "needles", "expiringNeedles", "tablets", "cluster"] as const)
    assert.equal(target.rows(family), 0, family)
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
  const copy = new RowCopy(source, target)
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

test("what quotas count is copied as a sum, also if it changes, and dropped with the quota", async () => {
  const source = new MemoryMetadata()
  const target = new MemoryMetadata()
  const [kept, dropped] = [rowKeyOf("kept"), rowKeyOf("dropped")]
  const first = { bytes: 5, objects: 7, partBytes: 2 }
  for (const key of [kept, dropped]) source.plant("usage", key, encodeUsage(first))
  const copy = new RowCopy(source, target)
  while (await copy.step());
  const usageIn = (key: RowKey) => {
    const row = target.committed.get("usage", key)
    return row && decodeUsage(row.value)
  }
  assert.deepEqual([usageIn(kept), usageIn(dropped)], [first, first])
  const second = { bytes: 4, objects: 8, partBytes: 0 }
  source.plant("usage", kept, encodeUsage(second))
  source.lose("usage", dropped)
  copy.note([
    { family: "usage", key: kept, value: encodeUsage(second) },
    { family: "usage", key: dropped, value: undefined },
  ])
  while (await copy.step());
  assert.deepEqual([usageIn(kept), usageIn(dropped)], [second, undefined])
})

test("a copy begins again after what an interrupted one has left is removed", async () => {
  const target = new MemoryMetadata()
  const source = new Source()
  for (let i = 0; i < 2_000; i += 1) await source.change()
  const first = new RowCopy(source.metadata, target)
  for (let i = 0; i < 10; i += 1) await first.step()
  for (let i = 0; i < 2_000; i += 1) await source.change()
  await removeCopies(target)
  for (const family of COPIED_FAMILIES) assert.equal(target.rows(family), 0, family)
  const copy = new RowCopy(source.metadata, target)
  source.copy = copy
  while (await copy.step());
  assert.deepEqual(contentOf(target), contentOf(source.metadata))
})

const BUCKET = parseBucketId(7)
const OBJECT = objectRowKey(BUCKET, objectKeyOfText("a/héron"))

/** One small object. `damages`: how often a read of its bytes fails. */
async function oneObject(damages: number): Promise<Pick<Metadata, "run" | "ask" | "payload">> {
  const metadata = new MemoryMetadata()
  const names = { name: parseBucketName("plain"), owner: parseAccountId("root"), createdMs: 1, location: "" }
  const bucket = { id: BUCKET, ...names, versioning: "never", state: "open", settingsVersion: 1, settings: [] } as const
  metadata.plant("buckets", bucketRowKey(BUCKET), encodeBucket(bucket))
  const value = Uint8Array.of(1)
  await metadata.run(new CopyRows([{ family: "current", key: OBJECT, value, payload: Uint8Array.of(2) }]))
  let left = damages
  return {
    run: command => metadata.run(command),
    ask: query => metadata.ask(query),
    payload(family, key, row) {
      left -= 1
      return left < 0 ? metadata.payload(family, key, row) : Promise.reject(fail("corruptRow", { reason: "a test" }))
    },
  }
}

test("a copy stops at a small object whose bytes cannot be read, and names it", async () => {
  const target = new MemoryMetadata()
  const copy = new RowCopy(await oneObject(Infinity), target)
  const steps = async (): Promise<void> => {
    while (await copy.step());
  }
  for (let tries = 0; tries < 2; tries += 1) {
    await assert.rejects(steps(), error => {
      assert.ok(isFailure(error, "corruptRow"))
      assert.match(error.message, /^the bytes of object a\/héron in bucket plain cannot be read on any disk; delete/)
      return true
    })
  }
  assert.equal(target.rows("current"), 0)
})

test("bytes that are moved while they are read are read again", async () => {
  const target = new MemoryMetadata()
  const copy = new RowCopy(await oneObject(2), target)
  while (await copy.step());
  assert.deepEqual(target.committed.get("current", OBJECT)?.payload?.bytes, Uint8Array.of(2))
})

test("a target that fails now and then gets every row all the same", async () => {
  const target = new MemoryMetadata()
  const source = new Source()
  for (let i = 0; i < 500; i += 1) await source.change()
  let runs = 0
  const failing: Pick<Metadata, "run"> = {
    run(command) {
      runs += 1
      const isAway = runs % 3 === 0 && runs < 300
      return isAway ? Promise.reject(fail("databaseUnreachable")) : target.run(command)
    },
  }
  const copy = new RowCopy(source.metadata, failing)
  source.copy = copy
  let failures = 0
  const step = (): Promise<boolean> =>
    copy.step().catch((error: unknown) => {
      assert.ok(isFailure(error, "databaseUnreachable"))
      failures += 1
      return true
    })
  while (!copy.isThrough) {
    await step()
    for (let i = 0; i < 3; i += 1) await source.change()
  }
  while (await step());
  assert.deepEqual(contentOf(target), contentOf(source.metadata))
  assert.ok(failures > 5)
})
