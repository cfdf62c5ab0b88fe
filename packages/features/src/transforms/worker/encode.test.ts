import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { gunzipSync } from "node:zlib"
import { Zstd } from "@hpcc-js/wasm-zstd"
import { fc } from "@hayloft/base/testing-properties.js"
import { Hashes } from "@hayloft/base/seams/compute/index.js"
import { GZIP_HEADER, gzipTrailer } from "../gzip-core.js"
import { codingVersions, encode } from "./encode.js"

const PIECES = [
  Buffer.from("a piece, a piece, a piece"),
  Buffer.alloc(300_000, "text "),
  Buffer.alloc(0),
  Buffer.from("x"),
]

async function gzipOf(pieces: readonly Uint8Array[]): Promise<Buffer> {
  const hashes = new Hashes({ md5: false, sha256: false, checksum: "CRC32" })
  const parts: Uint8Array[] = [GZIP_HEADER]
  for (const piece of pieces) {
    if (piece.length > 0) hashes.update(piece)
    parts.push(await encode("gzip", piece))
  }
  const size = pieces.reduce((sum, { length }) => sum + length, 0)
  return Buffer.concat([...parts, gzipTrailer(hashes.digests().checksum ?? new Uint8Array(), size)])
}

test("pieces of gzip make one stream with one member", async () => {
  const made = await gzipOf(PIECES)
  assert.deepEqual(gunzipSync(made), Buffer.concat(PIECES))
  assert.deepEqual(await gzipOf(PIECES), made, "the same bytes each time")
  assert.deepEqual(gunzipSync(await gzipOf([])), Buffer.alloc(0))
})

test("any pieces", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), async pieces => {
      assert.deepEqual(gunzipSync(await gzipOf(pieces)), Buffer.concat(pieces))
    }),
    { numRuns: 50 },
  )
})

test("gzip counts sizes modulo 4 GiB", () => {
  const trailer = gzipTrailer(Uint8Array.of(1, 2, 3, 4), 2 ** 32 + 258)
  assert.deepEqual([...trailer], [3, 0, 4, 3, 2, 1, 2, 1, 0, 0])
})

test("frames of zstd decode alone and in a row", async context => {
  const frames: Uint8Array[] = []
  for (const piece of PIECES) frames.push(await encode("zstd", piece))
  const zstd = await Zstd.load()
  for (const [i, frame] of frames.slice(0, 2).entries())
    assert.deepEqual(Buffer.from(zstd.decompress(frame)), PIECES[i])
  const { error, status, stdout } = spawnSync("zstd", ["-dc"], { input: Buffer.concat(frames), maxBuffer: 2 ** 20 })
  if (error !== undefined) {
    context.diagnostic("the program zstd is not installed")
    return
  }
  assert.equal(status, 0)
  assert.deepEqual(stdout, Buffer.concat(PIECES))
})

test("bytes that cannot be compressed grow little", async () => {
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (Math.imul(i, 2_654_435_761) >>> 13) & 255))
  for (const coding of ["gzip", "zstd"] as const)
    assert.ok((await encode(coding, bytes)).length < bytes.length + 1_000, coding)
})

test("versions name what makes the bytes", async () => {
  const { gzip, zstd } = await codingVersions()
  assert.match(gzip, /^zlib \d+\.\d+.* level 6$/)
  assert.match(zstd, /^zstd \d+\.\d+\.\d+ level 3$/)
})
