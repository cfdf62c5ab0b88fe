/** Metadata over a channel passes the suite of all engines, and keeps what it knows only as long as that is true. */
import assert from "node:assert/strict"
import { test, type TestContext } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, parsePosition, rowKeyOf } from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { KIB } from "@hayloft/base/limits.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { command, query, soleProcess } from "../metadata/index.js"
import { metadataSuite, type MetadataUnderTest } from "../metadata/suite.js"
import { MemoryMetadata } from "../metadata/testing-engine.js"
import { LastChanges } from "./last-changes.js"
import { openTestFront } from "./testing-front.js"

function under(engine: MemoryMetadata, changes?: LastChanges): Promise<MetadataUnderTest> {
  const { metadata, link } = openTestFront(engine, undefined, undefined, changes)
  const dispose = async (): Promise<void> => link.close()
  return Promise.resolve({ metadata, datedBy: engine, dispose })
}

metadataSuite("memory over a channel", () => under(new MemoryMetadata()))
metadataSuite("memory over a channel, with its changes", () => {
  const engine = new MemoryMetadata()
  return under(engine, LastChanges.of(engine))
})

/** A front whose link ends with the test, also if that fails. */
function frontOf(t: TestContext, engine: MemoryMetadata) {
  const front = openTestFront(engine)
  t.after(() => front.link.close())
  return front
}

const NAMES = rowKeyOf("name")

const setName = command<[name: string], void>({
  name: "TestSetName",
  touches: () => [["names", NAMES]],
  decide: (view, _time, name) => {
    view.get("names", NAMES)
    return { writes: [{ family: "names", key: NAMES, value: Buffer.from(name) }], result: undefined }
  },
})

const nameIs = query("TestNameIs", (view, ..._padding: readonly unknown[]) =>
  Buffer.from(view.get("names", NAMES)?.value ?? []).toString(),
)

const whoAsks = query("TestWhoAsks", view => view.incarnations.own)
const whoRuns = command<[], number>({
  name: "TestWhoRuns",
  decide: (_view, { incarnations }) => ({ writes: [], result: incarnations.own }),
})
const NOT_PLAIN = query("TestNotPlain", () => ({ call: () => 1 }))

test("a front is asked once for what it knows, until anybody changes it", async t => {
  const engine = new MemoryMetadata()
  let asked = 0
  engine.later = () => {
    asked += 1
    return undefined
  }
  const [front, other] = [frontOf(t, engine), frontOf(t, engine)]
  await other.metadata.run(setName("first"))
  await front.metadata.confirm()
  for (let i = 0; i < 3; i += 1) assert.equal(await front.metadata.known(nameIs()), "first")
  assert.equal(asked, 1)
  // It is answered in the turn of the question.
  assert.equal(front.metadata.known(nameIs()), "first")
  const { generation } = front.metadata
  await other.metadata.run(setName("second"))
  await front.metadata.confirm()
  assert.ok(front.metadata.generation > generation)
  assert.equal(await front.metadata.known(nameIs()), "second")
  // Arguments are told apart, whatever they are made of.
  const args = [1, "1", 1n, Uint8Array.of(1), ["1"], [1, 1], undefined]
  for (const arg of args) await front.metadata.known(nameIs(arg))
  assert.equal(asked, 2 + args.length)
})

const setObject = command<[name: string], void>({
  name: "TestSetObject",
  touches: () => [["current", NAMES]],
  decide: (view, _time, name) => {
    view.get("current", NAMES)
    return { writes: [{ family: "current", key: NAMES, value: Buffer.from(name) }], result: undefined }
  },
})

const setRow = command<[key: string, name: string], void>({
  name: "TestSetRow",
  touches: key => [["current", rowKeyOf(key)]],
  decide: (view, _time, key, name) => {
    view.get("current", rowKeyOf(key))
    return { writes: [{ family: "current", key: rowKeyOf(key), value: Buffer.from(name) }], result: undefined }
  },
})

const objectIs = query("TestObjectIs", view => {
  view.get("names", NAMES)
  return Buffer.from(view.get("current", NAMES)?.value ?? []).toString()
})

test("a result about other incarnations is not kept: they end without a change of rows", async t => {
  const engine = new MemoryMetadata()
  let asked = 0
  engine.later = () => {
    asked += 1
    return undefined
  }
  const { metadata } = frontOf(t, engine)
  for (let i = 0; i < 2; i += 1) await metadata.known(whoAsks())
  assert.equal(asked, 2)
})

