/** Requests that wait for messages: each message wakes one of them, and none sleeps while a message is due. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Polls } from "@hayloft/base/life/index.js"
import { bodyOf, ACCOUNT, named, QueueWorld } from "./testing-queues.js"
import type { Queues } from "./queues.js"

/** A request that waits; nothing else happens to it. */
const waitingRequest = (signal = new AbortController().signal) => ({
  signal,
  pause: (begin: (go: () => void) => (() => void) | undefined) =>
    new Promise<void>(resolve => {
      const end = begin(resolve)
      if (end === undefined) resolve()
      signal.addEventListener("abort", () => {
        end?.()
        resolve()
      })
    }),
})

interface Consumer {
  readonly at: Queues
  readonly seconds: number
  readonly isStillAllowed: () => boolean
}

class Consumers {
  readonly got: string[] = []
  looks = 0
  private readonly polls: Polls
  private readonly under: Promise<void>[] = []

  constructor(private readonly world: QueueWorld) {
    this.polls = new Polls(world.clock)
  }

  /** A consumer waits for a message of some queues, as long as it may. Returns what ends it. */
  add(
    queues: readonly string[],
    { at = this.world.queues, seconds = 100, isStillAllowed = () => true }: Partial<Consumer> = {},
  ) {
    const gone = new AbortController()
    const waiter = at.watchFor(ACCOUNT, queues)
    const look = () => {
      this.looks += 1
      return at.receive({ account: ACCOUNT, queues, count: 1 }, waiter)
    }
    const waiting = this.polls
      .until(waitingRequest(gone.signal), { watcher: waiter, seconds, isStillAllowed }, look)
      .then(found => void this.got.push(...(found ?? []).map(bodyOf)))
    this.under.push(waiting)
    return () => gone.abort()
  }

  async all(): Promise<void> {
    await this.world.clock.runUntil(Promise.all(this.under))
  }
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn += 1) await new Promise(resolve => setImmediate(resolve))
}

test("a message wakes one of those that wait, the one that waits longest, and several messages wake as many", async () => {
  const world = new QueueWorld()
  await world.queues.create(named("q"))
  const consumers = new Consumers(world)
  for (let number = 0; number < 100; number += 1) consumers.add(["q"])
  await turns()
  assert.equal(consumers.looks, 100)
  await world.add("q", "a")
  await turns()
  assert.deepEqual([consumers.got, consumers.looks], [["a"], 101])
  for (const body of ["b", "c", "d"]) await world.add("q", body)
  // Decisions side by side are a millisecond ahead of the clock.
  await world.pass(5)
  assert.deepEqual(consumers.got.toSorted(), ["a", "b", "c", "d"])
  assert.ok(consumers.looks <= 110, String(consumers.looks))
  assert.equal(world.queues.waiting, 96)
  await consumers.all()
  assert.equal(world.queues.waiting, 0)
})

test("messages that become due later wake one that waits: after a delay, a lapsed delivery, a pause, a return", async () => {
  const world = new QueueWorld()
  await world.queues.create(named("q"))
  const consumers = new Consumers(world)
  await world.add("q", "delayed", { delaySeconds: 5 })
  await world.add("q", "lapsed", { retrySeconds: 8 })
  await world.receive("q")
  for (let number = 0; number < 4; number += 1) consumers.add(["q"])
  await world.pass(4_990)
  assert.deepEqual(consumers.got, [])
  await world.pass(20)
  assert.deepEqual(consumers.got, ["delayed"])
  await world.pass(3_000)
  assert.deepEqual(consumers.got, ["delayed", "lapsed"])
  await world.queues.change(named("q"), { isPausedOut: true })
  const id = await world.add("q", "paused", { retrySeconds: 1_000 })
  await turns()
  assert.equal(consumers.got.length, 2)
  await world.queues.change(named("q"), { isPausedOut: false })
  await turns()
  assert.deepEqual(consumers.got.at(-1), "paused")
  await world.queues.reschedule(ACCOUNT, [{ id, change: { kind: "nack" } }])
  await turns()
  assert.deepEqual(consumers.got.slice(-2), ["paused", "paused"])
  await consumers.all()
})

test("a consumer that goes as it is woken passes the message on; one of several queues is woken by each", async () => {
  const world = new QueueWorld()
  for (const name of ["a", "b"]) await world.queues.create(named(name))
  const consumers = new Consumers(world)
  const go = consumers.add(["a", "b"])
  consumers.add(["b", "a"])
  await turns()
  // It has gone before it looks.
  const adding = world.add("b", "one")
  go()
  await adding
  await turns()
  assert.deepEqual(consumers.got, ["one"])
  consumers.add(["a", "b"])
  await turns()
  await world.add("a", "two")
  await turns()
  assert.deepEqual(consumers.got, ["one", "two"])
  await consumers.all()
})

