/** The control record as a row: what a node that changes it, or follows it, can rely on. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import { finishTransition } from "@hayloft/engine/cluster/index.js"
import { clusterOf, deviceId } from "@hayloft/engine/cluster/testing-records.js"
import { encodeControlRecord, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { soleProcess, type Halt, type Query } from "@hayloft/engine/metadata/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { readSharedRecord, SharedRecordManager, writeFirstRecord } from "./shared-record.js"
import { drainDevice } from "@hayloft/engine/cluster/testing-changes.js"

const FIRST = clusterOf(["n1:2", "n2:2", "n3:2"], "replica:2")
const CHANGES_WAITING_MAX = 256
const RACES_MAX = 100

/** The database of all nodes, which notes what is read. */
class SharedRows extends MemoryMetadata {
  queries: string[] = []
  halt: Halt | undefined
  /** Called once, before a query of this name is answered. */
  meanwhile: { readonly name: string; readonly happens: () => Promise<unknown> } | undefined

  override ask<Result>(query: Query<Result>): Soon<Result> {
    this.queries.push([query.name, ...query.args].join(" "))
    const { meanwhile } = this
    if (meanwhile?.name !== query.name) return super.ask(query)
    this.meanwhile = undefined
    return meanwhile.happens().then(() => super.ask(query))
  }
}

async function world() {
  const rows = new SharedRows()
  await writeFirstRecord(rows, FIRST)
  const clock = new SimClock()
  const node = async () => {
    const record = must(await readSharedRecord(rows), "the store has a record")
    return new SharedRecordManager(rows, clock, new SimTelemetry().log, record)
  }
  const [a, b] = [await node(), await node()]
  rows.queries = []
  return { rows, clock, a, b }
}

const isSame = (found: ControlRecord | undefined, expected: ControlRecord): void =>
  assert.deepEqual(found && encodeControlRecord(found), encodeControlRecord(expected))
const paused =
  (job: string) =>
  (record: ControlRecord): ControlRecord => ({ ...record, pausedWork: [...record.pausedWork, job] })
const moved = (device: number) => (record: ControlRecord) => drainDevice(record, deviceId(device), [], 0)
const isOf =
  (kind: FailureKind) =>
  (error: unknown): boolean =>
    isFailure(error, kind)

test("a store has one first record", async () => {
  const { rows } = await world()
  await assert.rejects(writeFirstRecord(rows, FIRST), isOf("conflict"))
  isSame(await readSharedRecord(rows), FIRST)
  assert.equal(await readSharedRecord(new MemoryMetadata()), undefined)
})

test("a change has taken effect when it resolves, and the other nodes find it within seconds", async () => {
  const { a, b, clock, rows } = await world()
  const seen: string[] = []
  a.onChange((record, before) => seen.push(`${before.generation} ${record.generation}`))
  const changed = await a.change("pause", paused("scrub"))
  assert.deepEqual(seen, ["1 2"])
  assert.equal(changed, a.record)
  isSame(a.record, { ...FIRST, generation: 2, pausedWork: ["scrub"] })
  isSame(await readSharedRecord(rows), a.record)
  const stop = new AbortController()
  const running = b.run(stop.signal)
  await clock.advance(2_000)
  isSame(b.record, a.record)
  stop.abort()
  await running
  assert.equal(await a.change("nothing", record => record), a.record)
  assert.equal(await a.change("nothing", () => undefined), a.record)
  assert.equal(a.record.generation, 2)
})

test("a change that loses a race is decided again on the newer record, and may then be refused", async () => {
  const { a, b } = await world()
  await a.change("pause", paused("scrub"))
  const decided: number[] = []
  await b.change("pause", record => {
    decided.push(record.generation)
    return paused("repair")(record)
  })
  assert.deepEqual(decided, [1, 2])
  assert.deepEqual([b.record.generation, b.record.pausedWork], [3, ["scrub", "repair"]])
  const refused = new Error("scrub is paused")
  const unlessPaused = (record: ControlRecord) => {
    if (record.generation === 3) throw refused
    return paused("collector")(record)
  }
  await assert.rejects(a.change("pause", unlessPaused), refused)
  isSame(a.record, b.record)
})

test("a change that other nodes overtake all the time is refused", async () => {
  const { a, b, rows } = await world()
  let races = 0
  const overtake = async (): Promise<void> => {
    rows.before = () => undefined
    races += 1
    await b.change("race", record => ({ ...record, region: `region ${races}` }))
    rows.before = overtake
  }
  rows.before = overtake
  await assert.rejects(a.change("pause", paused("scrub")), isOf("tooManyInFlight"))
  assert.equal(races, RACES_MAX)
})

test("layout tables are read once each, and dropped with the layout", async () => {
  const { a, b, rows } = await world()
  assert.equal(rows.rows("cluster"), 2)
  await a.change("drain", moved(0))
  assert.equal(rows.rows("cluster"), 3)
  await b.refresh()
  isSame(b.record, a.record)
  assert.deepEqual(rows.queries, ["ControlRow", "LayoutTable 2"])
  await a.change("pause", paused("scrub"))
  await a.change("moved", finishTransition)
  rows.queries = []
  await b.refresh()
  await b.refresh()
  assert.deepEqual(rows.queries, ["ControlRow", "ControlRow"])
  isSame(b.record, a.record)
  assert.equal(rows.rows("cluster"), 2)
})

