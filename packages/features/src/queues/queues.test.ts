/** Queues: what is delivered when, to whom and how often, in single cases and in random histories beside a model. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { rowKeyOf, type MessageId } from "@hayloft/base/ids.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { Rescheduling } from "./contract.js"
import { QUEUE_LIMITS } from "./limits.js"
import { createQueue } from "./queue-commands-core.js"
import { QueueRestoring } from "./queue-restoring.js"
import { DEFAULT_SETTINGS } from "./queues.js"
import { readQueueSizes } from "./sizes.js"
import { ACCOUNT, bodyOf, named, opened, QueueWorld, type Options } from "./testing-queues.js"

const SECOND_MS = 1_000

const reschedule = async (world: QueueWorld, id: MessageId, change: Rescheduling) =>
  must((await world.queues.reschedule(ACCOUNT, [{ id, change }]))[0], "an outcome")

test("a message is delivered to one consumer, and again after its time unless it is acknowledged", async () => {
  const world = await opened("q")
  const id = await world.add("q", "work", { retrySeconds: 10 })
  assert.deepEqual(await world.lengths("q"), [1, 0, 0, 1])
  const [delivery] = await world.receive("q")
  assert.deepEqual([delivery?.id, delivery?.message.deliveries], [id, 1])
  assert.deepEqual(await world.bodies("q"), [])
  assert.deepEqual(await world.lengths("q"), [0, 1, 0, 1])
  await world.pass(9 * SECOND_MS)
  assert.deepEqual(await world.bodies("q"), [])
  await world.pass(SECOND_MS)
  const [again] = await world.receive("q")
  assert.deepEqual([again?.id, again?.message.deliveries], [id, 2])
  assert.deepEqual(await world.queues.acknowledge(ACCOUNT, [id, id]), [id])
  assert.deepEqual(await world.queues.acknowledge(ACCOUNT, [id]), [])
  await world.pass(100 * SECOND_MS)
  assert.deepEqual(await world.bodies("q"), [])
  assert.deepEqual(world.rows(), { queues: 1, queueMessages: 0, queueContents: 0, queueOrder: 0 })
  assert.deepEqual(await world.lengths("q"), [0, 0, 0, 0])
})

test("messages come in the order in which they become due, and those of the first queue come first", async () => {
  const world = await opened("urgent", "q")
  for (const [body, delaySeconds] of [
    ["a", 0],
    ["late", 5],
    ["b", 0],
    ["c", 0],
  ] as const) {
    await world.add("q", body, { delaySeconds })
  }
  await world.add("urgent", "now")
  const from = async (count: number) =>
    ((await world.queues.receive({ account: ACCOUNT, queues: ["urgent", "q"], count })) ?? []).map(bodyOf)
  assert.deepEqual(await from(3), ["now", "a", "b"])
  assert.deepEqual(await world.lengths("q"), [1, 2, 1, 4])
  await world.pass(5 * SECOND_MS)
  assert.deepEqual(await from(10), ["c", "late"])
})

test("a message with retry 0 is delivered at most once, whatever is done with it, and goes at the end of its time", async () => {
  const world = await opened("q")
  const id = await world.add("q", "once", { retrySeconds: 0, retentionSeconds: 60 })
  assert.match(id, /[02468ace]$/)
  assert.deepEqual(await world.bodies("q"), ["once"])
  const changes: readonly Rescheduling[] = [
    { kind: "nack" },
    { kind: "enqueue" },
    { kind: "working" },
    { kind: "visibility", seconds: 0, delivery: 1 },
    { kind: "dequeue" },
  ]
  for (const change of changes) {
    await reschedule(world, id, change)
    await world.pass(SECOND_MS)
    assert.deepEqual(await world.bodies("q"), [], change.kind)
  }
  await world.pass(60 * SECOND_MS)
  assert.deepEqual(await world.bodies("q"), [])
  assert.equal(world.rows()["queueMessages"], 0)
})

test("a consumer postpones, shortens or gives up its delivery; a late one cannot", async () => {
  const world = await opened("q")
  const id = await world.add("q", "work", { retrySeconds: 10, retentionSeconds: 60 })
  await world.receive("q")
  await world.pass(8 * SECOND_MS)
  assert.deepEqual(await reschedule(world, id, { kind: "working" }), { kind: "done", seconds: 10, queueName: "q" })
  await world.pass(8 * SECOND_MS)
  assert.deepEqual(await world.bodies("q"), [])
  const first = { kind: "visibility", delivery: 1 } as const
  assert.equal((await reschedule(world, id, { ...first, seconds: 1 })).kind, "done")
  await world.pass(SECOND_MS)
  // The time of the first delivery is over, whether or not another consumer has the message.
  assert.equal((await reschedule(world, id, { ...first, seconds: 9 })).kind, "notInFlight")
  const [second] = await world.receive("q")
  assert.equal(second?.message.deliveries, 2)
  assert.equal((await reschedule(world, id, { ...first, seconds: 9 })).kind, "notInFlight")
  assert.equal((await reschedule(world, id, { kind: "nack" })).kind, "done")
  const [third] = await world.receive("q")
  assert.deepEqual([third?.message.deliveries, third?.message.nacks], [3, 1])
  await world.pass(14 * SECOND_MS)
  assert.equal((await reschedule(world, id, { kind: "working" })).kind, "tooLate", "half of its minute is over")
  await world.queues.acknowledge(ACCOUNT, [id])
  assert.equal((await reschedule(world, id, { kind: "working" })).kind, "absent")
})

test("operators take messages out of a queue, and put them in", async () => {
  const world = await opened("q")
  const id = await world.add("q", "work", { retrySeconds: 10 })
  assert.equal((await reschedule(world, id, { kind: "enqueue" })).kind, "same")
  assert.equal((await reschedule(world, id, { kind: "dequeue" })).kind, "done")
  assert.deepEqual(await world.bodies("q"), [])
  assert.equal((await reschedule(world, id, { kind: "dequeue" })).kind, "same")
  assert.equal((await reschedule(world, id, { kind: "enqueue" })).kind, "done")
  const [delivery] = await world.receive("q")
  assert.deepEqual([delivery?.message.deliveries, delivery?.message.enqueues], [1, 1])
})

test("a message that is delivered too often moves to the dead queue, which is made, and stays as long as others there", async () => {
  const world = await opened("q")
  const redrive = { maxDeliveries: 2, deadQueue: "dead" }
  const id = await world.add("q", "poison", { retrySeconds: 1, retentionSeconds: 60, redrive })
  await world.queues.change(named("q"), { settings: { redrive: { maxDeliveries: 1, deadQueue: "others" } } })
  await world.add("q", "by the queue", { retrySeconds: 1 })
  assert.deepEqual(await world.bodies("q"), ["poison", "by the queue"])
  await world.pass(SECOND_MS)
  assert.deepEqual(await world.bodies("q"), ["poison"])
  await world.pass(SECOND_MS)
  assert.deepEqual(await world.bodies("q"), [])
  assert.deepEqual(await world.lengths("q"), [0, 0, 0, 0])
  await world.pass(60 * SECOND_MS)
  const [dead] = await world.receive("dead")
  assert.deepEqual([dead?.id, dead?.message.movedFrom, dead?.message.deliveries], [id, "q", 1])
  assert.deepEqual(await world.bodies("others"), ["by the queue"])
  assert.deepEqual(await world.lengths("dead"), [0, 1, 0, 1])
  // A dead queue that is its own dead queue does not lose anything.
  await world.queues.change(named("dead"), { settings: { redrive: { maxDeliveries: 1, deadQueue: "dead" } } })
  await world.pass(30 * SECOND_MS)
  assert.deepEqual(await world.bodies("dead"), ["poison"])
})

test("limits: content, messages, bytes, queues; a refused message leaves nothing", async () => {
  const world = await opened("q")
  const most = "x".repeat(QUEUE_LIMITS.contentBytesMax)
  await assert.rejects(world.add("q", `${most}x`), { kind: "entityTooLarge" })
  await world.queues.change(named("q"), { settings: { messageBytesMax: 10, bytesMax: 25 } })
  await assert.rejects(world.add("q", "12345678901"), { kind: "entityTooLarge" })
  for (const _ of [1, 2]) await world.add("q", "1234567890")
  await assert.rejects(world.add("q", "123456"), { kind: "queueFull" })
  const content = { body: Buffer.from("1"), attributes: [], trace: undefined }
  const capped = (messagesMax: number) =>
    world.queues.add(named("q"), [{ content, sender: "arn" }], { copiesNow: 1, messagesMax })
  await assert.rejects(capped(2), { kind: "queueFull" })
  assert.equal((await capped(3)).length, 1)
  await assert.rejects(world.add("q", "1", { copies: 2 }), { kind: "tooFewCopies" })
  await assert.rejects(world.add("none", "1"), { kind: "noSuchQueue" })
  assert.deepEqual(world.rows(), { queues: 1, queueMessages: 3, queueContents: 0, queueOrder: 3 })
  for (let number = 1; number < QUEUE_LIMITS.queuesMax; number += 1) await world.queues.create(named(`q${number}`))
  await assert.rejects(world.queues.create(named("more")), { kind: "limitExceeded" })
  assert.equal((await world.queues.create(named("q5"))).isNew, false)
})

test("a paused queue accepts or delivers nothing, and goes on as it was", async () => {
  const world = await opened("q")
  await world.add("q", "before")
  await world.queues.change(named("q"), { isPausedIn: true })
  await assert.rejects(world.add("q", "refused"), { kind: "queuePaused" })
  assert.deepEqual(await world.bodies("q"), ["before"])
  await world.queues.change(named("q"), { isPausedIn: false, isPausedOut: true })
  await world.add("q", "during")
  assert.deepEqual(await world.bodies("q"), [])
  await world.queues.change(named("q"), { isPausedOut: false })
  assert.deepEqual(await world.bodies("q"), ["during"])
})

test("a full store accepts no messages, and a queue that was paused goes on being emptied", async () => {
  const world = await opened("q")
  await world.add("q", "before")
  await world.queues.change(named("q"), { isPausedOut: true })
  world.metadata.isFull = true
  await assert.rejects(world.add("q", "refused"), { kind: "deviceFull" })
  await world.queues.change(named("q"), { isPausedOut: false })
  assert.deepEqual(await world.bodies("q"), ["before"])
})

test("messages of an emptied or removed queue are gone, those on the way too, and their rows go with a pass", async () => {
  for (const isEmptied of [true, false]) {
    const world = await opened("q", "other")
    const ids = [await world.add("q", "on the way"), await world.add("q", "x".repeat(5_000))]
    await world.add("other", "stays")
    await world.receive("q")
    if (isEmptied) assert.equal(await world.queues.empty(named("q")), true)
    else await world.queues.remove(named("q"))
    if (!isEmptied) await world.queues.create(named("q"))
    assert.deepEqual(await world.bodies("q"), [])
    assert.deepEqual(await world.queues.acknowledge(ACCOUNT, ids), [])
    assert.deepEqual((await world.queues.scan(ACCOUNT, undefined, 100)).found.length, 1)
    await world.add("q", "new")
    await world.expire()
    assert.deepEqual(world.rows(), { queues: 2, queueMessages: 2, queueContents: 0, queueOrder: 2 })
    assert.deepEqual([await world.bodies("q"), await world.bodies("other")], [["new"], ["stays"]])
  }
})

test("a queue may be emptied at most once in a while, if its caller asks for that", async () => {
  const world = await opened("q")
  assert.equal(await world.queues.empty(named("q"), 60 * SECOND_MS), true, "a new one has not been emptied")
  await world.add("q", "kept")
  await world.pass(59 * SECOND_MS)
  assert.equal(await world.queues.empty(named("q"), 60 * SECOND_MS), false)
  assert.deepEqual(await world.bodies("q"), ["kept"])
  await world.pass(2 * SECOND_MS)
  assert.equal(await world.queues.empty(named("q"), 60 * SECOND_MS), true)
  assert.equal(await world.queues.empty(named("q")), true)
})

test("an addition that is not durable in time is taken back, as far as that is possible", async () => {
  const world = await opened("q")
  let goOn = (): void => undefined
  const { before } = world.metadata
  world.metadata.before = async name => {
    if (name === "AddMessages") await new Promise<void>(resolve => (goOn = resolve))
    await before(name)
  }
  const content = { body: Buffer.from("late"), attributes: [], trace: undefined }
  const adding = world.queues.add(named("q"), [{ content, sender: "arn" }], { copiesNow: 1, timeoutMs: 100 })
  const refused = assert.rejects(adding, { kind: "tooFewCopies" })
  await world.pass(100)
  await refused
  goOn()
  await world.queues.settled()
  assert.equal(world.rows()["queueMessages"], 0)
})

test("queues come back from a copy of their rows: messages that may be delivered again, with their contents, once", async () => {
  const world = await opened("q")
  await world.queues.create(named("gone"))
  const big = "x".repeat(5_000)
  await world.add("q", "waiting")
  await world.add("q", "delayed", { delaySeconds: 30 })
  await world.add("q", "once", { retrySeconds: 0 })
  await world.add("q", "over", { retentionSeconds: 1 })
  await world.add("q", big, { retrySeconds: 100 })
  await world.add("q", "lost".repeat(1_000))
  await world.queues.create(named("purged"))
  for (const body of ["purged", big]) await world.add("purged", body)
  await world.queues.empty(named("purged"))
  await world.add("purged", `later${big}`, { delaySeconds: 60 })
  await world.queues.change(named("q"), { isPausedIn: true, settings: { visibilitySeconds: 7 } })
  assert.equal((await world.receive("q", 100)).length, 5)
  await world.pass(2_000)
  const copied = (["queues", "queueMessages", "queueContents"] as const).flatMap(family => {
    const all = { start: rowKeyOf(""), end: rowKeyOf("\xff") }
    return [...world.metadata.committed.range(family, all)].map(([key, { value }]) => ({ family, key, value }))
  })
  // A content that could not be read.
  const isLost = ({ family, value }: (typeof copied)[number]) =>
    family === "queueContents" && Buffer.from(value).includes("lostlost")
  const target = new QueueWorld()
  await target.pass(2_000)
  for (const time of [1, 2]) {
    const restoring = new QueueRestoring(target.metadata, async () => undefined)
    for (const row of copied) if (!isLost(row)) await restoring.take(row)
    assert.deepEqual(await restoring.finish(), time === 1 ? { queues: 3, messages: 5 } : { queues: 0, messages: 0 })
  }
  const found = await target.receive("q", 100)
  assert.deepEqual(found.map(bodyOf).toSorted(), ["waiting", big].toSorted())
  assert.deepEqual(
    found.map(({ message }) => message.deliveries),
    [2, 2],
  )
  await assert.rejects(target.add("q", "x"), { kind: "queuePaused" })
  assert.deepEqual(await target.lengths("q"), [0, 2, 2, 4])
  await target.pass(30_000)
  assert.deepEqual(
    (await target.bodies("q")).filter(body => body === "delayed"),
    ["delayed"],
  )
  assert.deepEqual(await target.bodies("purged"), [])
  await target.pass(30_000)
  assert.deepEqual(await target.bodies("purged"), [`later${big}`])
})

test("what a node adds whose clock is behind is found all the same, whatever else there is", async () => {
  const world = await opened("q")
  const { before } = world.metadata
  const addBehind = async (body: string, behindMs: number): Promise<void> => {
    world.metadata.before = async name => {
      await before(name)
      world.metadata.aheadMs -= behindMs
    }
    await world.add("q", body)
    world.metadata.before = before
  }
  assert.deepEqual(await world.bodies("q"), [])
  await addBehind("a little", QUEUE_LIMITS.skewMs)
  assert.deepEqual(await world.bodies("q"), ["a little"])
  await addBehind("more", 4 * QUEUE_LIMITS.skewMs)
  assert.deepEqual(await world.bodies("q"), ["more"])
  // While each claim finds something, one begins at the beginning after a while.
  await world.bodies("q")
  await addBehind("behind", 4 * QUEUE_LIMITS.skewMs)
  const found: string[] = []
  for (let passedMs = 0; passedMs <= QUEUE_LIMITS.beginAgainMs; passedMs += SECOND_MS) {
    await world.add("q", "busy")
    found.push(...(await world.bodies("q", 1)))
    await world.pass(SECOND_MS)
  }
  assert.ok(found.includes("behind"), String(found))
})

/** A message as the model knows it. */
interface Expected {
  readonly id: MessageId
  readonly queue: string
  dueMs: number
  readonly expiresMs: number
  readonly retryMs: number
  deliveries: number
  isHanded: boolean
}