test("a message whose consumer does not acknowledge it wakes another one that waits", async () => {
  const world = new QueueWorld()
  await world.queues.create(named("q"))
  const consumers = new Consumers(world)
  for (let number = 0; number < 2; number += 1) consumers.add(["q"])
  await turns()
  await world.add("q", "again", { retrySeconds: 5 })
  await turns()
  assert.deepEqual(consumers.got, ["again"])
  await world.pass(5_010)
  assert.deepEqual(consumers.got, ["again", "again"])
  await consumers.all()
})

test("a message that comes while a consumer takes another one wakes the next", async () => {
  const world = new QueueWorld()
  await world.queues.create(named("q"))
  const { queues, metadata } = world
  const [first, second] = [queues.watchFor(ACCOUNT, ["q"]), queues.watchFor(ACCOUNT, ["q"])]
  let woken = 0
  second.wake = () => (woken += 1)
  await world.add("q", "one")
  let goOn = (): void => undefined
  metadata.later = () => new Promise<void>(resolve => (goOn = resolve))
  const receiving = queues.receive({ account: ACCOUNT, queues: ["q"], count: 1 }, first)
  await turns()
  metadata.later = () => undefined
  await world.add("q", "two")
  assert.equal(woken, 0)
  goOn()
  assert.equal((await receiving)?.length, 1)
  first.end()
  assert.equal(woken, 1)
  second.end()
})

test("a look that fails passes the message on", async () => {
  const world = new QueueWorld()
  await world.queues.create(named("q"))
  const { queues } = world
  const [first, second] = [queues.watchFor(ACCOUNT, ["q"]), queues.watchFor(ACCOUNT, ["q"])]
  let woken = 0
  second.wake = () => (woken += 1)
  await world.add("q", "one")
  assert.equal(woken, 0)
  const { before } = world.metadata
  world.metadata.before = () => {
    throw new Error("the metadata cannot be written")
  }
  await assert.rejects(queues.receive({ account: ACCOUNT, queues: ["q"], count: 1 }, first))
  assert.equal(woken, 1)
  world.metadata.before = before
  const found = await queues.receive({ account: ACCOUNT, queues: ["q"], count: 1 }, second)
  assert.equal(found?.length, 1)
  for (const waiter of [first, second]) waiter.end()
})

test("what another process adds wakes one that waits within a moment, and nothing is read while nothing waits", async () => {
  const world = new QueueWorld()
  await world.queues.create(named("q"))
  const [one, two] = [world.beside("00000001"), world.beside("00000002")]
  let reads = 0
  world.metadata.later = () => {
    reads += 1
    return undefined
  }
  const consumers = new Consumers(world)
  for (let number = 0; number < 3; number += 1) consumers.add(["q"], { at: one })
  await world.pass(1_000)
  const content = { body: Buffer.from("from two"), attributes: [], trace: undefined }
  await two.add(named("q"), [{ content, sender: "arn" }], { copiesNow: 1 })
  await world.pass(60)
  assert.deepEqual(consumers.got, ["from two"])
  for (let number = 0; number < 2; number += 1)
    await two.add(named("q"), [{ content, sender: "arn" }], { copiesNow: 1 })
  await world.pass(60)
  assert.equal(consumers.got.length, 3)
  await consumers.all()
  const before = reads
  await world.pass(10_000)
  assert.equal(reads, before)
})

test("a message that is over, but may not be removed yet, hides nothing that another node adds", async () => {
  const world = new QueueWorld(undefined, true)
  await world.queues.create(named("q"))
  await world.add("q", "over", { retentionSeconds: 60 })
  await world.pass(61_000)
  world.wallAheadMs = 30_000
  const consumers = new Consumers(world)
  consumers.add(["q"])
  await world.pass(500)
  const content = { body: Buffer.from("other"), attributes: [], trace: undefined }
  await world.beside("00000001").add(named("q"), [{ content, sender: "arn" }], { copiesNow: 1 })
  await world.pass(1_500)
  assert.deepEqual(consumers.got, ["other"])
  await consumers.all()
})

test("a consumer that has lost its rights gets no message, and the next one that waits does", async () => {
  const world = new QueueWorld()
  await world.queues.create(named("q"))
  const consumers = new Consumers(world)
  consumers.add(["q"], { isStillAllowed: () => false })
  consumers.add(["q"])
  await turns()
  await world.add("q", "a")
  await turns()
  assert.deepEqual([consumers.got, consumers.looks], [["a"], 3])
  assert.equal(world.queues.waiting, 0)
  await consumers.all()
})
