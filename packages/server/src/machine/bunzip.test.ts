/** Uncompressed streams: the bytes, damage, failures of the source, and readers that stop. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { gzipSync } from "node:zlib"
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { gunzipped, type Decompress } from "@hayloft/base/seams/compute/decompress.js"
import { Bunzip } from "./bunzip.js"

const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * at) % 251))
const bunzip = new Bunzip()
const hasBzip2 = spawnSync("bzip2", ["--help"]).error === undefined

async function* inPieces(bytes: Uint8Array, failure?: Error): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
  if (failure !== undefined) throw failure
}

async function gathered(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return concatBytes(all)
}

const WAYS: readonly (readonly [name: string, packed: () => Uint8Array, decompress: Decompress, there: boolean])[] = [
  ["gzip", () => gzipSync(BYTES), gunzipped, true],
  ["bzip2", () => spawnSync("bzip2", ["-c"], { input: BYTES }).stdout, pieces => bunzip.of(pieces), hasBzip2],
]

for (const [name, pack, decompress, there] of WAYS) {
  const skip = there ? false : "the program is not installed"
  const damaged = new RegExp(`not compressed by ${name}, or is damaged`)

  test(`${name}: the bytes are what was compressed`, { skip }, async () => {
    assert.deepEqual(Buffer.from(await gathered(decompress(inPieces(pack())))), BYTES)
  })

  test(`${name}: what is cut, changed or something else is refused`, { skip }, async () => {
    const packed = pack()
    const changed = Uint8Array.from(packed)
    changed[packed.length >> 1] = (changed[packed.length >> 1] ?? 0) ^ 0xff
    for (const bytes of [packed.subarray(0, packed.length - 20), changed, Buffer.from("plain text")])
      await assert.rejects(gathered(decompress(inPieces(bytes))), damaged)
  })

  test(`${name}: a failure of the source is that of the reader`, { skip }, async () => {
    const failing = inPieces(pack().subarray(0, 2000), fail("incompleteBody"))
    await assert.rejects(gathered(decompress(failing)), error => isFailure(error, "incompleteBody"))
  })

  test(`${name}: a reader that stops frees what it used`, { skip }, async () => {
    for (let round = 0; round < 10; round += 1) for await (const piece of decompress(inPieces(pack()))) if (piece) break
    assert.deepEqual(Buffer.from(await gathered(decompress(inPieces(pack())))), BYTES)
  })
}

test("bzip2: without the program it is refused by name", async () => {
  const without = new Bunzip("no-such-program-of-hayloft")
  await assert.rejects(gathered(without.of(inPieces(BYTES))), error => isFailure(error, "notImplemented"))
})
