/** Tables of users: a built file is the sorted map of its rows, and damage is found or mended, and never absence. */
import assert from "node:assert/strict"
import { copyFile, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { decodeEnd } from "../format/tables/table-file.js"
import { USER_END_SEED } from "../format/tables/user-table.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TableFile, type OpenTableOptions } from "./table-file.js"
import { buildOf, type Pair } from "./testing-tables.js"

const MIB = 1024 * 1024
const SMALL_SORT = 8 * MIB

let folder = ""
before(async () => void (folder = await mkdtemp(join(tmpdir(), "hayloft-tables-"))))
after(() => rm(folder, { recursive: true, force: true }))

async function withTable<T>(
  path: string,
  work: (table: TableFile) => T,
  options?: OpenTableOptions,
): Promise<Awaited<T>> {
  const table = await TableFile.open(new RealDisk(), path, options)
  try {
    return await work(table)
  } finally {
    await table.close()
  }
}

const isDamage = (error: unknown): boolean =>
  isFailure(error, "corruptRow") && /the table .* is damaged.*copy it again/.test(error.message)

function keysOf(random: Random, count: number): readonly Buffer[] {
  const keys = new Map<string, Buffer>()
  for (let i = 0; i < count; i += 1) {
    const begin = ["", "a", "a\x00", "users/", "\xff\xff"][random.below(5)] ?? ""
    const key = Buffer.concat([Buffer.from(begin, "latin1"), random.bytes(random.below(9))])
    keys.set(key.toString("latin1"), key)
  }
  return [...keys.values()]
}

const sizes = [0, 1, 20, 100, 9_000]
const shuffledPairs = (random: Random, count: number): readonly Pair[] =>
  keysOf(random, count).map((key): Pair => [key, Buffer.from(random.bytes(sizes[random.below(sizes.length)] ?? 0))])

test("a table is the sorted map of its rows: gets, scans, prefixes, ranges", async () => {
  const random = new SimRandom(TEST_SEED).fork("tables")
  const path = join(folder, "map.table")
  for (const count of [0, 1, 40, 3_000]) {
    const pairs: Pair[] = [...shuffledPairs(random, count)]
    if (count === 3_000)
      pairs.push([Buffer.from("large"), random.bytes(MIB)], [Buffer.alloc(4_095, "k"), Buffer.from("long")])
    await buildOf(path, pairs, { replaces: true, sortBytes: SMALL_SORT })
    const sorted = [...pairs]
      .sort(([a], [b]) => Buffer.compare(a, b))
      .map(([key, value]) => ({ key: Buffer.from(key), value: Buffer.from(value) }))
    await withTable(path, table => {
      assert.equal(table.stat().keys, pairs.length)
      assert.deepEqual([...table.scan()], sorted)
      for (const [key, value] of pairs) {
        assert.deepEqual(table.get(key), Buffer.from(value))
        const other = Buffer.concat([key, Buffer.from([random.below(256)])])
        const expected = sorted.find(row => row.key.equals(other))?.value
        assert.deepEqual(table.get(other), expected)
      }
      for (let round = 0; round < 60; round += 1) {
        const bound = () => (random.below(3) === 0 ? undefined : keysOf(random, 1)[0])
        const [prefix, from, to] = [bound()?.subarray(0, 2), bound(), bound()]
        const limit = random.below(2) === 0 ? undefined : random.below(5)
        const expected = sorted
          .filter(({ key }) => prefix === undefined || key.subarray(0, prefix.length).equals(prefix))
          .filter(({ key }) => from === undefined || Buffer.compare(key, from) >= 0)
          .filter(({ key }) => to === undefined || Buffer.compare(key, to) < 0)
          .slice(0, limit)
        assert.deepEqual([...table.scan({ prefix, from, to, limit })], expected)
      }
      assert.equal(table.get(Buffer.alloc(5_000)), undefined)
    })
  }
})

test("more rows than fit into memory are merged, in any number of runs", async () => {
  const path = join(folder, "runs.table")
  const value = Buffer.alloc(64 * 1024, "v")
  // A run has some 120 of these rows: there are 20, more than one merge takes.
  const pairs = Array.from({ length: 2_400 }, (_, i): Pair => [Buffer.from(`key ${(i * 7_919) % 2_400}`), value])
  await buildOf(path, pairs, { sortBytes: SMALL_SORT })
  const keys = pairs.map(([key]) => key.toString()).sort()
  await withTable(path, async table => {
    assert.deepEqual(
      Array.from(table.scan(), ({ key }) => key.toString()),
      keys,
    )
    await table.verify()
  })
  assert.deepEqual(
    (await readdir(folder)).filter(name => name.includes(".new.")),
    [],
  )
})

test("the same rows give the same bytes", async () => {
  const pairs = shuffledPairs(new SimRandom(TEST_SEED), 500)
  const [a, b] = [join(folder, "a.table"), join(folder, "b.table")]
  await buildOf(a, pairs)
  await buildOf(b, [...pairs].reverse())
  assert.ok((await readFile(a)).equals(await readFile(b)))
})

test("a key that occurs twice is refused with its lines, or one of its rows is chosen", async () => {
  const path = join(folder, "twice.table")
  const pair = (key: string, value: string): Pair => [Buffer.from(key), Buffer.from(value)]
  const pairs = [pair("b", "1"), pair("a", "1"), pair("b", "2"), pair("b", "3")]
  await assert.rejects(buildOf(path, pairs), /"b" occurs twice, in the rows that begin on lines 1 and 3/)
  assert.deepEqual(
    (await readdir(folder)).filter(name => name.startsWith("twice.table")),
    [],
  )
  // In one run, and in several.
  const filler = Array.from({ length: 120 }, (_, i) => [Buffer.from(`x ${i}`), Buffer.alloc(100_000)] as const)
  for (const more of [[], filler]) {
    const rows = [pairs[0], ...more, ...pairs.slice(1)].flatMap(each => (each === undefined ? [] : [each]))
    for (const [duplicates, expected] of [
      ["first", "1"],
      ["last", "3"],
    ] as const) {
      await buildOf(path, rows, { duplicates, replaces: true, sortBytes: SMALL_SORT })
      await withTable(path, table => assert.equal(table.get("b")?.toString(), expected))
    }
    await assert.rejects(buildOf(path, rows, { replaces: true, sortBytes: SMALL_SORT }), /"b" occurs twice/)
    // One row in each of two runs: the merge finds them.
    const apart = [...rows.slice(0, -2), pair("b", "2")]
    await assert.rejects(buildOf(path, apart, { replaces: true, sortBytes: SMALL_SORT }), /"b" occurs twice/)
    await withTable(path, table => assert.equal(table.get("b")?.toString(), "3"), { check: "whole" })
  }
})

test("what exists is replaced only if that is asked for, and readers keep the file that they opened", async () => {
  const path = join(folder, "old.table")
  await buildOf(path, [[Buffer.from("k"), Buffer.from("old")]])
  await assert.rejects(buildOf(path, []), error => isFailure(error, "entityExists"))
  await writeFile(`${path}.new.0000000001`, "left")
  await rm(path)
  await assert.rejects(buildOf(path, []), /interrupted/)
  await buildOf(path, [[Buffer.from("k"), Buffer.from("old")]], { replaces: true })
  const reader = await TableFile.open(new RealDisk(), path)
  await buildOf(path, [[Buffer.from("k"), Buffer.from("new")]], { replaces: true })
  assert.equal(reader.get("k")?.toString(), "old")
  await reader.close()
  assert.throws(() => reader.get("k"), /closed/)
  await withTable(path, table => assert.equal(table.get("k")?.toString(), "new"))
  await assert.rejects(TableFile.open(new RealDisk(), join(folder, "none")), error => isFailure(error, "noSuchFile"))
})

/** A file of several partitions, and what it has. */
async function large(): Promise<{ readonly path: string; readonly pairs: readonly Pair[] }> {
  const path = join(folder, "large.table")
  const random = new SimRandom(TEST_SEED).fork("large")
  const pairs = Array.from({ length: 12_000 }, (_, i): Pair => [
    Buffer.from(`key ${i}`),
    Buffer.from(random.bytes(200)),
  ])
  await buildOf(path, pairs, { replaces: true })
  return { path, pairs }
}

test("every truncated file is refused", async () => {
  const { path } = await large()
  const { size } = await stat(path)
  const cut = join(folder, "cut.table")
  for (const length of [0, 1, 23, 4_096, size >> 1, size - 200_000, size - 10_000, size - 25, size - 1]) {
    await copyFile(path, cut)
    await truncate(cut, length)
    await assert.rejects(TableFile.open(new RealDisk(), cut), isDamage, `${length} bytes`)
  }
  await writeFile(cut, Buffer.concat([await readFile(path), Buffer.from("more")]))
  await assert.rejects(TableFile.open(new RealDisk(), cut), isDamage)
  await writeFile(cut, "no table at all")
  await assert.rejects(TableFile.open(new RealDisk(), cut), isDamage)
})

test("a flipped bit in any region is mended for reads or refused, and verify finds it; the file is never written", async () => {
  const { path, pairs } = await large()
  const whole = await readFile(path)
  const { partitions } = decodeEnd(whole, USER_END_SEED, path)
  const [first] = partitions
  assert.ok(first !== undefined && partitions.length > 2)
  const dataEnd = (partitions.at(-1)?.directoryAt ?? 0) + (partitions.at(-1)?.directoryBytes ?? 0)
  const places = [5, 100_000, first.directoryAt + 10, first.directoryAt + first.directoryBytes - 40]
  const regions = [...places, dataEnd + 3, dataEnd + 5_000, whole.length - 60, whole.length - 3]
  const damaged = join(folder, "flipped.table")
  for (const at of regions) {
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] ?? 0) ^ 4
    await writeFile(damaged, bytes)
    await withTable(damaged, async table => {
      for (const [key, value] of pairs) assert.deepEqual(table.get(key), Buffer.from(value))
      await assert.rejects(table.verify(), isDamage, `byte ${at}`)
    })
    await assert.rejects(TableFile.open(new RealDisk(), damaged, { check: "whole" }), isDamage, `byte ${at}`)
    assert.ok((await readFile(damaged)).equals(bytes))
  }
})

