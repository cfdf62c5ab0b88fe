import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseIncarnation, type DeviceId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { CALL_LIMITS, queuedDisk, readControlRecord, writeControlRecord } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { fails, SimDisk, slowedBy } from "@hayloft/base/seams/disk/index.js"
import { COORDINATION_LIMITS, ControlRecordManager, type KeptFolder } from "./record-manager.js"
import { GENERATIONS_PER_INCARNATION } from "./steps-core.js"
import { deviceEntry, idOf, recordOf, withState } from "./testing-record.js"

const LIFE = parseIncarnation(3)
const never = new Promise<void>(() => undefined)

async function kept(count: number) {
  const clock = new SimClock()
  const numbers = Array.from({ length: count }, (_, i) => i + 1)
  const sims = numbers.map(() => new SimDisk())
  const stop = new AbortController()
  const folders: KeptFolder[] = []
  const record = recordOf(1, numbers)
  for (const [i, sim] of sims.entries()) {
    const disk = queuedDisk(sim.boot(), clock, CALL_LIMITS, stop.signal, () => undefined)
    await sim.boot().makeFolder(`/d${i + 1}`)
    await writeControlRecord(sim.boot(), `/d${i + 1}`, record)
    folders.push({ id: idOf(i + 1), disk, path: `/d${i + 1}` })
  }
  const refused: (readonly [DeviceId, Failure])[] = []
  const recordManager = new ControlRecordManager(
    clock,
    LIFE,
    record,
    () => folders,
    (id, failure) => void refused.push([id, failure]),
  )
  const onDisk = async (n: number): Promise<ControlRecord> => {
    const found = await readControlRecord(sims[n - 1]?.boot() ?? assert.fail(), `/d${n}`)
    return found !== undefined && !(found instanceof Error) ? found : assert.fail("a record")
  }
  const sim = (n: number): SimDisk => sims[n - 1] ?? assert.fail("a disk")
  return { clock, recordManager, folders, refused, sim, onDisk }
}

const inRegion = (region: string) => (record: ControlRecord) => ({ ...record, region })

test("changes are decided one after another, written to every device, and reported in order", async () => {
  const { recordManager, onDisk } = await kept(3)
  const heard: string[] = []
  const end = recordManager.onChange((record, before) => void heard.push(`${before.region}>${record.region}`))
  const append = (text: string) => (record: ControlRecord) => ({ ...record, region: record.region + text })
  await Promise.all(["a", "b", "c"].map(text => recordManager.change("append", append(text))))
  end()
  const last = await recordManager.change("append", append("d"))
  assert.deepEqual(heard, [">a", "a>ab", "ab>abc"])
  assert.equal(last, recordManager.record)
  assert.equal(last.region, "abcd")
  assert.equal(last.generation, LIFE * GENERATIONS_PER_INCARNATION + 3, "the generations of this life, without gaps")
  for (const n of [1, 2, 3]) assert.deepEqual(await onDisk(n), last)
})

test("a decision without a change writes nothing, and one that throws does not block the next", async () => {
  const { recordManager, onDisk } = await kept(2)
  const before = recordManager.record
  assert.equal(await recordManager.change("nothing", () => undefined), before)
  assert.equal(await recordManager.change("the same", record => record), before)
  const refusal = recordManager.change("refused", () => {
    throw fail("conflict")
  })
  const next = recordManager.change("next", inRegion("x"))
  await assert.rejects(refusal, error => isFailure(error, "conflict"))
  assert.equal((await next).region, "x")
  assert.equal((await onDisk(1)).region, "x")
})

test("half of the devices are enough", async () => {
  const { recordManager, refused, sim, onDisk } = await kept(4)
  sim(3).intercept(fails("EIO"))
  sim(4).intercept(fails("ENOSPC"))
  const record = await recordManager.change("offline", before => withState(before, 3, "offline"))
  assert.equal(recordManager.record, record)
  assert.deepEqual(
    refused.map(([id, { kind }]) => [id, kind]),
    [],
    "a device that goes out is not asked, and one that is full is well",
  )
  assert.deepEqual(await onDisk(1), record)
})

