/** Calls over a channel: one message for each turn, in order, bounded, and each with one end. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Channel } from "@hayloft/base/seams/channel/contract.js"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { ThreadLink, type MoveBytes, type ThreadMethod } from "./link.js"

const DOUBLE: ThreadMethod<number, number> = { name: "double", changes: false }
const NEVER: ThreadMethod<undefined, undefined> = { name: "never", changes: true }
const BYTES: ThreadMethod<number, Uint8Array> = { name: "bytes", changes: false }
const ANYTHING: ThreadMethod<unknown, unknown> = { name: "anything", changes: false }

/** Counts the messages. */
class CountedChannel implements Channel {
  messages = 0

  constructor(private readonly channel: Channel) {}

  start: Channel["start"] = events => this.channel.start(events)
  close: Channel["close"] = () => this.channel.close()
  send: Channel["send"] = (message, moved) => {
    this.channel.send(message, moved)
    this.messages += 1
  }
}

function linked(callsMax?: number) {
  const clock = new SimClock()
  const [here, there] = SimChannel.pair(clock, new SimRandom(TEST_SEED))
  const channels = [here, there].map(channel => new CountedChannel(channel))
  const [a, b] = channels.map(channel => new ThreadLink(channel, clock, callsMax))
  assert.ok(a && b)
  for (const link of [a, b]) {
    link.handle(DOUBLE, number => {
      if (number < 0) throw fail("invalidArgument", { message: "a negative number", number })
      return number % 2 === 0 ? 2 * number : Promise.resolve(2 * number)
    })
    link.handle(NEVER, () => new Promise(() => undefined))
    link.handle(BYTES, (lengthBytes, move: MoveBytes) => {
      const bytes = new Uint8Array(lengthBytes).fill(7)
      move(bytes)
      return bytes
    })
    link.handle(ANYTHING, request => request)
  }
  a.start()
  b.start()
  return { clock, a, b, channels, died: () => there.die() }
}

test("the calls of a turn are one message, and so are their answers, both ways at the same time", async () => {
  const { clock, a, b, channels } = linked()
  const numbers = Array.from({ length: 100 }, (_, at) => 2 * at)
  const calls = [...numbers.map(number => a.call(DOUBLE, number)), b.call(DOUBLE, 7)]
  assert.deepEqual(await clock.runUntil(Promise.all(calls)), [...numbers.map(number => 2 * number), 14])
  assert.ok(
    channels.every(({ messages }) => messages <= 3),
    channels.map(({ messages }) => messages).join(),
  )
  assert.equal(a.unanswered, 0)
})

test("a question is sent once for all that ask in one turn, and again in the next", async () => {
  const { clock, a, b } = linked()
  let asked = 0
  const QUESTION: ThreadMethod<undefined, number> = { name: "question", changes: false }
  b.handle(QUESTION, () => (asked += 1))
  assert.deepEqual(await clock.runUntil(Promise.all([a.ask(QUESTION), a.ask(QUESTION), a.ask(QUESTION)])), [1, 1, 1])
  assert.equal(await clock.runUntil(a.ask(QUESTION)), 2)
})

test("a question that is refused once is asked again", async () => {
  const { clock, a } = linked(1)
  const QUESTION: ThreadMethod<undefined, unknown> = { name: ANYTHING.name, changes: false }
  const full = a.call(DOUBLE, 2)
  await assert.rejects(a.ask(QUESTION), error => isFailure(error, "tooManyInFlight"))
  await clock.runUntil(full)
  assert.equal(await clock.runUntil(a.ask(QUESTION)), undefined)
})

test("the failure of a method arrives as it was thrown, beside the answers of others", async () => {
  const { clock, a } = linked()
  const [refused, answered] = await clock.runUntil(Promise.allSettled([a.call(DOUBLE, -1), a.call(DOUBLE, 3)]))
  assert.ok(refused.status === "rejected" && isFailure(refused.reason, "invalidArgument"))
  assert.deepEqual(refused.reason.details, { message: "a negative number", number: -1 })
  assert.deepEqual(answered, { status: "fulfilled", value: 6 })
})