test("a result about objects is not kept: no generation protects their rows", async t => {
  const engine = new MemoryMetadata()
  const { metadata } = frontOf(t, engine)
  for (const name of ["first", "second"]) {
    await engine.run(setObject(name))
    await metadata.confirm()
    assert.equal(await metadata.known(objectIs()), name)
  }
})

test("a front keeps results up to a number of bytes", async t => {
  const engine = new MemoryMetadata()
  let asked = 0
  engine.later = () => {
    asked += 1
    return undefined
  }
  const { metadata } = frontOf(t, engine)
  await metadata.run(setName("x".repeat(128 * KIB)))
  const counts = Array.from({ length: 150 }, (_, at) => at)
  for (const at of counts) await metadata.known(nameIs(at))
  assert.equal(asked, counts.length)
  // The latest ones are known, and not all of them.
  await metadata.known(nameIs(149))
  assert.equal(asked, counts.length)
  for (const at of counts) await metadata.known(nameIs(at))
  assert.ok(asked > 2 * counts.length - 64, `${asked} questions`)
})

/** Reads an object, and further rows by their keys; also a range of them, or the incarnation. */
const repeatedly = query(
  "TestRepeatedly",
  (view, reads: "rows" | "range" | "incarnation", others: readonly string[] = []) => {
    if (reads === "range") [...view.range("current", { start: NAMES, end: rowKeyOf("name~") })].forEach(String)
    if (reads === "incarnation") void view.incarnations.own
    const keys = [NAMES, ...others.map(rowKeyOf)]
    return keys.map(key => Buffer.from(view.get("current", key)?.value ?? []).toString()).join()
  },
  { isRepeated: true },
)

const rowIs = query(
  "TestRowIs",
  (view, key: string) => Buffer.from(view.get("current", rowKeyOf(key))?.value ?? []).toString(),
  { isRepeated: true },
)

/** Called once the query has read its row, before the engine thread answers. */
let changeAfterReading: () => void = () => undefined
const readBeforeChange = query(
  "TestReadBeforeChange",
  view => {
    const found = Buffer.from(view.get("current", NAMES)?.value ?? []).toString()
    changeAfterReading()
    return found
  },
  { isRepeated: true },
)

const LATER = { nowMs: 1, commitUs: 1_000, position: parsePosition(1_000), id: "12345678" }

/** An engine that counts its questions, and a front that knows its changes. */
function counted(t: TestContext) {
  const engine = new MemoryMetadata()
  const now = { asked: 0 }
  engine.later = () => {
    now.asked += 1
    return undefined
  }
  const { metadata, link } = openTestFront(engine, undefined, undefined, LastChanges.of(engine))
  t.after(() => link.close())
  return { engine, metadata, now }
}

test("what clients repeat is answered from memory, until a row changes that it was read from, also one that was absent", async t => {
  const { engine, metadata, now } = counted(t)
  await engine.run(setObject("first"))
  const read = () => metadata.ask(repeatedly("rows", ["absent"]))
  for (let i = 0; i < 2; i += 1) assert.equal(await read(), "first,")
  // It is answered in the turn of the question.
  assert.equal(read(), "first,")
  await engine.run(setRow("another", "there"))
  assert.equal(read(), "first,")
  assert.equal(now.asked, 2)
  await engine.run(setObject("second"))
  assert.equal(await read(), "second,")
  await engine.run(setRow("absent", "there"))
  assert.equal(await read(), "second,there")
  assert.equal(now.asked, 4)
})

test("what was read from ranges, or says which process asks, is asked each time", async t => {
  const { metadata, now } = counted(t)
  for (const reads of ["range", "incarnation"] as const) {
    for (let i = 0; i < 3; i += 1) await metadata.ask(repeatedly(reads))
  }
  assert.equal(now.asked, 6)
})

test("an answer that was overtaken by a change on its way is asked for again", async t => {
  const { engine, metadata } = counted(t)
  await engine.run(setObject("first"))
  const read = () => metadata.ask(readBeforeChange())
  await read()
  changeAfterReading = () => {
    changeAfterReading = () => undefined
    engine.runAt(setObject("second"), { ...LATER, incarnations: engine.incarnations })
  }
  assert.deepEqual([await read(), await read(), await read()], ["first", "second", "second"])
})

