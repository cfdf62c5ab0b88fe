/** A slow client keeps its memory until another upload needs it. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId, parseLogSequence, parseUploadId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { Rows } from "../device/index.js"
import { makeCodec } from "../erasure/index.js"
import { planLayout } from "../placement/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { LocalBlocks } from "./blocks.js"
import { Layouts } from "./layouts.js"
import { TestDevices } from "./testing-blocks.js"

const PIECE = new Uint8Array(8 * KIB).fill(7)
const never = new AbortController().signal

/** One device that accepts everything, and memory for one block. */
async function world() {
  const clock = new SimClock()
  const compute = new InlineCompute(makeCodec, { slabBytes: 256 * KIB, poolBytes: 256 * KIB })
  const devices = new TestDevices(
    async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0)),
  )
  const layouts = new Layouts(planLayout([{ id: await devices.add(1), weight: 1 }], 1))
  const blocks = new LocalBlocks(clock, compute, layouts, devices.live, new SimTelemetry().metrics)
  let uploads = 0
  /** Sends this many pieces, one each `everyMs`. `isPaced`: because of a limit of rates, not of the client. */
  const send = (pieces: number, everyMs: number, isPaced = false) => {
    uploads += 1
    const payer = {
      payer: { account: "sender", address: "sender" },
      // All of its time is spent in pauses.
      get pausedMs() {
        return isPaced ? clock.monotonicMs() : 0
      },
    }
    const source = async function* () {
      for (let n = 0; n < pieces; n += 1) {
        await clock.sleep(everyMs, never)
        yield PIECE
      }
    }
    return blocks.write({
      uploadId: parseUploadId(uploads.toString(16).padStart(32, "0")),
      part: 0,
      owner: { bucketId: parseBucketId(1), key: objectKeyOfText("key") },
      policy: { kind: "replica", copies: 1 },
      blockBytes: 256 * KIB,
      plan: { md5: true, sha256: false, checksum: undefined },
      source: source(),
      lengthBytesMax: 1 << 30,
      inlineBytesMax: 0,
      recoveryHeader: undefined,
      signal: never,
      payer,
    })
  }
  return { clock, compute, send }
}

test("a client slower than 64 KiB/s for 30 s fails once another upload waits for its memory", async () => {
  const { clock, compute, send } = await world()
  // 2 KiB/s: two minutes for one block.
  const slow = send(200, 4000)
  const refused = slow.then(
    () => "written",
    (error: unknown) => (isFailure(error, "requestTimeout") ? clock.monotonicMs() : error),
  )
  await clock.advance(5_000)
  const quick = send(30, 10)
  const { lengthBytes } = await clock.runUntil(quick)
  assert.equal(lengthBytes, 30 * PIECE.length)
  const refusedAtMs = Number(await clock.runUntil(refused))
  assert.ok(refusedAtMs >= 35_000 && refusedAtMs <= 38_000, `refused at ${refusedAtMs} ms`)
  assert.equal(compute.slabs.slabsFree, 1)
  await clock.advance(10_000)
  assert.equal(clock.sleepers, 0)
})

test("a slow client is waited for while no other upload needs its memory", async () => {
  const { clock, compute, send } = await world()
  const { lengthBytes } = await clock.runUntil(send(120, 1000))
  assert.deepEqual([lengthBytes, compute.slabs.slabsFree], [120 * PIECE.length, 1])
})

test("a steady client keeps its memory while others wait", async () => {
  const { clock, send } = await world()
  // 80 KiB/s, two minutes long.
  const steady = send(1200, 100)
  await clock.advance(1_000)
  const second = send(30, 10)
  assert.equal((await clock.runUntil(steady)).lengthBytes, 1200 * PIECE.length)
  assert.equal((await clock.runUntil(second)).lengthBytes, 30 * PIECE.length)
})

test("a body that a limit of rates keeps waiting is not a slow client", async () => {
  const { clock, send } = await world()
  const paced = send(60, 4000, true)
  await clock.advance(1_000)
  const other = send(30, 10)
  assert.equal((await clock.runUntil(paced)).lengthBytes, 60 * PIECE.length)
  assert.equal((await clock.runUntil(other)).lengthBytes, 30 * PIECE.length)
})
