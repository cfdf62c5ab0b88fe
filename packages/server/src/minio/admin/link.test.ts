/** MinIO's admin API over a link: streams end in the thread of the engine, whenever their client leaves. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimChannel } from "@hayloft/base/seams/channel/sim.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { ThreadLink } from "@hayloft/engine/thread/index.js"
import type { MinioAdmin, MinioCall } from "./contract.js"
import { LinkedMinioAdmin, serveMinioAdmin } from "./link.js"

const CALL: MinioCall = {
  method: "GET",
  path: "trace",
  rawQuery: "",
  body: new Uint8Array(),
  accessKeyId: "KEY",
  sessionToken: undefined,
  from: { requestId: "R", address: "127.0.0.1" },
  isEncrypted: false,
  userAgent: undefined,
  referer: undefined,
  host: "localhost",
}

/** A front, and the signals of the calls that have reached the engine, which answers each with a stream of two pieces. */
function world() {
  const clock = new SimClock()
  const [here, there] = SimChannel.pair(clock, new SimRandom(TEST_SEED))
  const [front, engine] = [new ThreadLink(here, clock), new ThreadLink(there, clock)]
  const signals: AbortSignal[] = []
  const admin: MinioAdmin = {
    async handle(_call, signal) {
      signals.push(signal)
      const stream = (async function* () {
        yield Uint8Array.of(1)
        yield Uint8Array.of(2)
      })()
      return { status: 200, contentType: "application/json", body: new Uint8Array(), stream }
    },
  }
  serveMinioAdmin(engine, admin)
  front.start()
  engine.start()
  return { clock, linked: new LinkedMinioAdmin(front), signals }
}

test("a stream whose client has left before its answer ends, although nobody reads it", async () => {
  const { clock, linked, signals } = world()
  const client = new AbortController()
  const answered = linked.handle(CALL, client.signal)
  client.abort()
  await clock.runUntil(answered)
  await clock.advance(10)
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true],
  )
})

test("a stream whose client leaves before its first piece ends", async () => {
  const { clock, linked, signals } = world()
  const client = new AbortController()
  await clock.runUntil(linked.handle(CALL, client.signal))
  await clock.advance(10)
  assert.equal(signals[0]?.aborted, false)
  client.abort()
  await clock.advance(10)
  assert.equal(signals[0]?.aborted, true)
})

test("a stream that is read to its end ends in both threads", async () => {
  const { clock, linked, signals } = world()
  const { stream } = await clock.runUntil(linked.handle(CALL, new AbortController().signal))
  const read = async (): Promise<readonly number[]> => {
    const seen: number[] = []
    for await (const piece of stream ?? []) seen.push(...piece)
    return seen
  }
  assert.deepEqual(await clock.runUntil(read()), [1, 2])
  assert.equal(signals[0]?.aborted, true)
})