test("a front that knows the changes confirms at once, and knows a position as soon as queries see it", async t => {
  const { engine, metadata } = counted(t)
  await engine.run(setName("first"))
  assert.equal(metadata.confirm(), undefined)
  assert.equal(await metadata.known(nameIs()), "first")
  await engine.run(setName("second"))
  assert.equal(metadata.position, engine.position)
  assert.equal(metadata.confirm(), undefined)
  assert.equal(await metadata.known(nameIs()), "second")
})

test("what a front knows is as new as what it was last answered, also if that was from memory", async t => {
  const { engine, metadata } = counted(t)
  await engine.run(setRow("object", "there"))
  await engine.run(setName("first"))
  const read = () => metadata.ask(rowIs("object"))
  for (let i = 0; i < 2; i += 1) await read()
  assert.equal(await metadata.known(nameIs()), "first")
  await engine.run(setName("second"))
  const { generation } = metadata
  assert.equal(read(), "there")
  assert.ok(metadata.generation > generation)
  assert.equal(await metadata.known(nameIs()), "second")
})

test("commands and queries see the front as their process", async t => {
  const engine = new MemoryMetadata()
  const { metadata } = frontOf(t, engine)
  const { own } = metadata.incarnations
  assert.notEqual(own, engine.incarnations.own)
  assert.deepEqual([await metadata.ask(whoAsks()), await metadata.run(whoRuns())], [own, own])
  assert.equal(await metadata.known(whoAsks()), own)
})

test("a result that is not plain fails alone", async t => {
  const { metadata } = frontOf(t, new MemoryMetadata())
  const [bad, good] = await Promise.allSettled([metadata.ask(NOT_PLAIN()), metadata.ask(whoAsks())])
  assert.equal(bad.status, "rejected")
  assert.equal(good.status, "fulfilled")
})

test("a command whose answer is lost with a thread may have happened; a query has not", async () => {
  const expected = ["fulfilled true", "rejected false", "rejected true"]
  const outcomes = new Set<string>()
  for (let run = 0; run < 40 || (outcomes.size < expected.length && run < 400); run += 1) {
    const seed = TEST_SEED + run
    const clock = new SimClock()
    const engine = new MemoryMetadata()
    const [here, there] = SimChannel.pair(clock, new SimRandom(seed))
    const { metadata, link } = openTestFront(engine, [here, there], clock)
    const settled = Promise.allSettled([metadata.run(setName("name")), metadata.ask(nameIs())])
    clock.alarm(seed % 5, () => there.die())
    const [ran, asked] = await clock.runUntil(settled)
    const isWritten = engine.rows("names") === 1
    if (ran.status === "fulfilled") assert.ok(isWritten)
    else assert.ok(isFailure(ran.reason, "indeterminate"), String(ran.reason))
    if (asked.status === "rejected") assert.ok(isFailure(asked.reason, "stopping"), String(asked.reason))
    outcomes.add(`${ran.status} ${isWritten}`)
    await clock.runUntil(link.closed)
    await assert.rejects(metadata.run(setName("late")), error => isFailure(error, "stopping"))
  }
  assert.deepEqual([...outcomes].sort(), expected)
})

test("nothing is decided for a front once its process has begun another incarnation", async t => {
  const engine = new MemoryMetadata()
  const { metadata } = frontOf(t, engine)
  await metadata.run(setName("before"))
  engine.incarnations = soleProcess(parseIncarnation(engine.incarnations.own + 1))
  await assert.rejects(metadata.run(setName("after")), error => isFailure(error, "tooManyInFlight"))
  assert.equal(await engine.ask(nameIs()), "before")
  const next = frontOf(t, engine)
  await next.metadata.run(setName("after"))
  assert.equal(await engine.ask(nameIs()), "after")
})

test("a payload that came with its row is not asked for", async t => {
  const engine = new MemoryMetadata()
  const { metadata, link } = frontOf(t, engine)
  link.close()
  const row = { value: Buffer.from("row"), payload: { in: "row", bytes: Buffer.from("bytes") } }
  const payload = metadata.payload("names", NAMES, row)
  const bytes = await owned(payload)
  assert.ok(bytes !== undefined && Buffer.from("bytes").equals(bytes))
})