const QUEUES = ["a", "b"]

class Model {
  readonly messages = new Map<MessageId, Expected>()
  private readonly paused = new Set<string>()

  constructor(
    readonly world: QueueWorld,
    private readonly random: SimRandom,
  ) {}

  private get nowMs(): number {
    return this.world.clock.wallMs()
  }

  private oneOf<T>(values: readonly T[]): T | undefined {
    return values.length === 0 ? undefined : values[this.random.below(values.length)]
  }

  private alive(): Expected[] {
    return [...this.messages.values()].filter(({ expiresMs }) => expiresMs > this.nowMs)
  }

  async step(): Promise<void> {
    const { world, random } = this
    const queue = must(this.oneOf(QUEUES), "a queue")
    const one = this.oneOf(this.alive())
    const what = random.below(100)
    if (what < 35) await this.add(queue)
    else if (what < 65) await this.receive(queue)
    else if (what < 75 && one !== undefined) {
      assert.deepEqual(await world.queues.acknowledge(ACCOUNT, [one.id]), [one.id])
      this.messages.delete(one.id)
    } else if (what < 80 && one !== undefined) await this.nack(one)
    else if (what < 84 && one !== undefined) await this.enqueue(one)
    else if (what < 86) await this.pause(queue)
    else if (what < 87) {
      await world.queues.empty(named(queue))
      for (const { id, queue: of } of [...this.messages.values()]) if (of === queue) this.messages.delete(id)
    } else if (what < 90) await world.expire()
    else await world.pass(random.below(4_000))
    await this.check(queue)
  }

