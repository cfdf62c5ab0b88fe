/** Known answers: the check values of the CRC catalogue ("123456789"), and values as S3 returns them. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { checksum, compositeChecksum, fullChecksum, hex } from "./digests.js"

const bytes = (text: string) => new TextEncoder().encode(text)

test("checksums have their published check values", () => {
  assert.equal(hex(checksum("CRC32", bytes("123456789"))), "cbf43926")
  assert.equal(hex(checksum("CRC32C", bytes("123456789"))), "e3069283")
  assert.equal(hex(checksum("CRC64NVME", bytes("123456789"))), "ae8b14860a799888")
  assert.equal(hex(checksum("SHA1", bytes("abc"))), "a9993e364706816aba3e25717850c26c9cd0d89d")
  assert.equal(fullChecksum("CRC32", new Uint8Array()).value, "AAAAAA==")
})

test("a composite checksum ends with the number of its parts", () => {
  assert.match(compositeChecksum("CRC32", [bytes("a"), bytes("b")]).value, /^[A-Za-z0-9+/]{6}==-2$/)
})
