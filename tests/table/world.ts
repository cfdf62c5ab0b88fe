/**
 * A test fixture for a table store: a simulated disk, limits so small that a few hundred rows fill several levels,
 * and a model of the expected rows and of the dropped values that the store must report.
 */
import assert from "node:assert/strict"
import { DeviceCipher, deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import { must } from "@hayloft/base/assert.js"
import { parseDeviceId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { DroppedRow, Merging, MergeUrgency, StoreHost, StoreReader } from "@hayloft/base/seams/store/contract.js"
import type { StoreWrite } from "@hayloft/base/seams/store/contract.js"
import { BlockCache } from "@hayloft/engine/table/block-cache.js"
import { TABLE_LIMITS, type TableLimits } from "@hayloft/engine/table/limits.js"
import { TableReader } from "@hayloft/engine/table/store-reader.js"
import { TableStoreWriter } from "@hayloft/engine/table/store-writer.js"

export const DEVICE = parseDeviceId("0123456789abcdef")
export const FOLDER = "/d/base"
export const FAMILIES_USED = ["current", "versions", "pendingDeletions"] as const satisfies readonly Family[]
export const URGENCIES = ["due", "quiet", "full"] as const satisfies readonly MergeUrgency[]

export const SMALL_LIMITS: TableLimits = {
  ...TABLE_LIMITS,
  blockBytes: 256,
  partitionBytes: 1024,
  tableBytes: 3072,
  topRunsMax: 3,
  levelRatio: 3,
  firstLevelBytesMax: 4000,
  stepBytesMax: 6000,
  stepFilesMax: 4,
}
const CACHE_BYTES = 1 << 20

export interface OpenOptions {
  readonly cacheBytes?: number
  readonly syncBytesMax?: number
  readonly limits?: TableLimits
}

const KEYS = deviceKeysOf(new Uint8Array(32).fill(9), DEVICE)
const NONCES = new SimRandom(20_261_123)
let encrypts = false

/** Runs a check with stores that are encrypted. */
export async function encrypted<T>(check: () => Promise<T>): Promise<T> {
  encrypts = true
  try {
    return await check()
  } finally {
    encrypts = false
  }
}

export const cipherOf = (keys = KEYS): DeviceCipher => new DeviceCipher(keys, NONCES)

export const hostOf = (sim: SimDisk): StoreHost => ({
  disk: sim.boot(),
  deviceId: DEVICE,
  cipher: encrypts ? cipherOf() : undefined,
})

export async function openReader(host: StoreHost, options: OpenOptions = {}): Promise<TableReader> {
  const { cacheBytes = CACHE_BYTES, syncBytesMax = Infinity } = options
  await host.disk.makeFolder(FOLDER)
  return TableReader.open(host, FOLDER, { cache: new BlockCache(cacheBytes), syncBytesMax })
}

export async function openWriter(host: StoreHost, options: OpenOptions = {}): Promise<TableStoreWriter> {
  const { cacheBytes = CACHE_BYTES, syncBytesMax = Infinity, limits = SMALL_LIMITS } = options
  await host.disk.makeFolder(FOLDER)
  return TableStoreWriter.openWriter(host, FOLDER, { cache: new BlockCache(cacheBytes), syncBytesMax, limits })
}

export const mergingOf = (
  urgency: MergeUrgency,
  dropped: DroppedRow = () => undefined,
  marks: readonly StoreWrite[] = [],
): Merging => ({ urgency, spaceBytes: Infinity, dropped, marks: () => marks })

/** Merges until no merge is due. */
export async function mergeAll(
  writer: TableStoreWriter,
  urgency: MergeUrgency,
  dropped: DroppedRow = () => undefined,
): Promise<number> {
  for (let steps = 0; ; steps += 1) {
    assert.ok(steps < 1000, "merges do not end")
    if ((await writer.merge(mergingOf(urgency, dropped))) === undefined) return steps
  }
}

export const levelsOf = (store: TableReader): ReadonlySet<number> =>
  new Set(store.manifest.tables.map(({ level }) => level))

// --- rows ------------------------------------------------------------------------------------------------------

/** Rows by family and key, as text. */
export type Rows = ReadonlyMap<string, string>

const ALL = { start: rowKeyOf(""), end: rowKeyOf("\xff".repeat(40)) }
const nameOf = (family: Family, key: RowKey): string => `${family} ${key}`
export const textOf = (value: Uint8Array): string => Buffer.from(value).toString("latin1")
export const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1")

/** All rows of the store, marks included. Fails if they are not in order: a range that returns to an earlier key may not end. */
export function rowsOf(store: StoreReader): Rows {
  const rows = new Map<string, string>()
  for (const family of [...FAMILIES_USED, "marks"] as const) {
    let before: RowKey | undefined
    for (const [key, value] of store.range(family, ALL)) {
      assert.ok(before === undefined || before < key, `${nameOf(family, key)} comes after ${before}`)
      rows.set(nameOf(family, key), textOf(value))
      before = key
    }
  }
  return rows
}

type Pair = readonly [key: string, value: string]

/** The expected rows in a range of one family. */
export function expectedRange(rows: Rows, family: Family, start: string, end: string): Pair[] {
  const prefix = `${family} `
  const found = [...rows]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value] as const)
  return found.filter(([key]) => key >= start && key < end).sort(([a], [b]) => (a < b ? -1 : 1))
}

