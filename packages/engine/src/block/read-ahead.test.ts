/** The memory that readers hold: seeded clients of all kinds, against a budget that must never be exceeded. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseUploadId } from "@hayloft/base/ids.js"
import { FRONT_THREADS_MAX, KIB, MIB, SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { Extent } from "../format/needles/extent.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { BLOCK_LIMITS } from "./limits.js"
import { OpenReader, ReadAhead, TurnBytes } from "./read-ahead.js"
import { nextPieceBytes, READ_BYTES_MIN, SOCKET_BYTES, type PieceRule } from "./read-ahead-core.js"
import { PIECE_BYTES_MAX } from "./read-plan-core.js"

const extent: Extent = {
  uploadId: parseUploadId("0".repeat(32)),
  part: 0,
  lengthBytes: 64 * MIB,
  blockBytes: 4 * MIB,
  policy: parsePolicy("ec:4+2"),
  generation: 0,
  exceptions: [],
}

/** The bytes of every piece: the tests only count them. */
const BYTES = new Uint8Array(PIECE_BYTES_MAX)

/** Pieces in memory, counted from their request until they are returned. */
class Memory {
  bytes = 0
  most = 0

  reads = {
    read: (planned: { readonly piece: { readonly lengthBytes: number } }): Promise<Uint8Array> => {
      const { lengthBytes } = planned.piece
      this.bytes += lengthBytes
      this.most = Math.max(this.most, this.bytes)
      return Promise.resolve(BYTES.subarray(0, lengthBytes))
    },
    give: (bytes: Uint8Array): void => void (this.bytes -= bytes.length),
  }
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i += 1) await Promise.resolve()
}

/** Some hundred readers: most take what their sockets hold and then nothing, the others everything. */
async function crowd(seed: number, readBytesMax: number = BLOCK_LIMITS.readBytesMax, rule?: PieceRule) {
  const random = new SimRandom(seed)
  const clock = new SimClock()
  const memory = new Memory()
  const all = new ReadAhead(
    { monotonicMs: () => clock.monotonicMs(), atEndOfTurn: call => void queueMicrotask(call) },
    readBytesMax,
    rule,
  )
  const readers = Array.from({ length: 300 }, () => ({
    reader: new OpenReader(all, memory.reads, [{ extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }]),
    socketBytes: random.below(10) === 0 ? Infinity : random.below(3 * MIB),
    piece: undefined as Uint8Array | undefined,
    isOver: false,
  }))
  let read = 0
  for (let round = 0; round < 150; round += 1) {
    for (const client of readers) {
      if (client.isOver || (client.piece !== undefined && client.socketBytes <= 0)) continue
      if (client.piece !== undefined) client.reader.taken(client.piece)
      client.piece = await client.reader.next()
      client.isOver = client.piece === undefined
      client.socketBytes -= client.piece?.length ?? 0
      if (client.socketBytes === Infinity) read += client.piece?.length ?? 0
    }
    await clock.advance(100)
  }
  const held = memory.bytes
  for (const { reader, piece } of readers) {
    if (piece !== undefined) reader.taken(piece)
    reader.end()
  }
  await settled()
  return { readers: readers.length, most: memory.most, held, left: memory.bytes, counted: all.heldBytes, read }
}

const bound = (readers: number): number => BLOCK_LIMITS.readBytesMax + readers * SUB_BLOCK_BYTES

for (const seed of [1, 2, 3]) {
  test(`whatever clients do, long pieces stay within their budget, and all memory is freed (seed ${seed})`, async () => {
    const { readers, most, held, left, counted, read } = await crowd(seed)
    assert.ok(most <= bound(readers), `${most} bytes were held`)
    assert.ok(
      held <= BLOCK_LIMITS.readBytesMax / 2 + 40 * PIECE_BYTES_MAX + readers * SUB_BLOCK_BYTES,
      `${held} at the end`,
    )
    assert.deepEqual([left, counted], [0, 0])
    assert.ok(read > 500 * MIB, "clients that take their bytes are served throughout")
  })
}

test("threads that divide the budget hold no more together than one alone", async () => {
  const threads = FRONT_THREADS_MAX
  for (const readBytesMax of [BLOCK_LIMITS.readBytesMax / threads, READ_BYTES_MIN]) {
    const { readers, most, left, read } = await crowd(4, readBytesMax)
    assert.ok(most <= readBytesMax + readers * SUB_BLOCK_BYTES, `${most} bytes were held`)
    assert.equal(left, 0)
    assert.ok(read > 500 * MIB, "clients that take their bytes are served throughout")
  }
  assert.ok(threads * Math.max(READ_BYTES_MIN, BLOCK_LIMITS.readBytesMax / threads) <= BLOCK_LIMITS.readBytesMax)
})

