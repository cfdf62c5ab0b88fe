/**
 * Memtable, log and metadata store together: written rows are read, whatever checkpoints do meanwhile, and survive a
 * start from metadata store and log, with checkpoints that failed or were cut off on the way.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import type { Family } from "@hayloft/base/rows/families.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseEpoch, parsePosition, parseTabletId, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import {
  ENTRY_BYTES_MAX,
  KIB,
  ROW_KEY_BYTES_MAX,
  STORED_KEY_OVERHEAD_BYTES_MAX,
  STORED_VALUE_OVERHEAD_BYTES_MAX,
} from "@hayloft/base/limits.js"
import { decodeStoredRow, encodeStoredRow } from "../../format/tables/stored-row.js"
import { decodeEntry, type EntryWrite } from "../../format/device/entry.js"
import { encodeEntry } from "../../format/device/testing-entry.js"
import { FIRST_EPOCH, storePrefixOf } from "../../format/device/replica-incarnation.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { assertWrite, type StoreWriter } from "@hayloft/base/seams/store/contract.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { containedPosition, containedSequence, readSourceMark, runCheckpoint, runMerge } from "./checkpoint.js"
import type { CheckpointSource, CommitLog } from "../contract.js"
import { openLogReader } from "../log/log-reader.js"
import { openLog } from "../log/log.js"
import { PayloadUpkeep } from "./payload-upkeep.js"
import { PayloadUsage } from "./payload-usage.js"
import { Rows } from "../rows.js"
import { MemoryShelf } from "./testing-shelf.js"

const TABLET = parseTabletId(1)
const MEMBERSHIPS = new Map([[TABLET, FIRST_EPOCH]])
const PREFIX = "\x00\x00\x00\x01"
const DEVICE = parseDeviceId("00000000000000d1")
const FAMILIES_USED: readonly Family[] = ["current", "versions", "heads"]
const UPKEEP = { deadShareMax: 0.2, deadShareMaxWhenShort: 0.06, deadBytesMin: 200, movedBytesMax: 1_500 }
const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString("latin1")

/** Counts in a family that is not logged: the n-th collection writes row "n". */
class Source implements CheckpointSource {
  readonly name = "source"
  private mark = 0

  async *collect(mark: Uint8Array | undefined) {
    this.mark = (mark?.[0] ?? 0) + 1
    yield { family: "needles", key: rowKeyOf(`n${this.mark}`), value: Uint8Array.of(this.mark) } as const
  }

  markAfter(): Uint8Array {
    return Uint8Array.of(this.mark)
  }
}

class Device {
  readonly disk = new SimDisk()
  private commitFails = false
  readonly stores = new MemoryStores({
    beforeCommit: () => {
      if (this.commitFails) throw fail("deviceFull")
    },
  })
  readonly shelf = new MemoryShelf(2_000)
  private upkeep = new PayloadUpkeep(this.shelf, UPKEEP)
  private emptied: readonly number[] = []
  isShort = false
  /** The written rows: row and payload, by family and key. */
  readonly model = new Map<string, { readonly value: string; readonly payload: string | undefined }>()
  private position = 0

  private constructor(
    private log: CommitLog,
    private rows: Rows,
  ) {}

  static async open(): Promise<Device> {
    const empty = new Rows(
      await new MemoryStores().openReader("/none"),
      containedSequence(await new MemoryStores().openReader("/none")),
    )
    const device = new Device(await openLog(new SimDisk().boot(), "/none", DEVICE), empty)
    await device.restart()
    return device
  }