test("a device that was full when the record changed gets it once it has room", async () => {
  const { recordManager, refused, sim, onDisk } = await kept(2)
  sim(2).intercept(fails("ENOSPC"))
  const record = await recordManager.change("region", inRegion("x"))
  await assert.rejects(recordManager.spread(), error => isFailure(error, "deviceFailed"))
  sim(2).intercept(() => undefined)
  assert.equal((await onDisk(2)).region, "")
  assert.equal(await recordManager.spread(), record)
  for (const n of [1, 2]) assert.deepEqual(await onDisk(n), record)
  sim(1).intercept(fails("EIO"))
  assert.equal(await recordManager.spread(), record, "what has the record is not written again")
  assert.deepEqual(refused, [])
})

test("after a failed change, devices get the record in effect as a newer one", async () => {
  const { recordManager, sim, onDisk } = await kept(3)
  for (const n of [2, 3]) sim(n).intercept(fails("EIO"))
  await assert.rejects(recordManager.change("region", inRegion("lost")))
  for (const n of [2, 3]) sim(n).intercept(() => undefined)
  const tried = await onDisk(1)
  const record = await recordManager.spread()
  assert.ok(record.generation > tried.generation)
  for (const n of [1, 2, 3]) assert.deepEqual(await onDisk(n), { ...record, region: "" })
})

test("fewer than half: the record stays, changes halt, and the next attempt has its own generation", async () => {
  const { recordManager, refused, sim, onDisk } = await kept(3)
  const before = recordManager.record
  for (const n of [2, 3]) sim(n).intercept(fails("EIO"))
  const heard: ControlRecord[] = []
  recordManager.onChange(record => void heard.push(record))
  await assert.rejects(recordManager.change("region", inRegion("lost")), error => isFailure(error, "deviceFailed"))
  assert.equal(recordManager.record, before)
  assert.deepEqual(
    refused.map(([id, { kind }]) => [id, kind]),
    [2, 3].map(n => [idOf(n), "deviceFailed"]),
  )
  assert.deepEqual(heard, [])
  const tried = await onDisk(1)
  assert.equal(tried.region, "lost", "it lies on the one device that took it")
  for (const n of [2, 3]) sim(n).intercept(() => undefined)
  const record = await recordManager.change("region", inRegion("found"))
  assert.ok(record.generation > tried.generation)
  assert.equal(heard.at(-1), record)
})

test("after a failed change, a start that finds the failed record also finds the next one", async () => {
  // Only device 1 has recorded that 4 is offline: with it, 1 and 2 would be more than half of 1, 2, 3.
  const { recordManager, sim, onDisk } = await kept(4)
  for (const n of [2, 3, 4]) sim(n).intercept(fails("EIO"))
  await assert.rejects(recordManager.change("4 out", record => withState(record, 4, "offline")))
  for (const n of [3, 4]) sim(n).intercept(() => undefined)
  sim(1).intercept(fails("EIO"))
  const offline = (record: ControlRecord): ControlRecord => withState(record, 1, "offline")
  await assert.rejects(recordManager.change("1 out", offline), "3 and 4 are half of the four, and one of the three")
  sim(2).intercept(() => undefined)
  assert.equal(await recordManager.change("1 out", offline), recordManager.record)
  assert.deepEqual(await onDisk(2), recordManager.record)
})

test("a change of several devices is made one by one, removals first", async () => {
  const { recordManager, folders } = await kept(3)
  const sim = new SimDisk()
  await sim.boot().makeFolder("/d9")
  folders.push({ id: idOf(9), disk: sim.boot(), path: "/d9" })
  const seen: string[] = []
  recordManager.onChange(
    ({ devices }) => void seen.push(devices.map(({ id, state }) => `${Number(id)}${state}`).join(" ")),
  )
  await recordManager.change("replace", record => ({
    ...record,
    region: "new",
    devices: [...withState(record, 2, "offline").devices.slice(0, 2), deviceEntry(9, "rebuilding")],
  }))
  assert.deepEqual(seen, ["1active 2offline 3active", "1active 2offline 3offline", "1active 2offline 9rebuilding"])
  assert.equal(recordManager.record.region, "new")
})

test("a device that hangs delays a change by the timeout of a call, and is reported", async () => {
  const { clock, recordManager, refused, sim } = await kept(3)
  sim(2).intercept(() => never)
  const change = recordManager.change("region", inRegion("x"))
  const record = await clock.runUntil(change, COORDINATION_LIMITS.acceptTimeoutMs)
  assert.equal(record.region, "x")
  assert.deepEqual(
    refused.map(([id, { kind }]) => [id, kind]),
    [[idOf(2), "deviceFailed"]],
  )
  const begunMs = clock.monotonicMs()
  await clock.runUntil(recordManager.change("offline", before => withState(before, 2, "offline")))
  assert.equal(clock.monotonicMs(), begunMs, "nobody waits for a device that goes out")
})

