/** Rot in a metadata store, in the payloads it points at and in a log is found, step by step, and nothing else is. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { FAMILIES, FAMILY_NAMES, type Family } from "@hayloft/base/rows/families.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence, rowKeyOf, type LogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { encodeStoredRow } from "../../format/tables/stored-row.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import type { StoreWrite } from "@hayloft/base/seams/store/contract.js"
import { openLog } from "../log/log.js"
import { openLogReader } from "../log/log-reader.js"
import { FIRST_SCRUB_MS, LogScrub, MetadataScrub } from "./scrub-jobs.js"
import { scrubRowsStep, scrubLogStep, SCRUB_LIMITS, type RowScrubCursor, type RowFinding } from "./scrub.js"

const DEVICE = parseDeviceId("00000000000000d1")
const LIMITS = { ...SCRUB_LIMITS, rowsMax: 7, logBytesMax: 8 * KIB }
const place = { volume: 1, offsetBytes: 4096, lengthBytes: 100 }

const row = (family: Family, name: string, withPayload = false): StoreWrite => ({
  family,
  key: rowKeyOf(name),
  value: encodeStoredRow(Buffer.from(name), withPayload ? place : undefined),
})

async function walk(store: Parameters<typeof scrubRowsStep>[0], verify: Parameters<typeof scrubRowsStep>[2]) {
  const findings: RowFinding[] = []
  let [from, rows, steps]: [RowScrubCursor | undefined, number, number] = [undefined, 0, 0]
  do {
    const step = await scrubRowsStep(store, from, verify, LIMITS)
    assert.ok(step.rows <= LIMITS.rowsMax)
    findings.push(...step.findings)
    from = step.next
    rows += step.rows
    steps += 1
  } while (from !== undefined)
  return { findings, rows, steps }
}

const good = () => Promise.resolve(undefined)

test("every row of every family is verified once, and the damaged ones are named", async () => {
  const writer = await new MemoryStores().openWriter("/base")
  const writes = FAMILY_NAMES.flatMap((family, f) =>
    Array.from({ length: 3 + 5 * (f % 4) }, (_, i) => row(family, `row ${String(i).padStart(3, "0")}`, i % 2 === 0)),
  )
  await writer.commit(writes)
  const sound = await walk(writer, good)
  assert.deepEqual(sound.findings, [])
  assert.equal(sound.rows, writes.length)
  const rotten = row("versions", "row 007")
  rotten.value?.set([0xff], rotten.value.length - 1)
  await writer.commit([rotten, { family: "accounts", key: rowKeyOf("short"), value: Uint8Array.of(0, 1) }])
  const bad = (_: Family, key: string) =>
    key === "row 002" ? Promise.reject(fail("corruptNeedle", { reason: "rot" })) : Promise.resolve()
  const found = (await walk(writer, bad)).findings
  const named = (what: RowFinding["what"]) => found.filter(each => each.what === what)
  assert.deepEqual(
    named("row").map(({ family, key }) => `${family} ${key}`),
    ["versions row 007", "accounts short"],
  )
  assert.deepEqual(new Set(named("payload").map(({ key }) => String(key))), new Set(["row 002"]))
  assert.equal(named("payload").length, FAMILY_NAMES.length)
})

/** The failure by which a table reports a damaged block of rows that ends with this key. */
const damageUpTo = (family: Family, key: string) =>
  fail("corruptRow", { toKey: Buffer.from(`${String.fromCharCode(FAMILIES[family])}${key}`, "latin1").toString("hex") })

test("unreadable rows are named, and those behind them, and of other families, are still verified", async () => {
  const writer = await new MemoryStores().openWriter("/base")
  await writer.commit([row("current", "a"), row("current", "b"), row("current", "d"), row("heads", "e")])
  const broken = {
    get: () => undefined,
    scan: () => undefined,
    warm: () => undefined,
    verify: good,
    prepare: good,
    adopt: () => undefined,
    generation: 0,
    close: good,
    range: (family: Family, range: Parameters<typeof writer.range>[1]) => {
      if (family === "current" && range.start <= "c") throw damageUpTo("current", "c")
      if (family === "versions") throw damageUpTo("heads", "d")
      return writer.range(family, range)
    },
  }
  const { findings, rows } = await walk(broken, good)
  assert.deepEqual(
    findings.map(({ family, what }) => [family, what]),
    [
      ["current", "range"],
      ["versions", "range"],
    ],
  )
  assert.equal(rows, 2)
})

