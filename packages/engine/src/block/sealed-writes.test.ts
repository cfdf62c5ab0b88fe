/** Sealed bodies: what is stored are the segments in their places, what is reported is about the plaintext. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import { parseLogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { isFailure } from "@hayloft/base/failures.js"
import { openedBytesOf, SEGMENT_PLAIN_BYTES } from "@hayloft/base/encryption/segments.js"
import { Rows } from "../device/index.js"
import type { Extent } from "../format/needles/extent.js"
import { plainBytesOf } from "../format/needles/sealing.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { OWNER, piecesOf, ShardWorld } from "./testing-blocks.js"

const BLOCK_BYTES = 192 * KIB
const PLAIN = openedBytesOf(BLOCK_BYTES)
const KEY = createHash("sha256").update("an extent key").digest()
const LENGTHS = [0, 1, 4_097, 65_535, 65_536, 65_537, PLAIN - 1, PLAIN, PLAIN + 1, 2 * PLAIN, 3 * PLAIN + 70_000]
const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")
const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
const openWorld = () => ShardWorld.open(makeRows, parsePolicy("ec:2+1"), { blockBytes: BLOCK_BYTES })

/** The stored bytes of a body, segment by segment. */
function sealed({ compute }: ShardWorld, plain: Uint8Array): Buffer {
  const pieces: Uint8Array[] = []
  for (let from = 0, block = 0; from < plain.length; from += PLAIN, block += 1) {
    const end = Math.min(from + PLAIN, plain.length)
    for (let at = from, segment = 0; at < end; at += SEGMENT_PLAIN_BYTES, segment += 1) {
      const to = Math.min(at + SEGMENT_PLAIN_BYTES, end)
      pieces.push(compute.seal(plain.subarray(at, to), { key: KEY, block, segment, isLast: to === plain.length }))
    }
  }
  return Buffer.concat(pieces)
}

async function* bytewiseAtEnd(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield* piecesOf(bytes.subarray(0, -1))
  yield bytes.subarray(-1)
}

async function writeSealed(world: ShardWorld, bytes: Uint8Array, ...rest: [] | [AsyncIterable<Uint8Array>]) {
  const written = await world.write(bytes, rest[0] ?? bytes, undefined, { seal: { key: KEY } })
  assert.ok(written.content.kind === "extent")
  return { ...written, extent: written.content.extent }
}

test("a sealed body is stored as its segments, whole or streamed, and its digests are those of the plaintext", async () => {
  const world = await openWorld()
  for (const length of LENGTHS) {
    const bytes = world.random.bytes(length)
    const sources = [[], [piecesOf(bytes)], [bytewiseAtEnd(bytes)]] as const
    for (const source of sources) {
      const { extent, digests, lengthBytes } = await writeSealed(world, bytes, ...source)
      assert.equal(lengthBytes, length)
      assert.equal(Buffer.from(digests.md5 ?? []).toString("hex"), md5Of(bytes), `${length} bytes`)
      assert.deepEqual([extent.isSealed, plainBytesOf(extent)], [true, length])
      assert.equal(Buffer.compare(await world.read(extent), sealed(world, bytes)), 0, `${length} bytes`)
    }
  }
})

test("the limit of a sealed body counts its plaintext, and an inline body is returned as it came", async () => {
  const world = await openWorld()
  const bytes = world.random.bytes(2 * PLAIN)
  const how = { seal: { key: KEY }, lengthBytesMax: bytes.length }
  const written = await world.write(bytes, piecesOf(bytes), undefined, how)
  assert.equal(written.lengthBytes, bytes.length)
  const longer = world.random.bytes(bytes.length + 1)
  const refused = world.write(longer, piecesOf(longer), undefined, how)
  await assert.rejects(refused, error => isFailure(error, "entityTooLarge"))
  const small = bytes.subarray(0, 4_096)
  const { content } = await world.write(small, piecesOf(small), undefined, { ...how, inlineBytesMax: 4_096 })
  assert.ok(content.kind === "inline")
  assert.deepEqual(Buffer.from(content.bytes), Buffer.from(small))
})

test("the MD5 of a sealed body is right while another body stalls", async () => {
  const world = await openWorld()
  const [slow, quick] = [world.random.bytes(PLAIN + 100_000), world.random.bytes(2 * PLAIN + 5)]
  let goOn: () => void = () => undefined
  const gate = new Promise<void>(resolve => (goOn = resolve))
  async function* stalling(): AsyncGenerator<Uint8Array> {
    yield slow.subarray(0, PLAIN + 50_000)
    await gate
    yield slow.subarray(PLAIN + 50_000)
  }
  const stalled = writeSealed(world, slow, stalling())
  const { digests, extent } = await writeSealed(world, quick, piecesOf(quick))
  assert.equal(Buffer.from(digests.md5 ?? []).toString("hex"), md5Of(quick))
  assert.equal(Buffer.compare(await world.read(extent), sealed(world, quick)), 0)
  goOn()
  const other = await stalled
  assert.equal(Buffer.from(other.digests.md5 ?? []).toString("hex"), md5Of(slow))
  assert.equal(Buffer.compare(await world.read(other.extent), sealed(world, slow)), 0)
})

test("a full block is stored while its client pauses, if the client has stated that more follows", async () => {
  const world = await openWorld()
  for (const length of [PLAIN + 1, 2 * PLAIN]) {
    const bytes = world.random.bytes(length)
    let goOn: () => void = () => undefined
    const gate = new Promise<void>(resolve => (goOn = resolve))
    async function* pausing(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, PLAIN)
      await gate
      yield bytes.subarray(PLAIN)
    }
    const writing = world.write(bytes, pausing(), undefined, { seal: { key: KEY }, statedBytes: length })
    const uploadId = world.uploads.toString(16).padStart(32, "0")
    for (let turn = 0; turn < 100 && (await world.held(uploadId, 1)) < 3; turn += 1) await new Promise(setImmediate)
    assert.equal(await world.held(uploadId, 1), 3, "all its shards")
    goOn()
    const { content } = await writing
    assert.ok(content.kind === "extent")
    assert.equal(Buffer.compare(await world.read(content.extent), sealed(world, bytes)), 0)
  }
  const short = world.random.bytes(PLAIN)
  const ended = world.write(short, piecesOf(short), undefined, { seal: { key: KEY }, statedBytes: PLAIN + 1 })
  await assert.rejects(ended, error => isFailure(error, "incompleteBody"))
})

test("a sealed block is re-encoded as it is stored: its segments stay", async () => {
  const world = await openWorld()
  const bytes = world.random.bytes(2 * PLAIN + 5)
  const { extent } = await writeSealed(world, bytes)
  const policy = parsePolicy("replica:2")
  for (const block of [0, 1, 2]) {
    const request = { extent, block, owner: { bucketId: OWNER.bucketId, key: OWNER.key }, policy, generation: 7 }
    const signal = new AbortController().signal
    assert.ok(await world.blocks.reencode({ ...request, recoveryHeader: undefined }, signal))
  }
  const reencoded: Extent = { ...extent, policy, generation: 7 }
  assert.equal(Buffer.compare(await world.read(reencoded), sealed(world, bytes)), 0)
})