  /** A process that died: only metadata store and log remain. */
  async restart(): Promise<void> {
    this.disk.kill()
    this.upkeep = new PayloadUpkeep(this.shelf, UPKEEP)
    this.emptied = []
    await this.shelf.seal()
    const base = await this.stores.openReader("/base")
    const contained = containedSequence(base)
    this.log = await openLog(this.disk.boot(), "/log", DEVICE, { known: contained, segmentBytes: 64 * KIB })
    this.rows = new Rows(base, contained)
    let last = containedPosition(base, TABLET, FIRST_EPOCH) ?? 0
    for await (const { bytes, place, sequence } of this.log.records(contained)) {
      const { position, writes } = decodeEntry(bytes)
      assert.equal(position, last + 1)
      last = position
      const payloads = writes.map(write => ({ ...write, payload: undefined, at: write.payload && place }))
      this.rows.apply(
        payloads.map(({ family, key, value }, i) => {
          const length = writes[i]?.payload?.length
          const inLog = { in: "log", place, lengthBytes: length ?? 0, position } as const
          const kept = value && Uint8Array.from(value)
          return {
            family,
            key: rowKeyOf(PREFIX + key),
            value: kept,
            ...(length === undefined ? {} : { payload: inLog }),
          }
        }),
        sequence,
      )
    }
    assert.equal(last, this.position)
  }

  async write(random: Random): Promise<void> {
    const writes = Array.from({ length: 1 + random.below(3) }, (): EntryWrite => {
      const family = must(FAMILIES_USED[random.below(3)], "there are three")
      const key = rowKeyOf(`key ${random.below(12)}`)
      if (random.below(4) === 0) return { family, key, value: undefined }
      const value = random.bytes(random.below(30))
      return random.below(2) === 0
        ? { family, key, value }
        : { family, key, value, payload: random.bytes(random.below(900)) }
    })
    const last = new Map(writes.map(write => [`${write.family} ${write.key}`, write]))
    const entry = {
      tabletId: TABLET,
      epoch: parseEpoch(1),
      position: parsePosition(this.position + 1),
      writes: [...last.values()],
    }
    const { sequence, places } = await this.log.append([encodeEntry(entry).record])
    this.position += 1
    const place = must(places[0], "one record, one place")
    this.rows.apply(
      entry.writes.map(({ family, key, value, payload }) => {
        const inLog = { in: "log", place, lengthBytes: payload?.length ?? 0, position: entry.position } as const
        return { family, key: rowKeyOf(PREFIX + key), value, ...(payload ? { payload: inLog } : {}) }
      }),
      sequence,
    )
    for (const [name, { value, payload }] of last) {
      if (value) this.model.set(name, { value: text(value) ?? "", payload: text(payload) })
      else this.model.delete(name)
    }
  }

  /** A checkpoint, with writes while it is under way; `fails`: its commit finds the disk full. */
  async checkpoint(random: Random | undefined, fails: boolean): Promise<boolean> {
    const upTo = this.rows.isCheckpointing ? this.rows.frozenAt : this.rows.freeze()
    if (random) await this.write(random)
    const writer = await this.stores.openWriter("/base")
    const reader = openLogReader(this.disk.boot(), "/log", DEVICE)
    this.commitFails = fails
    const request = { upTo, replicaIncarnations: MEMBERSHIPS, emptied: this.emptied, isShort: this.isShort }
    const run = runCheckpoint(writer, reader, [new Source()], this.upkeep, request)
    if (fails) {
      await assert.rejects(run, error => isFailure(error, "deviceFull"))
      this.commitFails = false
      await this.assertReads()
      return true
    }
    const { isMore, emptied } = await run
    // Readers still see the metadata store as it was.
    await this.assertReads()
    if (random) await this.write(random)
    await this.rows.prepare()
    this.rows.dropFrozen()
    this.emptied = emptied
    await this.log.cut(upTo)
    return isMore
  }

  /** The share of the written payload bytes that no row points at. */
  async deadShare(): Promise<number> {
    const base = await this.stores.openReader("/base")
    const writtenBytes = this.shelf.list().reduce((sum, volume) => sum + volume.writtenBytes, 0)
    const usage = PayloadUsage.open(base, (key, lengthBytes) => this.shelf.bytesOf(key, lengthBytes))
    const liveBytes = this.shelf.list().reduce((sum, { volume }) => sum + usage.liveBytes(volume), 0)
    return writtenBytes < UPKEEP.deadBytesMin ? 0 : 1 - liveBytes / writtenBytes
  }