test("slow devices fail no change and are not reported: it waits while it needs them, and not for others", async () => {
  const { clock, recordManager, refused, sim, onDisk } = await kept(3)
  const slow = slowedBy(clock, 1_500)
  for (const n of [1, 2, 3]) sim(n).intercept(slow)
  const record = await clock.runUntil(recordManager.change("region", inRegion("x")), 60_000)
  assert.equal(record.region, "x")
  for (const n of [1, 2]) sim(n).intercept(() => undefined)
  const begunMs = clock.monotonicMs()
  const next = await clock.runUntil(recordManager.change("region", inRegion("y")), 60_000)
  assert.ok(clock.monotonicMs() - begunMs <= COORDINATION_LIMITS.acceptTimeoutMs, "two of three are enough")
  assert.deepEqual(await onDisk(1), next)
  await clock.advance(60_000)
  sim(3).intercept(() => undefined)
  assert.deepEqual(await onDisk(3), next, "the slow one has got it as well")
  assert.deepEqual(refused, [])
})

test("a record is spread to a slow device, however long that takes", async () => {
  const { clock, recordManager, refused, sim, onDisk } = await kept(3)
  sim(3).intercept(slowedBy(clock, 3_000))
  const record = await clock.runUntil(recordManager.change("region", inRegion("x")), 60_000)
  const begunMs = clock.monotonicMs()
  await clock.runUntil(recordManager.spread(), 120_000)
  assert.ok(clock.monotonicMs() - begunMs > COORDINATION_LIMITS.acceptTimeoutMs, "longer than a change waits")
  sim(3).intercept(() => undefined)
  assert.deepEqual(await onDisk(3), record)
  assert.deepEqual(refused, [])
})

test("a slow device gets the newest of many changes, and none of those before that it has not begun", async () => {
  const { clock, recordManager, refused, sim, onDisk } = await kept(3)
  let writes = 0
  const slow = slowedBy(clock, 3_000)
  sim(3).intercept(call => {
    if (call.kind === "sync" && call.path.endsWith("/control.new")) writes += 1
    return slow(call)
  })
  for (let i = 0; i < 20; i += 1) await clock.runUntil(recordManager.change("region", inRegion(`r${i}`)), 60_000)
  await clock.runUntil(recordManager.spread(), 120_000)
  sim(3).intercept(() => undefined)
  assert.equal((await onDisk(3)).region, "r19")
  assert.ok(writes < 10, `${writes} writes of 20 records`)
  assert.deepEqual(refused, [])
})

test("a device without a free byte accepts the record in the space of its ballast", async () => {
  const { recordManager, sim, onDisk } = await kept(1)
  const disk = sim(1).boot()
  await disk.makeFolder("/d1/ballast")
  const ballast = await disk.open("/d1/ballast/000001", "create")
  await ballast.write([new Uint8Array(64 * KIB)], 0)
  await ballast.close()
  sim(1).capacityBytes = sim(1).medium.usedBytes
  const record = await recordManager.change("region", inRegion("x"))
  assert.deepEqual(await onDisk(1), record)
  assert.deepEqual(sim(1).medium.namesIn("/d1/ballast"), [])
})

test("stopped: the change in progress ends, and no other begins", async () => {
  const { clock, recordManager, sim } = await kept(2)
  sim(2).intercept(() => never)
  const change = recordManager.change("region", inRegion("x"))
  await clock.advance(0)
  const stopped = recordManager.stop()
  assert.equal((await clock.runUntil(change)).region, "x")
  await clock.runUntil(stopped)
  await assert.rejects(recordManager.change("region", inRegion("y")), error => isFailure(error, "stopping"))
  assert.equal(recordManager.record.region, "x")
})

test("too many concurrent changes are refused", async () => {
  const { clock, recordManager, sim } = await kept(1)
  sim(1).intercept(() => never)
  const changes = Array.from({ length: COORDINATION_LIMITS.changesWaitingMax }, () =>
    recordManager.change("region", inRegion("x")).catch(() => undefined),
  )
  await assert.rejects(recordManager.change("region", inRegion("y")), error => isFailure(error, "tooManyInFlight"))
  sim(1).intercept(() => undefined)
  await clock.runUntil(Promise.all(changes))
})