  private async add(queue: string): Promise<void> {
    const { random } = this
    const options: Options = {
      delaySeconds: random.below(4) === 0 ? random.below(5) : 0,
      retentionSeconds: 5 + random.below(30),
      retrySeconds: random.below(4) === 0 ? 0 : 1 + random.below(6),
    }
    const id = await this.world.add(queue, "x".repeat(random.below(2) * 2_000), options)
    const { delaySeconds = 0, retentionSeconds = 0, retrySeconds = 0 } = options
    const { nowMs } = this
    const times = { dueMs: nowMs + delaySeconds * SECOND_MS, expiresMs: nowMs + retentionSeconds * SECOND_MS }
    this.messages.set(id, { id, queue, ...times, retryMs: retrySeconds * SECOND_MS, deliveries: 0, isHanded: false })
  }

  private due(queue: string): Expected[] {
    return this.alive().filter(each => each.queue === queue && each.dueMs <= this.nowMs)
  }

  private async receive(queue: string): Promise<void> {
    const count = 1 + this.random.below(5)
    const due = this.paused.has(queue) ? [] : this.due(queue)
    const found = await this.world.receive(queue, count)
    assert.equal(found.length, Math.min(count, due.length))
    let last = -Infinity
    for (const { id, message } of found) {
      const expected = must(
        due.find(each => each.id === id),
        "it was due",
      )
      assert.ok(expected.dueMs >= last, "in the order in which they became due")
      last = expected.dueMs
      assert.ok(expected.retryMs > 0 || !expected.isHanded, "at most once")
      expected.isHanded = true
      expected.deliveries += 1
      assert.equal(message.deliveries, expected.deliveries)
      expected.dueMs =
        expected.retryMs === 0 ? expected.expiresMs : Math.min(this.nowMs + expected.retryMs, expected.expiresMs)
    }
  }