  /** One step of merging; false if there was nothing to do. */
  async merge(): Promise<boolean> {
    const writer = await this.stores.openWriter("/base")
    const { rows, emptied } = await runMerge(writer, this.upkeep, { urgency: "full", spaceBytes: Infinity, unread: [] })
    await this.rows.prepare()
    this.rows.adopt()
    if (rows !== undefined) this.emptied = emptied
    return rows !== undefined
  }

  /** The usage is the count of a walk through all rows; more, as long as replaced rows have not been merged. */
  async assertUsage(isMerged: boolean): Promise<void> {
    const base = await this.stores.openReader("/base")
    const bytesOf = (key: RowKey, lengthBytes: number) => this.shelf.bytesOf(key, lengthBytes)
    const usage = PayloadUsage.open(base, bytesOf)
    const counted = new Map<number, number>()
    for (const family of FAMILIES_USED) {
      for (const [key, row] of base.range(family, { start: rowKeyOf(PREFIX), end: rowKeyOf(`${PREFIX}\xff`) })) {
        const { place } = decodeStoredRow(family, key, row)
        if (place) counted.set(place.volume, (counted.get(place.volume) ?? 0) + bytesOf(key, place.lengthBytes))
      }
    }
    for (const { volume } of this.shelf.list()) {
      const [found, live] = [usage.liveBytes(volume), counted.get(volume) ?? 0]
      assert.ok(isMerged ? found === live : found >= live, `volume ${volume}: ${found} for ${live} bytes`)
    }
  }

  /** Every row as a reader sees it. */
  async assertReads(): Promise<void> {
    for (const family of FAMILIES_USED) {
      const expected = [...this.model]
        .filter(([name]) => name.startsWith(`${family} `))
        .sort(([a], [b]) => (a < b ? -1 : 1))
      const range = { start: rowKeyOf(PREFIX), end: rowKeyOf(`${PREFIX}\xff`) }
      const found = [...this.rows.range(family, range)].map(([key, row]) => [
        `${family} ${key.slice(4)}`,
        text(row.value),
      ])
      assert.deepEqual(
        found,
        expected.map(([name, { value }]) => [name, value]),
      )
      for (const [name, { value, payload }] of expected) {
        const key = rowKeyOf(PREFIX + name.slice(family.length + 1))
        const row = must(this.rows.get(family, key), "it was just listed")
        assert.equal(text(row.value), value)
        assert.equal(row.payload !== undefined, payload !== undefined)
        if (row.payload?.in === "volume") assert.equal(text(await this.shelf.read(family, key, row.payload)), payload)
      }
    }
  }

  async collections(): Promise<number> {
    return readSourceMark(await this.stores.openReader("/base"), "source")?.[0] ?? 0
  }
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`rows are those that were written, through checkpoints, failures and restarts (seed ${seed})`, async () => {
    const random = new SimRandom(seed)
    const device = await Device.open()
    let collected = 0
    for (let step = 0; step < 150; step += 1) {
      const what = random.below(12)
      if (what < 9) await device.write(random)
      else if (what < 11) {
        const fails = random.below(3) === 0
        await device.checkpoint(random, fails)
        if (!fails) collected += 1
      } else await device.restart()
      const isMerged = random.below(4) === 0
      if (isMerged) await device.merge()
      await device.assertReads()
      await device.assertUsage(isMerged)
      assert.equal(await device.collections(), collected, "a source's mark is in the same transaction as its rows")
    }
    for (const [isShort, deadShareMax] of [
      [false, 0.25],
      [true, 0.1],
    ] as const) {
      device.isShort = isShort
      for (let left = 100; (await device.checkpoint(undefined, false)) || (await device.merge()); left -= 1) {
        assert.ok(left > 0, "tidying ends")
        await device.assertReads()
      }
      await device.assertReads()
      await device.assertUsage(true)
      const deadShare = await device.deadShare()
      assert.ok(deadShare < deadShareMax, `${deadShare} of the payloads' space is dead`)
    }
  })
}

