/** A tablet whose replicas fail, leave, learn and return. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { parseLogSequence, rowKeyOf } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { TIMESTAMPS_ROW } from "@hayloft/engine/format/commit-timestamps.js"
import { decodeEntry } from "@hayloft/engine/format/device/entry.js"
import { failing, nthOf, answersLate } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { idOf, put, Scene, TABLET, type RowInput } from "./scene.js"

const rejects = (promise: Promise<unknown>, kind: FailureKind) =>
  assert.rejects(promise, error => isFailure(error, kind) || assert.fail(String(error)))
const row = (key: string, value = "value", payload?: string): RowInput => ({
  key,
  value,
  ...(payload !== undefined && { payload }),
})
const replicasOf = (scene: Scene) => scene.tablet.replicas.map(({ id }) => Number(id))
const many = (count: number, prefix = "key"): RowInput[] =>
  Array.from({ length: count }, (_, i) =>
    row(`${prefix} ${String(i).padStart(5, "0")}`, `value ${i}`, i % 3 === 0 ? `payload ${i}` : undefined),
  )

async function opened(options: ConstructorParameters<typeof Scene>[0]): Promise<Scene> {
  const scene = new Scene(options)
  await scene.open()
  return scene
}

async function assertWhole(scene: Scene): Promise<void> {
  assert.deepEqual(await scene.problems(), [])
}

test("a replica whose log fails leaves, and the others acknowledge the write in progress", async () => {
  const scene = await opened({ devices: 3 })
  await scene.write(row("before", "1", "payload"))
  scene.device(1).faulty.become("failing")
  await scene.write(row("while", "2", "payload"))
  assert.deepEqual(replicasOf(scene), [2, 3])
  assert.equal(scene.tablet.durableCopies, 2)
  assert.equal(scene.configuration.epoch, 2)
  assert.equal(scene.tablet.epoch, 2)
  await scene.write(row("after", "3"))
  await assertWhole(scene)
  await scene.open()
  await assertWhole(scene)
  assert.deepEqual(replicasOf(scene), [2, 3])
})

test("no write is acknowledged before the configuration excludes the replica that lacks it", async () => {
  const scene = await opened({ devices: 2 })
  scene.device(2).faulty.become("failing")
  let isAnswered = false
  const before = scene.configuration
  scene.stopAt = { tick: Infinity, cutsPower: undefined }
  let letGo: () => void = () => undefined
  const held = new Promise<void>(resolve => (letGo = resolve))
  const drop = scene.drop
  Object.assign(scene, { drop: async (ids: Parameters<typeof drop>[0]) => (await held, drop(ids)) })
  const writing = scene.write(row("key")).then(() => (isAnswered = true))
  for (let turn = 0; turn < 50; turn += 1) await new Promise(resolve => setImmediate(resolve))
  assert.equal(isAnswered, false)
  assert.equal(scene.configuration, before)
  assert.equal(scene.tablet.committed.get("current", rowKeyOf("key")), undefined, "no reader sees the row")
  letGo()
  await writing
  assert.deepEqual(replicasOf(scene), [1])
})

test("if the configuration cannot be changed writes halt, and those in progress are indeterminate", async () => {
  const scene = await opened({ devices: 2 })
  await scene.write(row("before"))
  scene.refuseChanges = fail("deviceFailed", { message: "half of the devices do not answer" })
  scene.device(2).faulty.become("failing")
  await rejects(scene.write(row("while")), "indeterminate")
  assert.equal(scene.tablet.isServing, false)
  await rejects(scene.write(row("after")), "deviceFailed")
  scene.refuseChanges = undefined
  await scene.open()
  await assertWhole(scene)
})

test("if all replicas fail writes halt; if all are full writes are refused and continue later", async () => {
  const scene = await opened({ devices: 2, segmentBytes: 4 * MIB })
  await scene.write(row("before"))
  for (const { faulty } of scene.devices) faulty.become("full")
  const large = "x".repeat(MIB / 8)
  const refused = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => scene.write(row(`large ${i}`, large))))
  const refusal = refused.flatMap(each => (each.status === "rejected" ? [each.reason as unknown] : []))
  assert.ok(refusal.length > 0 && refusal.every(error => isFailure(error, "deviceFull")), String(refusal[0]))
  assert.equal(scene.tablet.durableCopies, 2)
  for (const { faulty } of scene.devices) faulty.become("well")
  await scene.write(row("after"))
  await assertWhole(scene)
  for (const { faulty } of scene.devices) faulty.become("failing")
  await rejects(scene.write(row("lost")), "indeterminate")
  assert.equal(scene.tablet.isServing, false)
  await scene.open()
  await assertWhole(scene)
})

test("if only one replica is full it leaves, since the others wrote", async () => {
  const scene = await opened({ devices: 3 })
  scene.device(3).faulty.become("full")
  for (let i = 0; i < 6; i += 1) await scene.write(row(`large ${i}`, "x".repeat(MIB / 8)))
  assert.deepEqual(replicasOf(scene), [1, 2])
  assert.equal(scene.device(3).log?.stopped, undefined, "its log has not failed")
  await assertWhole(scene)
})

test("writes wait for a hung replica until it is dropped, and its late answer is ignored", async () => {
  const scene = await opened({ devices: 3 })
  await scene.write(row("before", "1", "payload"))
  scene.device(1).faulty.become("hung")
  const writing = scene.write(row("while", "2", "payload"))
  for (let turn = 0; turn < 20; turn += 1) await new Promise(resolve => setImmediate(resolve))
  assert.equal(scene.tablet.position, 1)
  await scene.tablet.dropReplicas([idOf(1)], fail("deviceFailed"), () => scene.drop([idOf(1)]))
  await writing
  scene.device(1).faulty.become("well")
  await scene.write(row("after", "3"))
  assert.deepEqual(replicasOf(scene), [2, 3])
  await assertWhole(scene)
  // The row, and that with the reserved timestamps.
  assert.equal(scene.device(1).rows?.memtableRows, 2, "the late entry is not applied")
})

test("a replica that logs late, after the others continued without it, logs the batch that it received", async () => {
  const scene = await opened({ devices: 2 })
  scene.device(1).faulty.become("hung")
  const writing = scene.write(row("while", "1", "payload"))
  for (let turn = 0; turn < 20; turn += 1) await new Promise(resolve => setImmediate(resolve))
  await scene.tablet.dropReplicas([idOf(1)], fail("deviceFailed"), () => scene.drop([idOf(1)]))
  await writing
  for (const key of ["other", "third"]) await scene.write(row(key, "2", "another"))
  scene.device(1).faulty.become("well")
  const log = must(scene.device(1).log, "the device is open")
  await until("the entry is durable", () => log.durable >= 1, 1)
  const keys: string[] = []
  for await (const { bytes } of log.records(parseLogSequence(0))) {
    keys.push(...decodeEntry(bytes).writes.map(({ key }) => key))
  }
  assert.deepEqual(keys, ["while", TIMESTAMPS_ROW])
})

test("the last replica cannot be dropped", async () => {
  const scene = await opened({ devices: 1 })
  await scene.write(row("key"))
  const drop = scene.tablet.dropReplicas([idOf(1)], fail("deviceFailed"), () => assert.fail("not asked"))
  await rejects(drop, "deviceFailed")
  await scene.write(row("another"))
  await assertWhole(scene)
})

test("entries of an ended replica incarnation are never replayed", async () => {
  const scene = await opened({ devices: 2 })
  await scene.write(row("both", "1"))
  // The write reaches the device whose answers are lost, but never the other one.
  scene.device(1).disk.intercept(failing({ kind: "write", nth: 1, code: "EIO", forEver: true }))
  scene.device(2).disk.intercept(nthOf({ kind: "write", nth: 1 }, answersLate(new Promise(() => undefined))))
  scene.refuseChanges = fail("deviceFailed")
  void scene.write(row("ghost", "never answered")).catch(() => undefined)
  for (let turn = 0; turn < 20; turn += 1) await new Promise(resolve => setImmediate(resolve))
  scene.refuseChanges = undefined
  // The machine starts again without the second device: the configuration continues without it.
  await scene.drop([idOf(2)])
  scene.device(1).disk.intercept(() => undefined)
  scene.device(2).disk.intercept(() => undefined)
  await scene.open()
  scene.doubtful.clear()
  await scene.write(row("only on the first", "2"))
  await scene.reopen(2)
  await scene.learn(2)
  await scene.finishLearning()
  await scene.promote(2)
  assert.deepEqual(replicasOf(scene), [1, 2])
  for (const again of ["from the log", "from the metadata store"]) {
    await scene.open()
    assert.deepEqual(replicasOf(scene), [1, 2], again)
    await assertWhole(scene)
    assert.equal((await scene.rows()).get("current ghost"), undefined, again)
    await scene.device(2).checkpoint()
  }
})

test("reads continue if the first replica's metadata store returns no row, and the device is reported", async () => {
  const scene = await opened({ devices: 2 })
  await scene.write(...many(40))
  for (const device of scene.devices) await device.checkpoint()
  const [rotten] = scene.devices
  const writer = await rotten?.stores.openWriter("/base")
  const [key] = [...(writer?.range("current", { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }) ?? [])][20] ?? []
  assert.ok(key && writer)
  await writer.commit([{ family: "current", key, value: Buffer.from("rot") }])
  await scene.open()
  assert.equal((await scene.rows()).size, 40)
  assert.ok(scene.damages.length > 0)
  assert.ok(scene.damages.every(({ id, failure }) => id === idOf(1) && failure.kind === "corruptRow"))
  const comparison = scene.tablet.compareReplicas()
  while (comparison.step()) continue
  assert.deepEqual([...comparison.wrong], [[idOf(1), 1]])
})

test("a payload is read from a replica that is present, whichever one returned the row", async () => {
  const scene = await opened({ devices: 2 })
  await scene.write(row("a", "1", "old payload"))
  await scene.device(2).checkpoint()
  await scene.write(row("a", "2", "new payload"))
  await scene.device(1).checkpoint()
  const key = rowKeyOf("a")
  const found = scene.tablet.committed.get("current", key)
  assert.ok(found)
  // At the place of the new payload on the first device, the second device has the old one.
  await scene.tablet.dropReplicas([idOf(1)], fail("deviceFailed"), () => scene.drop([idOf(1)]))
  scene.device(1).faulty.become("hung")
  const payload = await owned(scene.tablet.payload("current", key, found))
  assert.equal(payload && Buffer.from(payload).toString(), "new payload")
})

test("with one copy left commands are refused if so configured", async () => {
  const scene = await opened({ devices: 2 })
  scene.device(2).faulty.become("failing")
  await scene.write(row("a"))
  await scene.write(row("b"))
  scene.refusesSingleCopy = true
  await rejects(scene.write(row("c")), "deviceFailed")
  await scene.reopen(2)
  await scene.learn(2)
  await scene.finishLearning()
  await scene.promote(2)
  await scene.write(row("c"))
  await assertWhole(scene)
})

test("without space for growth only commands that do not grow are accepted", async () => {
  const scene = await opened({ devices: 2 })
  await scene.write(row("a"))
  scene.device(2).mayGrow = false
  await rejects(scene.write(row("b")), "deviceFull")
  await scene.tablet.run(put([{ key: "a", value: undefined }], false))
  scene.device(2).mayGrow = true
  await scene.write(row("b"))
})

test("a device that fills up while a command waits for another one refuses the command", async () => {
  const scene = await opened({ devices: 2 })
  let makeRoom: () => void = () => undefined
  scene.device(2).room = new Promise(resolve => (makeRoom = resolve))
  const waiting = rejects(scene.write(row("a")), "deviceFull")
  await new Promise(resolve => setImmediate(resolve))
  scene.device(1).mayGrow = false
  scene.device(2).room = undefined
  makeRoom()
  await waiting
  scene.device(1).mayGrow = true
  await scene.write(row("b"))
  await assertWhole(scene)
})

test("a learner gets all rows and payloads while writing continues, and then votes", async () => {
  const scene = await opened({ devices: 3, replicas: 1, segmentBytes: 4 * MIB })
  const random = new SimRandom(7)
  await scene.write(...many(1000))
  await scene.write(...many(700, "more"))
  await scene.device(1).checkpoint()
  await scene.write(...many(300, "later"))
  await scene.device(2).open(new Map())
  await scene.learn(2)
  let copying = true
  const learning = scene.finishLearning().then(() => (copying = false))
  let written = 0
  while (copying) {
    const key = `key ${String(random.below(1200)).padStart(5, "0")}`
    const what = random.below(4)
    await scene.write(
      what === 0 ? { key, value: undefined } : row(key, `new ${written}`, what === 1 ? "payload" : undefined),
    )
    written += 1
    if (written % 20 === 0) await scene.device(2).checkpoint()
  }
  await learning
  assert.ok(written > 10, `${written} writes meanwhile`)
  assert.equal(scene.tablet.durableCopies, 1)
  await scene.promote(2)
  assert.equal(scene.tablet.durableCopies, 2)
  await scene.write(row("both"))
  await assertWhole(scene)
  await scene.tablet.dropReplicas([idOf(1)], fail("deviceFailed"), () => scene.drop([idOf(1)]))
  await assertWhole(scene)
  await scene.write(row("alone"))
  await scene.open()
  await assertWhole(scene)
})

test("a learner that fails ends its learning and nothing else, and starts over", async () => {
  const scene = await opened({ devices: 2, replicas: 1 })
  await scene.write(...many(600))
  await scene.device(2).open(new Map())
  await scene.learn(2)
  await scene.tablet.stepLearning()
  scene.device(2).faulty.become("failing")
  await scene.write(row("a"))
  await scene.finishLearning().catch(() => undefined)
  assert.deepEqual(
    scene.learningFailures.map(({ kind }) => kind),
    ["deviceFailed"],
  )
  assert.equal(scene.tablet.learning, undefined)
  await scene.write(row("b"))
  await scene.reopen(2)
  await scene.drop([idOf(2)])
  await scene.learn(2)
  await scene.finishLearning()
  await scene.promote(2)
  await assertWhole(scene)
})

test("when writes halt, waits for a learner end, whether it has begun or not", async () => {
  for (const isMidway of [false, true]) {
    const scene = await opened({ devices: 2, replicas: 1 })
    await scene.write(...many(600))
    await scene.device(2).open(new Map())
    if (isMidway) await scene.learn(2)
    if (isMidway) await scene.tablet.stepLearning()
    scene.device(1).faulty.become("failing")
    await rejects(scene.write(row("lost")), "indeterminate")
    if (!isMidway) await scene.learn(2)
    await scene.finishLearning().catch(() => undefined)
    assert.equal(scene.tablet.learning, undefined)
    await scene.tablet.stop()
  }
})

test("a learner that is much slower gives up, and no commit waits for it", async () => {
  const scene = await opened({ devices: 2, replicas: 1, segmentBytes: 16 * MIB })
  await scene.device(2).open(new Map())
  await scene.learn(2)
  await scene.tablet.stepLearning()
  scene.device(2).room = new Promise(() => undefined)
  const large = "x".repeat(MIB - 200)
  for (let i = 0; i < 70; i += 1) await scene.tablet.run(put([row(`large ${i % 3}`, large)]))
  assert.deepEqual(
    scene.learningFailures.map(({ kind }) => kind),
    ["tooManyInFlight"],
  )
})

test("a learner that has not caught up does not vote yet", async () => {
  const scene = await opened({ devices: 2, replicas: 1, segmentBytes: 8 * MIB })
  await scene.write(...many(10))
  await scene.device(2).open(new Map())
  await scene.learn(2)
  await rejects(scene.promote(2), "conflict")
  await scene.finishLearning()
  let makeRoom: () => void = () => undefined
  scene.device(2).room = new Promise(resolve => (makeRoom = resolve))
  await scene.write(row("behind", "x".repeat(1000)))
  await rejects(scene.promote(2), "tooManyInFlight")
  scene.device(2).room = undefined
  makeRoom()
  await scene.promote(2)
  await assertWhole(scene)
})

test("a learner votes before the configuration contains it, and keeps its vote if the outcome of the change is unknown", async () => {
  const scene = await opened({ devices: 2, replicas: 1 })
  await scene.write(...many(10))
  await scene.device(2).open(new Map())
  await scene.learn(2)
  await scene.finishLearning()
  scene.refuseChanges = fail("deviceFailed")
  await rejects(scene.promote(2), "deviceFailed")
  assert.equal(scene.tablet.durableCopies, 1)
  scene.device(2).faulty.become("hung")
  let isAnswered = false
  const writing = scene.write(row("key")).then(() => (isAnswered = true))
  for (let turn = 0; turn < 20; turn += 1) await new Promise(resolve => setImmediate(resolve))
  assert.equal(isAnswered, false, "the configuration may contain the learner")
  scene.device(2).faulty.become("well")
  await writing
  scene.refuseChanges = undefined
  await scene.promote(2)
  assert.deepEqual(replicasOf(scene), [1, 2])
  await assertWhole(scene)
  await scene.open()
  assert.deepEqual(scene.lostAtStart, [])
  await assertWhole(scene)
})

test("checkpoints delete the rows of ended replica incarnations little by little, and no others", async () => {
  const scene = await opened({ devices: 2 })
  await scene.write(...many(30))
  for (const device of scene.devices) await device.checkpoint()
  scene.device(2).faulty.become("failing")
  await scene.write(row("a"))
  await scene.reopen(2)
  await scene.learn(2)
  await scene.finishLearning()
  await scene.promote(2)
  // And the row with the reserved timestamps.
  assert.equal(await scene.device(2).checkpoint(), 31)
  assert.equal(await scene.device(1).checkpoint(), 0)
  const base = await scene.device(2).stores.openReader("/base")
  assert.equal([...base.range("current", { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") })].length, 31)
  assert.deepEqual(
    [...base.range("marks", { start: rowKeyOf("tablet/"), end: rowKeyOf("tablet0") })].map(([key]) => key),
    [`tablet/${TABLET}/3`],
  )
  await scene.open()
  await assertWhole(scene)
})