test("planted: a rule that considers only its own reader is detected", async () => {
  const blind: PieceRule = (reader, _held) => nextPieceBytes(reader, 0, BLOCK_LIMITS.readBytesMax)
  const { readers, most } = await crowd(1, undefined, blind)
  assert.ok(most > bound(readers))
})

test("the read-ahead of a stalled client is freed when others need the memory, and read again later", async () => {
  const clock = new SimClock()
  const memory = new Memory()
  const all = new ReadAhead({ monotonicMs: () => clock.monotonicMs(), atEndOfTurn: call => void queueMicrotask(call) })
  const open = () => new OpenReader(all, memory.reads, [{ extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }])
  const stalled = open()
  const first = await stalled.next()
  assert.ok(first !== undefined)
  assert.equal(all.waiting.size, 1)
  const before = memory.bytes
  assert.ok(before > 2 * MIB, "it reads ahead while there is memory")
  const release = all.hold(BLOCK_LIMITS.readBytesMax)
  await clock.advance(BLOCK_LIMITS.stalledReaderMs + 1)
  const other = open()
  const [a, b] = [await other.next(), undefined]
  assert.ok(a !== undefined && b === undefined)
  other.taken(a)
  const second = await other.next()
  await settled()
  assert.equal(memory.bytes, 2 * SUB_BLOCK_BYTES, "one piece each")
  release()
  stalled.taken(first)
  let bytes = first.length
  for (let next = await stalled.next(); next !== undefined; next = await stalled.next()) {
    bytes += next.length
    stalled.taken(next)
  }
  assert.equal(bytes, extent.lengthBytes, "no byte of its range is left out or sent twice")
  assert.equal(second?.length, SUB_BLOCK_BYTES)
  stalled.end()
  other.end()
})

test("once half of the memory is held, only readers whose clients take bytes get long pieces", () => {
  const { readBytesMax } = BLOCK_LIMITS
  const reader = { aheadPieces: 0, takenBytes: 64 * KIB, isFirst: false }
  const taking = { ...reader, takenBytes: SOCKET_BYTES + 1 }
  assert.equal(nextPieceBytes({ ...reader, isFirst: true }, 0, readBytesMax), SUB_BLOCK_BYTES)
  assert.equal(nextPieceBytes(reader, 0, readBytesMax), PIECE_BYTES_MAX)
  assert.equal(nextPieceBytes(reader, readBytesMax / 2, readBytesMax), SUB_BLOCK_BYTES)
  assert.equal(nextPieceBytes(taking, readBytesMax / 2, readBytesMax), PIECE_BYTES_MAX)
  assert.equal(nextPieceBytes(taking, readBytesMax, readBytesMax), SUB_BLOCK_BYTES)
  assert.equal(nextPieceBytes({ ...reader, aheadPieces: 1 }, 0, readBytesMax), PIECE_BYTES_MAX)
  assert.equal(nextPieceBytes({ ...taking, aheadPieces: 1 }, readBytesMax / 2, readBytesMax), undefined)
  assert.equal(nextPieceBytes({ ...reader, aheadPieces: BLOCK_LIMITS.readAheadPiecesMax }, 0, readBytesMax), undefined)
})

test("bytes beyond those of a turn wait for the next turns, in the order of their requests", async () => {
  const ends: (() => void)[] = []
  const endTurn = async (): Promise<void> => {
    for (const end of ends.splice(0)) end()
    for (let i = 0; i < 5; i += 1) await Promise.resolve()
  }
  const turns = new TurnBytes({ atEndOfTurn: call => void ends.push(call) }, 100)
  const served: number[] = []
  for (let n = 0; n < 7; n += 1) {
    const turn = turns.take(60)
    if (turn === undefined) served.push(n)
    else void turn.then(() => served.push(n))
  }
  assert.deepEqual(served, [0, 1])
  await endTurn()
  assert.deepEqual(served, [0, 1, 2, 3])
  await endTurn()
  await endTurn()
  assert.deepEqual(served, [0, 1, 2, 3, 4, 5, 6])
  await endTurn()
  assert.equal(ends.length, 0, "without readers no turns are counted")
  assert.equal(turns.take(1000), undefined, "the first request does not wait, however long it is")
})