test("entries of a tablet that is no longer on the device are skipped", async () => {
  const disk = new SimDisk().boot()
  const log = await openLog(disk, "/log", DEVICE)
  const writes = [{ family: "current", key: rowKeyOf("k"), value: Uint8Array.of(1) }] as const
  const entry = { tabletId: parseTabletId(9), epoch: parseEpoch(1), position: parsePosition(1), writes }
  const { sequence } = await log.append([encodeEntry(entry).record])
  const writer = await new MemoryStores().openWriter("/base")
  const request = { upTo: sequence, replicaIncarnations: MEMBERSHIPS, emptied: [] }
  const upkeep = new PayloadUpkeep(new MemoryShelf(1_000))
  const { rows } = await runCheckpoint(writer, openLogReader(disk, "/log", DEVICE), [], upkeep, request)
  assert.equal(rows, 0)
  assert.equal(containedSequence(writer), sequence)
})

test("payloads of an ended replica incarnation are dead, and their volume is removed", async () => {
  const disk = new SimDisk().boot()
  const log = await openLog(disk, "/log", DEVICE)
  const writes = [
    { family: "current", key: rowKeyOf("k"), value: Uint8Array.of(1), payload: Buffer.alloc(500) },
  ] as const
  const entry = { tabletId: TABLET, epoch: parseEpoch(1), position: parsePosition(1), writes }
  const { sequence } = await log.append([encodeEntry(entry).record])
  const writer = await new MemoryStores().openWriter("/base")
  const shelf = new MemoryShelf(100)
  const upkeep = new PayloadUpkeep(shelf)
  const reader = openLogReader(disk, "/log", DEVICE)
  const run = (replicaIncarnations: typeof MEMBERSHIPS, emptied: readonly number[]) =>
    runCheckpoint(writer, reader, [], upkeep, { upTo: sequence, replicaIncarnations, emptied })
  assert.equal((await run(MEMBERSHIPS, [])).payloads, 1)
  await shelf.seal()
  assert.equal((await run(new Map(), [])).deadRows, 1)
  const { emptied } = await runMerge(writer, upkeep, { urgency: "quiet", spaceBytes: Infinity, unread: [] })
  assert.deepEqual(emptied, [1])
  assert.deepEqual((await run(new Map(), emptied)).removed, [1])
  assert.deepEqual(shelf.list(), [])
})

test("unreadable rows delay no checkpoint, and volumes that they may point into stay", async () => {
  const { base, shelf, put, run, assertReads } = await payloadScene()
  for (const name of "abcd") await put(name)
  const idle = new PayloadUpkeep(shelf, { ...UPKEEP, deadBytesMin: Infinity })
  await run(base, idle)
  for (const name of "abc") await put(name)
  await run(base, idle)
  await shelf.seal()
  const isMark = (family: Family): boolean => family === "marks"
  for (const kind of ["corruptRow", "deviceFailed"] as const) {
    const hurt: StoreWriter = Object.assign<StoreWriter, Partial<StoreWriter>>(failing(base, []), {
      get: (family, key) => (isMark(family) ? base.get(family, key) : assert.fail(fail(kind))),
      range: (family, range) => (isMark(family) ? base.range(family, range) : assert.fail(fail(kind))),
    })
    const volumes = shelf.list().length
    await put("e")
    const { rows } = await run(hurt, new PayloadUpkeep(shelf, UPKEEP))
    assert.equal(rows, 1, kind)
    assert.ok(shelf.list().length >= volumes, "no volume is removed")
  }
  await run(base, new PayloadUpkeep(shelf, UPKEEP))
  await assertReads("abcde")
})

