/**
 * A row that the metadata store refuses does not stop checkpoints: the row is set aside, read as before, survives restarts
 * and cuts of the log, and is free again once it is overwritten or deleted.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Family } from "@hayloft/base/rows/families.js"
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId, parseEpoch, parsePosition, parseTabletId, rowKeyOf } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { decodeEntry, type EntryWrite } from "../../format/device/entry.js"
import { encodeEntry } from "../../format/device/testing-entry.js"
import { FIRST_EPOCH } from "../../format/device/replica-incarnation.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "@hayloft/base/seams/store/contract.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { containedSequence, runCheckpoint } from "./checkpoint.js"
import { openLogReader } from "../log/log-reader.js"
import { openLog } from "../log/log.js"
import { PayloadUpkeep } from "./payload-upkeep.js"
import { Rows } from "../rows.js"
import { ASIDE_LIMITS, printedRow } from "./rows-aside.js"
import { MemoryShelf } from "./testing-shelf.js"

const TABLET = parseTabletId(1)
const DEVICE = parseDeviceId("00000000000000d1")
const PREFIX = "\x00\x00\x00\x01"
const TOO_LONG = Buffer.alloc(VALUE_BYTES_MAX, 7)
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }

/** A device of which only metadata store and log outlive a restart. */
async function scene() {
  const disk = new SimDisk()
  const crash = { beforeCommit: false }
  const stores = new MemoryStores({
    beforeCommit: () => {
      if (crash.beforeCommit) throw fail("deviceFailed")
    },
  })
  const upkeep = new PayloadUpkeep(new MemoryShelf(2_000), {
    deadShareMax: 0.2,
    deadShareMaxWhenShort: 0.06,
    deadBytesMin: 200,
    movedBytesMax: 1_500,
  })
  const start = async () => {
    disk.kill()
    const base = await stores.openReader("/base")
    const contained = containedSequence(base)
    const log = await openLog(disk.boot(), "/log", DEVICE, { known: contained, segmentBytes: 4 * MIB })
    const rows = new Rows(base, contained)
    let replayed = 0
    for await (const { bytes, sequence } of log.records(contained)) {
      replayed += 1
      const writes = decodeEntry(bytes).writes.map(({ family, key, value }) => {
        return { family, key: rowKeyOf(PREFIX + key), value: value && Uint8Array.from(value) }
      })
      rows.apply(writes, sequence)
    }
    return { log, rows, replayed }
  }
  let { log, rows, replayed } = await start()
  let position = 0
  return {
    crash,
    get aside() {
      return rows.setAside
    },
    get replayed() {
      return replayed
    },
    async restart() {
      ;({ log, rows, replayed } = await start())
    },
    async write(family: Family, name: string, value: Uint8Array | undefined) {
      position += 1
      const write: EntryWrite = { family, key: rowKeyOf(name), value }
      const entry = { tabletId: TABLET, epoch: parseEpoch(1), position: parsePosition(position), writes: [write] }
      const { sequence } = await log.append([encodeEntry(entry).record])
      rows.apply([{ family, key: rowKeyOf(PREFIX + name), value }], sequence)
    },
    async checkpoint(since = FIRST_EPOCH) {
      const upTo = rows.isCheckpointing ? rows.frozenAt : rows.freeze()
      const request = { upTo, replicaIncarnations: new Map([[TABLET, since]]), emptied: [] }
      const reader = openLogReader(disk.boot(), "/log", DEVICE)
      await runCheckpoint(await stores.openWriter("/base"), reader, [], upkeep, request)
      await rows.prepare()
      rows.dropFrozen()
      await log.cut(upTo)
    },
    /** The lengths of the rows of a family by name: by key, by range and by scan, which agree. */
    read(family: Family): Readonly<Record<string, number>> {
      const ranged = Array.from(rows.range(family, ALL), ([key, row]) => [key.slice(4), row.value.length] as const)
      const scanned: (readonly [string, number])[] = []
      rows.scan(family, ALL, {
        row: (bytes, keyAt, valueAt, end) => {
          scanned.push([bytes.toString("latin1", keyAt + 4, valueAt), end - valueAt])
          return true
        },
      })
      assert.deepEqual(scanned, ranged)
      for (const [name, length] of ranged) assert.equal(rows.get(family, rowKeyOf(PREFIX + name))?.value.length, length)
      return Object.fromEntries(ranged)
    },
  }
}

