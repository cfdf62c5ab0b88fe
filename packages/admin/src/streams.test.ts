/** Streams of lines: what a client reads, however fast it reads, and how they end. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { LineSource, STREAM_LIMITS, Streams } from "./streams.js"

interface Line {
  readonly type: string
  readonly [member: string]: unknown
}

function world() {
  const clock = new SimClock(0)
  const streams = new Streams(clock)
  const begun: ((line: Line) => void)[] = []
  const sinks: { lost(lines: number): void }[] = []
  const ended: number[] = []
  const source = new LineSource(sink => {
    sinks.push(sink)
    const number = begun.push(line => sink.push(line))
    return () => void ended.push(number)
  })
  const open = (checkAllowed: () => Promise<unknown> = async () => undefined) => {
    const leaving = new AbortController()
    const pieces = streams.pieces(source, { signal: leaving.signal, checkAllowed })
    /** The next lines; undefined at the end. */
    const read = async (): Promise<Line[] | undefined> => {
      const next = await pieces.next()
      if (next.done === true) return undefined
      const text = new TextDecoder().decode(next.value)
      assert.ok(text.endsWith("\n"))
      return text
        .slice(0, -1)
        .split("\n")
        .map(line => JSON.parse(line) as Line)
    }
    return { read, pieces, leave: () => leaving.abort() }
  }
  const lose = (lines: number): void => sinks.forEach(sink => sink.lost(lines))
  return { clock, streams, open, begun, ended, lose, push: (line: Line) => begun.forEach(push => push(line)) }
}

test("lines arrive in order, between heartbeats that need no lines", async () => {
  const { clock, open, push, ended } = world()
  const { read, pieces } = open()
  assert.deepEqual(await read(), [{ type: "heartbeat", atMs: 0 }])
  push({ type: "a", n: 1 })
  push({ type: "a", n: 2 })
  assert.deepEqual(await read(), [
    { type: "a", n: 1 },
    { type: "a", n: 2 },
  ])
  const beat = read()
  await clock.advance(STREAM_LIMITS.heartbeatMs)
  assert.deepEqual(await beat, [{ type: "heartbeat", atMs: STREAM_LIMITS.heartbeatMs }])
  const next = read()
  push({ type: "b" })
  assert.deepEqual(await next, [{ type: "b" }])
  await pieces.return(undefined)
  assert.deepEqual(ended, [1])
  assert.equal(clock.sleepers, 0)
})

test("a client that reads nothing costs a bounded number of lines and learns how many it missed", async () => {
  const { open, push } = world()
  const { read } = open()
  await read()
  for (let n = 0; n < STREAM_LIMITS.linesMax + 7; n += 1) push({ type: "a", n })
  const lines = (await read()) ?? []
  assert.equal(lines.length, STREAM_LIMITS.linesMax + 1)
  assert.deepEqual(lines.at(-2), { type: "a", n: STREAM_LIMITS.linesMax - 1 })
  assert.deepEqual(lines.at(-1), { type: "dropped", lines: 7 })
  push({ type: "a", n: 0 })
  assert.deepEqual(await read(), [{ type: "a", n: 0 }], "nothing is dropped once it reads again")
})

test("a client learns of lines that the source has left out", async () => {
  const { open, push, lose } = world()
  const { read, pieces } = open()
  await read()
  const next = read()
  lose(3)
  assert.deepEqual(await next, [{ type: "dropped", lines: 3 }])
  push({ type: "a", n: 1 })
  lose(2)
  lose(2)
  assert.deepEqual(await read(), [
    { type: "a", n: 1 },
    { type: "dropped", lines: 4 },
  ])
  await pieces.return(undefined)
})

test("long lines are bounded by their length", async () => {
  const { open, push } = world()
  const { read } = open()
  await read()
  const text = "x".repeat(1000)
  for (let n = 0; n < 2000; n += 1) push({ type: "a", text: text.repeat(10) })
  const lines = (await read()) ?? []
  assert.ok(JSON.stringify(lines).length <= STREAM_LIMITS.charactersMax + 1000, `${JSON.stringify(lines).length}`)
  assert.deepEqual(lines.at(-1)?.["lines"], 2000 - (lines.length - 1))
})

test("a stream ends when its client leaves, even while no line comes", async () => {
  const { clock, open, ended } = world()
  const { read, leave } = open()
  await read()
  const next = read()
  leave()
  assert.equal(await next, undefined)
  assert.deepEqual(ended, [1])
  assert.equal(clock.sleepers, 0)
})

test("a stop ends all streams, after the lines that wait, and streams that begin later", async () => {
  const { streams, open, push, ended } = world()
  const [one, other] = [open(), open()]
  await one.read()
  await other.read()
  push({ type: "a" })
  streams.stop()
  for (const { read } of [one, other]) {
    const lines = (await read()) ?? []
    assert.deepEqual(
      lines.map(({ type }) => type),
      ["a", "end"],
    )
    assert.equal(await read(), undefined)
  }
  assert.deepEqual(ended, [1, 2])
  assert.match(JSON.stringify(await open().read()), /"end"/)
})

test("a stream ends with a reason once its caller may no longer read it", async () => {
  const { clock, open } = world()
  let isRevoked = false
  const { read } = open(async () => {
    if (isRevoked) throw fail("accessDenied", { message: "the token has expired" })
  })
  await read()
  const beat = read()
  await clock.advance(STREAM_LIMITS.heartbeatMs)
  await beat
  isRevoked = true
  const last = read()
  await clock.advance(STREAM_LIMITS.heartbeatMs)
  const lines = [...((await last) ?? []), ...((await read()) ?? [])]
  assert.deepEqual(lines.at(-1), { type: "end", reason: "the token has expired" })
  assert.equal(await read(), undefined)
})

test("more streams than the limit are refused until one ends", async () => {
  const { open } = world()
  const all = []
  for (let n = 0; n < STREAM_LIMITS.watchersMax; n += 1) {
    const stream = open()
    await stream.read()
    all.push(stream)
  }
  await assert.rejects(open().read(), { kind: "tooManyInFlight" })
  await all[0]?.pieces.return(undefined)
  assert.notEqual(await open().read(), undefined)
})

test("a source that refuses to begin leaves nothing behind", async () => {
  const clock = new SimClock(0)
  const streams = new Streams(clock)
  const source = new LineSource(() => {
    throw fail("invalidArgument")
  })
  const { signal } = new AbortController()
  await assert.rejects(streams.pieces(source, { signal, checkAllowed: async () => undefined }).next(), {
    kind: "invalidArgument",
  })
  assert.equal(clock.sleepers, 0)
})
