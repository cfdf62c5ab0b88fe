import assert from "node:assert/strict"
import { test } from "node:test"
import { fc } from "../testing-properties.js"
import { createCRC32, createCRC64 } from "hash-wasm"
import { hexOf } from "../bytes.js"
import type { CrcKind } from "./crc.js"
import { Crc } from "./crc.js"

const KINDS: readonly CrcKind[] = ["CRC32", "CRC32C", "CRC64NVME"]

function crcOf(kind: CrcKind, ...pieces: Uint8Array[]): string {
  const crc = new Crc(kind)
  for (const piece of pieces) crc.update(piece)
  return hexOf(crc.digest())
}

test("the CRCs match the check values of the catalogue", () => {
  const digits = new TextEncoder().encode("123456789")
  assert.deepEqual(
    KINDS.map(kind => crcOf(kind, digits)),
    ["cbf43926", "e3069283", "ae8b14860a799888"],
  )
  assert.deepEqual(
    KINDS.map(kind => crcOf(kind)),
    ["00000000", "00000000", "0000000000000000"],
  )
})

test("the CRCs equal hash-wasm's for random bytes in random pieces", async () => {
  const others = {
    CRC32: await createCRC32(),
    CRC32C: await createCRC32(0x82f63b78),
    CRC64NVME: await createCRC64("9a6c9329ac4bc9b5"),
  }
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), fc.array(fc.uint8Array({ maxLength: 300 })), (kind, pieces) => {
      const other = others[kind].init()
      for (const piece of pieces) other.update(piece)
      assert.equal(crcOf(kind, ...pieces), other.digest("hex"))
    }),
    { numRuns: 200, seed: 3 },
  )
  const long = Uint8Array.from({ length: 200_003 }, (_, i) => (i * i) >> 3)
  for (const kind of KINDS) {
    assert.equal(crcOf(kind, long), others[kind].init().update(long).digest("hex"))
    assert.equal(crcOf(kind, long), crcOf(kind, long.subarray(0, 32_769), long.subarray(32_769)))
  }
})