test("a value or key that is too long is set aside; the rest is written, and all is read after a restart", async () => {
  const device = await scene()
  const longKey = "k".repeat(KEY_BYTES_MAX)
  await device.write("current", "a", Uint8Array.of(1))
  await device.write("current", "bad", TOO_LONG)
  await device.write("current", longKey, Uint8Array.of(1, 2))
  await device.write("current", "z", Uint8Array.of(3))
  await device.checkpoint()
  const all = { a: 1, bad: TOO_LONG.length, [longKey]: 2, z: 1 }
  assert.deepEqual(device.read("current"), all)
  await device.restart()
  assert.equal(device.replayed, 0, "the log is cut")
  assert.deepEqual(device.read("current"), all)
  assert.equal(device.aside.length, 2)
  await device.write("current", "b", Uint8Array.of(1))
  await device.checkpoint()
  await device.restart()
  assert.deepEqual(device.read("current"), { ...all, b: 1 }, "later checkpoints carry them on")
})

test("a log that an earlier release left with such a row is checkpointed after the start", async () => {
  const device = await scene()
  await device.write("current", "bad", TOO_LONG)
  await device.restart()
  assert.equal(device.replayed, 1)
  await device.checkpoint()
  await device.restart()
  assert.deepEqual([device.replayed, device.read("current")], [0, { bad: TOO_LONG.length }])
})

test("overwriting or deleting a row that is set aside frees it without a restart, and for the next one", async () => {
  const device = await scene()
  for (const name of ["deleted", "replaced"]) await device.write("current", name, Uint8Array.of(1))
  await device.checkpoint()
  for (const name of ["deleted", "replaced"]) await device.write("current", name, TOO_LONG)
  await device.write("current", "k".repeat(KEY_BYTES_MAX), Uint8Array.of(1))
  await device.checkpoint()
  assert.equal(device.aside.length, 3)
  await device.write("current", "deleted", undefined)
  await device.write("current", "k".repeat(KEY_BYTES_MAX), undefined)
  await device.write("current", "replaced", Uint8Array.of(1, 2))
  assert.deepEqual(device.read("current"), { replaced: 2 })
  await device.checkpoint()
  assert.deepEqual([device.aside, device.read("current")], [[], { replaced: 2 }])
  await device.restart()
  assert.deepEqual([device.aside, device.read("current")], [[], { replaced: 2 }], "no older version is seen again")
})

test("a commit that fails, and a restart after it, lose no row that is set aside", async () => {
  const device = await scene()
  await device.write("current", "bad", TOO_LONG)
  device.crash.beforeCommit = true
  await assert.rejects(device.checkpoint())
  device.crash.beforeCommit = false
  await device.restart()
  assert.deepEqual(device.read("current"), { bad: TOO_LONG.length })
  await device.checkpoint()
  await device.write("current", "bad", undefined)
  device.crash.beforeCommit = true
  await assert.rejects(device.checkpoint())
  device.crash.beforeCommit = false
  await device.restart()
  assert.deepEqual(device.read("current"), {}, "the deletion is in the log")
  await device.checkpoint()
  assert.deepEqual(device.aside, [])
})

test("beyond the limit the checkpoint fails, and succeeds once one of the rows is deleted", async () => {
  const device = await scene()
  for (let row = 0; row <= ASIDE_LIMITS.rowsMax; row += 1) await device.write("current", `bad ${row}`, TOO_LONG)
  await assert.rejects(device.checkpoint(), /is too long/)
  assert.equal(Object.keys(device.read("current")).length, ASIDE_LIMITS.rowsMax + 1)
  await device.write("current", "bad 0", undefined)
  await device.restart()
  await device.checkpoint()
  assert.equal(device.aside.length, ASIDE_LIMITS.rowsMax)
})

test("rows set aside end with the incarnation of the replica", async () => {
  const device = await scene()
  await device.write("current", "bad", TOO_LONG)
  await device.checkpoint()
  await device.checkpoint(parseEpoch(2))
  assert.deepEqual(device.aside, [])
})

test("the name of a row is printed without control characters, and shortened", () => {
  assert.equal(printedRow("current", rowKeyOf('a\n\x1b\xff"')), 'current "a???\\""')
  assert.equal(printedRow("current", rowKeyOf("k".repeat(50))), `current "${"k".repeat(48)}" and 2 bytes`)
})