test("a device that times out proves nothing about its rows, one that cannot read them does", async () => {
  const writer = await new MemoryStores().openWriter("/base")
  await writer.commit([row("current", "a", true)])
  const failing = (code: string) => () => Promise.reject(fail("deviceFailed", { code }))
  await assert.rejects(walk(writer, failing("ETIMEDOUT")), error => isFailure(error, "deviceFailed"))
  assert.equal((await walk(writer, failing("EIO"))).findings.length, 1)
})

test("the job walks through all rows, reports its findings, and rests until the next walk is due", async () => {
  const clock = new SimClock()
  const writer = await new MemoryStores().openWriter("/base")
  await writer.commit([row("current", "a"), { family: "heads", key: rowKeyOf("b"), value: Uint8Array.of(9) }])
  const reported: RowFinding[] = []
  const step = (from: RowScrubCursor | undefined) => scrubRowsStep(writer, from, good, LIMITS)
  const job = new MetadataScrub("d", step, findings => reported.push(...findings), clock, 1000)
  await clock.advance(FIRST_SCRUB_MS - 1)
  assert.equal(await job.step(), "idle", "a start has other work")
  await clock.advance(1)
  for (let walks = 1; walks <= 2; walks += 1) {
    let steps = 0
    while ((await job.step()) === "busy") steps += 1
    assert.equal(steps, FAMILY_NAMES.length)
    assert.equal(reported.length, walks)
    assert.match(job.progress(), new RegExp(`${walks} walks done; 2 rows; 1 damaged`))
    await clock.advance(1000)
  }
})

async function scene() {
  const sim = new SimDisk()
  const log = await openLog(sim.boot(), "/log", DEVICE, { segmentBytes: 64 * KIB })
  for (let i = 0; i < 40; i += 1) await log.append([Buffer.alloc(3 * KIB, i), Buffer.alloc(KIB, i)])
  const reader = openLogReader(sim.boot(), "/log", DEVICE)
  const step = (after: LogSequence, upTo: LogSequence) => scrubLogStep(reader, after, upTo, LIMITS)
  return { sim, log, step }
}

test("a log is read in steps up to its end while it is being written, and damage in it is reported", async () => {
  const { sim, log, step } = await scene()
  let at = parseLogSequence(0)
  for (let steps = 0; at < log.durable; steps += 1) {
    assert.ok(steps < 40)
    const { seen, bytes, damage } = await step(at, log.durable)
    assert.equal(damage, undefined)
    assert.ok(seen > at && bytes <= LIMITS.logBytesMax + 4 * KIB)
    if (steps < 5) await log.append([Buffer.alloc(KIB)])
    at = seen
  }
  sim.flipBit("/log/segment-000002", 8 * 9000)
  const found: string[] = []
  const extent = () => ({ after: parseLogSequence(0), upTo: log.durable })
  const clock = new SimClock()
  const job = new LogScrub("d", extent, step, damage => found.push(damage.kind), clock)
  assert.equal(await job.step(), "idle", "the start has read the log")
  await clock.advance(FIRST_SCRUB_MS)
  while ((await job.step()) === "busy") continue
  assert.deepEqual(found, ["corruptLog"])
  await log.close()
})

test("a segment that is cut while it is being read is not damage", async () => {
  const { sim, log, step } = await scene()
  const found: string[] = []
  let after = parseLogSequence(0)
  const cutting = async (from: LogSequence, upTo: LogSequence) => {
    if (from > 0) return step(from, upTo)
    await log.cut(parseLogSequence(30))
    after = parseLogSequence(30)
    sim.flipBit("/log/segment-000001", 8 * 300)
    const seen = await step(from, upTo)
    assert.notEqual(seen.damage, undefined, "it looks like damage")
    return seen
  }
  const extent = () => ({ after, upTo: log.durable })
  const clock = new SimClock()
  const job = new LogScrub("d", extent, cutting, damage => found.push(damage.kind), clock)
  await clock.advance(FIRST_SCRUB_MS)
  while ((await job.step()) === "busy") continue
  assert.deepEqual(found, [])
  assert.match(job.progress(), /1 walks done/)
  await log.close()
})