test("a call of what the other thread does not offer fails alone", async () => {
  const { clock, a } = linked()
  const calls = [a.call({ ...ANYTHING, name: "unknown" }, 1), a.call(ANYTHING, 1)]
  const [unknown, known] = await clock.runUntil(Promise.allSettled(calls))
  assert.ok(unknown?.status === "rejected" && isFailure(unknown.reason, "internal"))
  assert.equal(known?.status, "fulfilled")
})

test("bytes of an answer are moved", async () => {
  const { clock, a } = linked()
  const pieces = await clock.runUntil(Promise.all([a.call(BYTES, 3), a.call(BYTES, 2)]))
  assert.deepEqual(pieces, [Uint8Array.of(7, 7, 7), Uint8Array.of(7, 7)])
})

test("what cannot be sent fails alone, as a request or as an answer", async () => {
  const { clock, a, b } = linked()
  b.handle({ ...ANYTHING, name: "function" }, () => () => 1)
  const outcomes = await clock.runUntil(
    Promise.allSettled([
      a.call(ANYTHING, "before"),
      a.call(ANYTHING, () => 1),
      a.call({ ...ANYTHING, name: "function" }, 1),
      a.call(ANYTHING, "after"),
    ]),
  )
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["fulfilled", "rejected", "rejected", "fulfilled"],
  )
  assert.equal(a.unanswered, 0)
})

test("calls that are not answered are bounded, and the bound is free again once they are", async () => {
  const { clock, a, died } = linked(2)
  const first = a.call(DOUBLE, 2)
  const never = a.call(NEVER, undefined)
  await assert.rejects(a.call(DOUBLE, 4), error => isFailure(error, "tooManyInFlight"))
  assert.equal(await clock.runUntil(first), 4)
  assert.equal(await clock.runUntil(a.call(DOUBLE, 5)), 10)
  died()
  await assert.rejects(clock.runUntil(never), error => isFailure(error, "indeterminate"))
  await clock.runUntil(a.closed)
})

test("a link has ended once whatever the other thread had called has ended", async () => {
  const { clock, a, b } = linked()
  let finish = (): void => undefined
  b.handle({ ...ANYTHING, name: "slow" }, () => new Promise<void>(resolve => (finish = resolve)))
  const lost = a.call({ ...ANYTHING, name: "slow" }, undefined)
  await clock.advance(10)
  a.close()
  await assert.rejects(lost, error => isFailure(error, "stopping"))
  let hasEnded = false
  void b.closed.then(() => (hasEnded = true))
  await clock.advance(10)
  assert.equal(hasEnded, false)
  finish()
  await clock.runUntil(b.closed)
})

test("a link that is closed sends what its turn has called, and then nothing", async () => {
  const { clock, a, b } = linked()
  const seen: unknown[] = []
  b.handle({ ...ANYTHING, name: "seen" }, request => seen.push(request))
  const last = a.call({ ...ANYTHING, name: "seen" }, "last")
  a.close()
  await assert.rejects(last, error => isFailure(error, "stopping"))
  await assert.rejects(a.call(DOUBLE, 1), error => isFailure(error, "stopping"))
  await clock.runUntil(Promise.all([a.closed, b.closed]))
  assert.deepEqual(seen, ["last"])
  await assert.rejects(b.call(DOUBLE, 1), error => isFailure(error, "stopping"))
})

test("once a call has closed the link, the calls that came with it are not begun", async () => {
  const clock = new SimClock()
  const [here, there] = SimChannel.pair(clock, new SimRandom(TEST_SEED))
  const [caller, called] = [new ThreadLink(here, clock), new ThreadLink(there, clock)]
  const begun: unknown[] = []
  called.handle(ANYTHING, request => {
    begun.push(request)
    called.close()
  })
  called.start()
  caller.start()
  const settled = Promise.allSettled([caller.call(ANYTHING, "closes"), caller.call(ANYTHING, "comes too late")])
  await clock.runUntil(called.closed)
  const answers = await clock.runUntil(settled)
  assert.deepEqual([begun, answers.map(({ status }) => status)], [["closes"], ["rejected", "rejected"]])
})