export function foundRange(store: StoreReader, family: Family, start: string, end: string, reverse: boolean): Pair[] {
  const range = { start: rowKeyOf(start), end: rowKeyOf(end), reverse }
  return Array.from(store.range(family, range), ([key, value]) => [key, textOf(value)] as const)
}

/** The same by `scan`, which ends after this many rows. */
export function scanned(store: StoreReader, family: Family, start: string, end: string, max = Infinity): Pair[] {
  const found: Pair[] = []
  store.scan(
    family,
    { start: rowKeyOf(start), end: rowKeyOf(end) },
    {
      row: (bytes, keyAt, valueAt, to) => {
        found.push([bytes.toString("latin1", keyAt, valueAt), bytes.toString("latin1", valueAt, to)])
        return found.length < max
      },
    },
  )
  return found
}

// --- the model -------------------------------------------------------------------------------------------------

export class Model {
  readonly rows = new Map<string, string>()
  /** Replaced or deleted values that are not reported yet: each must be reported once. */
  readonly unreported = new Set<string>()
  reported = 0
  private serial = 0
  private grown = 0

  constructor(
    private readonly random: Random,
    /** Some rows arrive in key order, as in a bucket whose keys are times. */
    private readonly isGrowing: boolean,
  ) {}

  /** A value that no other row has ever had. */
  private value(): string {
    this.serial += 1
    const length = this.random.below(40) === 0 ? 700 : this.random.below(60)
    return `${this.serial}:${"v".repeat(length)}`
  }

  key(): string {
    const { random } = this
    const number = random.below(120)
    if (number % 10 === 0) return `k${"\xff".repeat(number / 10)}`
    if (number % 10 === 1) return `k${"\0".repeat(number / 10)}`
    return `key ${number}`
  }

  /** Returns writes for one commit, and updates `rows` and `unreported`. */
  batch(countMax: number): StoreWrite[] {
    const { random } = this
    const writes = Array.from({ length: random.below(countMax) }, () => this.write())
    if (random.below(3) === 0) writes.push(this.mark())
    for (const write of new Map(writes.map(each => [nameOf(each.family, each.key), each])).values()) this.take(write)
    return writes
  }

  private write(): StoreWrite {
    const { random } = this
    const family = FAMILIES_USED[random.below(FAMILIES_USED.length)] ?? "current"
    this.grown += 1
    const isGrown = this.isGrowing && family === "pendingDeletions"
    const key = rowKeyOf(isGrown ? `r${String(this.grown).padStart(8, "0")}` : this.key())
    const value = random.below(3) === 0 ? undefined : bytesOf(this.value())
    const isOlderCounted = this.rows.has(nameOf(family, key)) && random.below(4) === 0
    return { family, key, value, ...(isOlderCounted && { isOlderCounted }) }
  }

  /** A mark that changes. */
  mark(): StoreWrite {
    const key = rowKeyOf(`mark ${this.random.below(3)}`)
    return { family: "marks", key, value: this.random.below(4) === 0 ? undefined : bytesOf(this.value()) }
  }

  take({ family, key, value, isOlderCounted }: StoreWrite): void {
    const name = nameOf(family, key)
    const before = this.rows.get(name)
    if (before !== undefined && isOlderCounted !== true && family !== "marks") this.unreported.add(`${name} ${before}`)
    if (value === undefined) this.rows.delete(name)
    else this.rows.set(name, textOf(value))
  }

  /** Called by merges. */
  readonly dropped: DroppedRow = (family, key, value) => {
    const row = `${nameOf(family, key)} ${textOf(value)}`
    assert.ok(this.unreported.delete(row), `reported a row that is in use, or that was reported before: ${row}`)
    this.reported += 1
  }
}

const linesOf = (rows: Rows): string =>
  [...rows]
    .map(row => row.join("="))
    .sort()
    .join("\n")

/** Like `deepEqual`, but faster. */
export function same(found: Rows, expected: Rows, where: string): void {
  if (linesOf(found) !== linesOf(expected)) assert.equal(linesOf(found), linesOf(expected), where)
}

/** Compares the results of all kinds of reads with the rows. */
export function compare(store: StoreReader, rows: Rows, random: Random, model: Model, where: string): void {
  same(rowsOf(store), rows, where)
  for (const family of FAMILIES_USED) {
    const [a, b] = [model.key(), model.key()].sort()
    const [start, end] = [must(a, "a key"), must(b, "a key")]
    const expected = expectedRange(rows, family, start, end)
    assert.deepEqual(foundRange(store, family, start, end, false), expected, where)
    assert.deepEqual(foundRange(store, family, start, end, true), [...expected].reverse(), where)
    assert.deepEqual(foundRange(store, family, end, start, false), [], where)
    const max = 1 + random.below(5)
    assert.deepEqual(scanned(store, family, start, end, max), expected.slice(0, max), where)
    for (let i = 0; i < 10; i += 1) {
      const key = model.key()
      const value = store.get(family, rowKeyOf(key))
      assert.equal(value && textOf(value), rows.get(`${family} ${key}`), `${where}: ${family} ${key}`)
    }
  }
}
