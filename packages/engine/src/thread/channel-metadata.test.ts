/** Metadata over a channel passes the suite of all engines, and keeps what it knows only as long as that is true. */
import assert from "node:assert/strict"
import { test, type TestContext } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, rowKeyOf } from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/lent.js"
import { KIB } from "@hayloft/base/limits.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { command, query, soleProcess } from "../metadata/index.js"
import { metadataSuite, type MetadataUnderTest } from "../metadata/suite.js"
import { MemoryMetadata } from "../metadata/testing-engine.js"
import { openTestFront } from "./testing-front.js"

function under(engine: MemoryMetadata): Promise<MetadataUnderTest> {
  const { metadata, link } = openTestFront(engine)
  const dispose = async (): Promise<void> => link.close()
  return Promise.resolve({ metadata, dispose })
}

metadataSuite("memory over a channel", () => under(new MemoryMetadata()))

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
  const outcomes = new Set<string>()
  for (let seed = TEST_SEED; seed < TEST_SEED + 40; seed += 1) {
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
  assert.deepEqual([...outcomes].sort(), ["fulfilled true", "rejected false", "rejected true"])
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