  private async nack(one: Expected): Promise<void> {
    const { kind } = await reschedule(this.world, one.id, { kind: "nack" })
    const isOver = one.retryMs === 0 && one.isHanded
    assert.equal(kind, isOver ? "same" : "done")
    if (!isOver) one.dueMs = this.nowMs
  }

  private async enqueue(one: Expected): Promise<void> {
    const { kind } = await reschedule(this.world, one.id, { kind: "enqueue" })
    const isSame = one.dueMs <= this.nowMs || (one.retryMs === 0 && one.isHanded)
    assert.equal(kind, isSame ? "same" : "done")
    if (!isSame) one.dueMs = this.nowMs
  }

  private async pause(queue: string): Promise<void> {
    const isPaused = !this.paused.delete(queue)
    if (isPaused) this.paused.add(queue)
    await this.world.queues.change(named(queue), { isPausedOut: isPaused })
  }

  private async check(queue: string): Promise<void> {
    const { found } = await this.world.queues.scan(ACCOUNT, undefined, 10_000)
    const ids = (each: readonly { readonly id: MessageId }[]) => each.map(({ id }) => id).sort()
    assert.deepEqual(ids(found), ids(this.alive()))
    const peeked = await this.world.queues.peek(named(queue), 10_000, false)
    assert.deepEqual(ids(peeked), ids(this.due(queue)))
  }