test("damage beyond parity is an error of the reads that need it, and no absence", async () => {
  const { path, pairs } = await large()
  const damaged = join(folder, "beyond.table")
  await copyFile(path, damaged)
  const file = await open(damaged, "r+")
  await file.write(Buffer.alloc(600_000, 7), 0, 600_000, 100_000)
  await file.close()
  await withTable(damaged, table => {
    let failed = 0
    for (const [key, value] of pairs) {
      try {
        assert.deepEqual(table.get(key), Buffer.from(value))
      } catch (error) {
        assert.ok(isDamage(error), String(error))
        failed += 1
      }
    }
    assert.ok(failed > 1_000 && failed < pairs.length)
  })
})

test("blocks of another table at the same place are refused", async () => {
  const [a, b] = [join(folder, "one.table"), join(folder, "two.table")]
  const rows = (value: string) =>
    Array.from({ length: 2_000 }, (_, i): Pair => [Buffer.from(`key ${i}`), Buffer.from(`${value} ${i}`)])
  await buildOf(a, rows("one"))
  await buildOf(b, rows("two"))
  const [first, second] = [await readFile(a), await readFile(b)]
  second.copy(first, 0, 0, 30_000)
  await writeFile(a, first)
  await withTable(a, table => {
    for (const i of [0, 500, 1_999]) {
      try {
        assert.equal(table.get(`key ${i}`)?.toString(), `one ${i}`)
      } catch (error) {
        assert.ok(isDamage(error))
      }
    }
  })
})

