import assert from "node:assert/strict"
import { test } from "node:test"
import { deflateRawSync, constants, gunzipSync } from "node:zlib"
import { encodedPieces } from "./bodies.js"
import { TRANSFORM_LIMITS } from "./limits.js"

const { pieceBytes } = TRANSFORM_LIMITS

/** Returns an encoder that works like a thread, and notes the lengths of its pieces. */
function encoder(lengths: number[]) {
  return async (bytes: Uint8Array): Promise<Uint8Array> => {
    await Promise.resolve()
    lengths.push(bytes.length)
    return deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })
  }
}

/** In pieces of these lengths, in memory that is used again, as lent pieces are. */
async function* lent(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  const memory = new Uint8Array(4 * pieceBytes)
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const length = Math.min(lengths[i % lengths.length] ?? 1, bytes.length - at)
    memory.set(bytes.subarray(at, at + length))
    yield memory.subarray(0, length)
    memory.fill(0xff)
    at += length
    await Promise.resolve()
  }
}

test("the same bytes make the same gzip stream, however they come", async () => {
  for (const sizeBytes of [0, 1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 3 * pieceBytes + 17]) {
    const bytes = Uint8Array.from({ length: sizeBytes }, (_, i) => (i * 7 + (i >> 9)) & 0xff)
    const streams = new Set<string>()
    for (const chunks of [[sizeBytes + 1], [65_536], [1_000_003, 1], [3 * pieceBytes]]) {
      const lengths: number[] = []
      const pieces: Uint8Array[] = []
      for await (const piece of encodedPieces(lent(bytes, chunks), "gzip", encoder(lengths)))
        pieces.push(Uint8Array.from(piece))
      const stream = Buffer.concat(pieces)
      assert.ok(gunzipSync(stream).equals(bytes), `${sizeBytes} bytes`)
      assert.ok(lengths.slice(0, -1).every(length => length === pieceBytes))
      assert.equal(
        lengths.reduce((sum, length) => sum + length, 0),
        sizeBytes,
      )
      streams.add(stream.toString("base64"))
    }
    assert.equal(streams.size, 1, `${sizeBytes} bytes`)
  }
})

test("nothing at all is one empty frame of zstd", async () => {
  const lengths: number[] = []
  for await (const _ of encodedPieces([], "zstd", encoder(lengths)));
  assert.deepEqual(lengths, [0])
})