  async end(): Promise<void> {
    const { world } = this
    await world.expire()
    for (const queue of QUEUES) {
      const [, , , all] = await world.lengths(queue)
      assert.equal(all, this.alive().filter(each => each.queue === queue).length, "the counts are exact")
    }
    const { queueMessages, queueOrder } = world.rows()
    assert.deepEqual([queueMessages, queueOrder], [this.alive().length, this.alive().length])
    await world.pass(100 * SECOND_MS)
    await world.expire()
    assert.deepEqual(world.rows(), { queues: 2, queueMessages: 0, queueContents: 0, queueOrder: 0 })
    for (const queue of QUEUES) assert.deepEqual(await world.lengths(queue), [0, 0, 0, 0])
  }
}

test("random histories of queues are as a model has them", async () => {
  for (let history = 0; history < 10; history += 1) {
    const seed = TEST_SEED + history
    const world = new QueueWorld(seed)
    for (const queue of QUEUES) await world.queues.create(named(queue), DEFAULT_SETTINGS)
    const model = new Model(world, new SimRandom(seed))
    try {
      for (let step = 0; step < 150; step += 1) await model.step()
      await model.end()
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
})

test("sizes of queues have the largest by name, and the others together", async () => {
  const world = await opened("a", "b", "c", "d")
  for (const [name, count] of [
    ["b", 3],
    ["d", 2],
    ["a", 1],
    ["c", 1],
  ] as const)
    for (let i = 0; i < count; i++) await world.add(name, "12345")
  await world.receive("d")
  const size = (name: string, messages: number) => ({ account: ACCOUNT, name, messages, bytes: 5 * messages })
  assert.deepEqual(await readQueueSizes(world.metadata, 2), {
    largest: [size("b", 3), size("d", 2)],
    others: { messages: 2, bytes: 10 },
  })
  const { largest, others } = await readQueueSizes(world.metadata)
  assert.deepEqual([largest.map(({ name }) => name), others], [["b", "d", "a", "c"], undefined])
})

test("messages whose dead queue cannot be made are delivered, and hold up no others", async () => {
  const world = await opened("q")
  for (let i = 1; i < QUEUE_LIMITS.queuesMax; i++)
    await world.metadata.run(createQueue(named(`q${i}`), DEFAULT_SETTINGS))
  const redrive = { maxDeliveries: 1, deadQueue: "dead" }
  for (let i = 0; i < QUEUE_LIMITS.passedPerCommand + 1; i++) await world.add("q", "bad", { retrySeconds: 1, redrive })
  assert.equal((await world.bodies("q")).length + (await world.bodies("q")).length, QUEUE_LIMITS.passedPerCommand + 1)
  await world.pass(SECOND_MS)
  await world.add("q", "once", { retrySeconds: 0 })
  const bodies: string[] = []
  for (let found = await world.bodies("q"); found.length > 0; found = await world.bodies("q")) bodies.push(...found)
  assert.deepEqual([bodies.length, bodies.includes("once")], [QUEUE_LIMITS.passedPerCommand + 2, true])
  await world.queues.remove(named("q1"))
  await world.pass(SECOND_MS)
  assert.deepEqual(await world.bodies("q"), [])
  assert.equal((await world.bodies("dead")).length > 0, true)
})

test("a queue that is named twice delivers each message once", async () => {
  const world = await opened("q")
  await world.add("q", "a")
  await world.add("q", "over", { retentionSeconds: 1 })
  await world.pass(2 * SECOND_MS)
  const found = await world.queues.receive({ account: ACCOUNT, queues: ["q", "q"], count: 10 })
  assert.deepEqual([found?.map(bodyOf), await world.lengths("q")], [["a"], [0, 1, 0, 1]])
})

test("what one sees of a queue has a bounded number of bytes", async () => {
  const world = await opened("q")
  const bytesMax = QUEUE_LIMITS.receivedBytesMax
  for (let i = 0; i < 8; i++) await world.add("q", "x".repeat(bytesMax / 4))
  assert.equal((await world.queues.peek(named("q"), 100, false)).length, 4)
})

test("WORKING only postpones, and never takes away the only delivery of a message", async () => {
  const world = await opened("q")
  const delayed = await world.add("q", "delayed", { delaySeconds: 3_600, retrySeconds: 10 })
  const once = await world.add("q", "once", { retrySeconds: 0 })
  for (const id of [delayed, once]) assert.equal((await reschedule(world, id, { kind: "working" })).kind, "done")
  assert.deepEqual(await world.bodies("q"), ["once"])
  await world.pass(3_599 * SECOND_MS)
  assert.deepEqual(await world.bodies("q"), [])
  await world.pass(SECOND_MS)
  assert.deepEqual(await world.bodies("q"), ["delayed"])
})