test("limits and values: what a table cannot have is refused by name", async () => {
  const path = join(folder, "limits.table")
  await assert.rejects(buildOf(path, [[Buffer.alloc(4_096), Buffer.alloc(0)]]), /line 1: the key has 4096 bytes/)
  await assert.rejects(buildOf(path, [[Buffer.from("a"), Buffer.alloc(4 * MIB + 1)]]), /line 1: the value has/)
  await assert.rejects(buildOf(join(folder, "none", "x.table"), []), /the folder .* does not exist/)
  await assert.rejects(buildOf(path, [], { notes: { note: "x".repeat(2_000) } }), /notes/)
  await buildOf(path, [[Buffer.from("k"), Buffer.from('{"a":1}')]], { values: "json", notes: { made: "here" } })
  await withTable(path, table => {
    assert.deepEqual(table.value("k"), { a: 1 })
    assert.deepEqual(table.stat().notes, { made: "here" })
  })
})

test("the cache is bounded", async () => {
  const { path, pairs } = await large()
  const reader = await TableFile.open(new RealDisk(), path, { cacheBytes: 100_000 })
  for (const [key, value] of pairs) assert.deepEqual(reader.get(key), Buffer.from(value))
  assert.ok(reader.cachedBytes <= 100_000 + 64 * 1024, `${reader.cachedBytes}`)
  await reader.close()
})