/** A store whose commits fail as on a full disk: after the moment from which they count, or before it. */
function failing(base: StoreWriter, fails: ("behind" | "before")[]): StoreWriter {
  let isBehind = false
  return {
    get: (family, key) => base.get(family, key),
    range: (family, range) => base.range(family, range),
    scan: (family, range, visitor) => base.scan(family, range, visitor),
    warm: (family, keys) => base.warm(family, keys),
    verify: signal => base.verify(signal),
    prepare: () => base.prepare(),
    adopt: () => base.adopt(),
    get generation() {
      return base.generation
    },
    get isCertain() {
      return !isBehind
    },
    isCrowded: false,
    merge: merging => base.merge(merging),
    removeUnused: () => base.removeUnused(),
    close: () => base.close(),
    commit: async writes => {
      const how = fails.shift()
      isBehind = how === "behind"
      if (how !== "before") await base.commit(writes)
      if (how !== undefined) throw fail("deviceFull")
    },
  }
}

/** A metadata store, a log for it, and the checkpoints from one to the other. */
async function payloadScene() {
  const disk = new SimDisk().boot()
  const written = await openLog(disk, "/log", DEVICE)
  const base = await new MemoryStores().openWriter("/base")
  const [shelf, reader] = [new MemoryShelf(2_000), openLogReader(disk, "/log", DEVICE)]
  let position = 0
  const put = async (name: string) => {
    position += 1
    const writes = [
      { family: "current", key: rowKeyOf(name), value: Uint8Array.of(1), payload: Buffer.alloc(500, name) },
    ] as const
    const entry = { tabletId: TABLET, epoch: parseEpoch(1), position: parsePosition(position), writes }
    await written.append([encodeEntry(entry).record])
  }
  const run = (store: StoreWriter, upkeep: PayloadUpkeep) =>
    runCheckpoint(store, reader, [], upkeep, { upTo: written.durable, replicaIncarnations: MEMBERSHIPS, emptied: [] })
  const assertReads = async (names: string) => {
    for (const name of names) {
      const key = rowKeyOf(PREFIX + name)
      const { place } = decodeStoredRow("current", key, must(base.get("current", key), "it was put"))
      assert.equal(text(await shelf.read("current", key, must(place, "it has a payload"))), name.repeat(500))
    }
  }
  return { base, shelf, put, run, assertReads }
}

const isFull = (error: unknown): boolean => isFailure(error, "deviceFull")

test("payloads stay if their commit failed after the moment from which it counts", async () => {
  const { base, shelf, put, run, assertReads } = await payloadScene()
  const store = failing(base, ["behind", "before"])
  const upkeep = new PayloadUpkeep(shelf, UPKEEP)
  for (const name of "abcd") await put(name)
  await assert.rejects(run(store, upkeep), isFull)
  await assert.rejects(run(store, upkeep), isFull, "nothing of it is there, and nothing was appended for it")
  await run(store, upkeep)
  await assertReads("abcd")
})

test("payloads that such a commit has only moved stay as well", async () => {
  const { base, shelf, put, run, assertReads } = await payloadScene()
  const idle = new PayloadUpkeep(shelf, { ...UPKEEP, deadBytesMin: Infinity })
  for (const name of "abcd") await put(name)
  await run(base, idle)
  await put("a")
  await run(base, idle)
  await shelf.seal()
  const upkeep = new PayloadUpkeep(shelf, UPKEEP)
  await assert.rejects(run(failing(base, ["behind"]), upkeep), isFull)
  await run(base, upkeep)
  await assertReads("abcd")
})

test("a store takes the largest row that a command may write, with what a device adds to it", () => {
  const value = new Uint8Array(ENTRY_BYTES_MAX)
  const stored = encodeStoredRow(value, { volume: 1, offsetBytes: 2 ** 40, lengthBytes: KIB })
  const prefix = storePrefixOf(parseEpoch(0xffff_ffff))
  assert.ok(prefix.length <= STORED_KEY_OVERHEAD_BYTES_MAX)
  assert.ok(stored.length - value.length <= STORED_VALUE_OVERHEAD_BYTES_MAX)
  const key = rowKeyOf(prefix + "k".repeat(ROW_KEY_BYTES_MAX))
  assertWrite({ family: "current", key, value: stored })
})