test("a layout that was dropped while it is read is not missed", async () => {
  const { a, b, rows } = await world()
  await a.change("drain", moved(0))
  rows.meanwhile = {
    name: "LayoutTable",
    happens: async () => {
      await a.change("moved", finishTransition)
      await a.change("drain", moved(1))
      await a.change("moved", finishTransition)
    },
  }
  await b.refresh()
  isSame(b.record, a.record)
  assert.deepEqual(rows.queries, ["ControlRow", "LayoutTable 2", "ControlRow", "LayoutTable 3"])
})

test("after another incarnation has begun, nothing is written before the record was read again", async () => {
  const { a, b, rows } = await world()
  assert.equal(a.ready(), undefined)
  await b.change("drain", moved(0))
  rows.incarnations = soleProcess(parseIncarnation(2))
  const ready = a.ready()
  assert.ok(ready)
  await ready
  isSame(a.record, b.record)
  assert.equal(a.ready(), undefined)
  // The next one begins while the record is read.
  rows.incarnations = soleProcess(parseIncarnation(3))
  rows.meanwhile = {
    name: "ControlRow",
    happens: async () => (rows.incarnations = soleProcess(parseIncarnation(4))),
  }
  await a.ready()
  assert.ok(a.ready() !== undefined)
  await a.ready()
  assert.equal(a.ready(), undefined)
})

test("changes wait for one another, up to a limit", async () => {
  const { a } = await world()
  const changes = Array.from({ length: CHANGES_WAITING_MAX }, (_, i) => a.change("pause", paused(`${i}`)))
  await assert.rejects(a.change("pause", paused("one more")), isOf("tooManyInFlight"))
  await Promise.all(changes)
  const all = Array.from({ length: CHANGES_WAITING_MAX }, (_, i) => `${i}`)
  assert.deepEqual([a.record.generation, a.record.pausedWork], [1 + CHANGES_WAITING_MAX, all])
  await a.change("pause", paused("one more"))
})

test("a change whose outcome is unknown is found by the next one", async () => {
  const { a, rows } = await world()
  rows.haltAt = "ChangeControl"
  await assert.rejects(a.change("pause", paused("scrub")), isOf("indeterminate"))
  isSame(a.record, FIRST)
  rows.recover()
  await a.change("pause", paused("repair"))
  assert.deepEqual(a.record.pausedWork, ["scrub", "repair"])
})

test("a record that the database has lost is an error, and the node keeps the one that it has", async () => {
  const { a, rows } = await world()
  const stale = new SharedRows()
  rows.become(stale)
  await assert.rejects(a.refresh(), isOf("corruptRecord"))
  isSame(a.record, FIRST)
})

test("a stop waits for the change under way, and refuses those behind it", async () => {
  const { a, rows } = await world()
  let finish = (): void => undefined
  const begun = new Promise<void>(resolve => {
    rows.before = () => {
      resolve()
      return new Promise(done => (finish = done))
    }
  })
  const [first, second] = [a.change("pause", paused("scrub")), a.change("pause", paused("repair"))]
  await begun
  let isStopped = false
  const stopped = a.stop().then(() => (isStopped = true))
  const refused = assert.rejects(second, isOf("stopping"))
  await new Promise(resolve => setImmediate(resolve))
  assert.ok(!isStopped)
  finish()
  await Promise.all([first, refused, stopped])
  assert.deepEqual(a.record.pausedWork, ["scrub"])
  await assert.rejects(a.change("pause", paused("repair")), isOf("stopping"))
})

test("in a database that was rolled back, the newest record that a node knows is put back once the store is halted", async () => {
  const { rows, a, b } = await world()
  await a.change("one", paused("scrub"))
  await b.refresh()
  await a.change("two", paused("repair"))
  const earlier = new SharedRows()
  await writeFirstRecord(earlier, FIRST)
  rows.become(earlier)
  await a.refresh()
  isSame(await readSharedRecord(rows), FIRST)
  rows.halt = { number: 1, reason: "a test", highest: parseIncarnation(1), live: [] }
  await Promise.all([b.refresh(), a.refresh()])
  await b.refresh()
  for (const { record } of [a, b]) assert.deepEqual(record.pausedWork, ["scrub", "repair"])
  isSame(await readSharedRecord(rows), a.record)
})

test("a node that slept through a reconciliation takes over the record in effect, whatever its generation", async () => {
  const isHaltedAgain = { number: 2, reason: "a test", highest: parseIncarnation(1), live: [] }
  for (const [halt, lost] of [
    [undefined, ["one"]],
    [undefined, ["one", "two"]],
    [isHaltedAgain, ["one", "two"]],
  ] as const) {
    for (const changes of [false, true]) {
      const { rows, a, b } = await world()
      const earlier = new SharedRows()
      await writeFirstRecord(earlier, FIRST)
      for (const job of lost) await b.change("lost", paused(job))
      rows.become(earlier)
      await a.change("since", paused("scrub"))
      rows.incarnations = { ...soleProcess(parseIncarnation(2)), reconciliations: 1 }
      rows.halt = halt
      if (changes) await b.change("more", paused("repair"))
      else await b.refresh()
      assert.deepEqual(b.record.pausedWork, changes ? ["scrub", "repair"] : ["scrub"])
      isSame(await readSharedRecord(rows), b.record)
    }
  }
})
