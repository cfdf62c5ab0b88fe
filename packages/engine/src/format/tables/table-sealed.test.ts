/** Encrypted blocks, ends and manifests of table files: golden bytes, and forged ones. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { DeviceCipher, deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, rowKeyOf } from "@hayloft/base/ids.js"
import { xxh64Into } from "@hayloft/base/simd/xxh64.js"
import { RowSum } from "./row-sum.js"
import { Block, BlockBuilder, BLOCK_SEAL_BYTES, fileSeed, openBlock } from "./table-block.js"
import { decodeEnd, encodeEnd, parityHash, type Footer, type TableSeal } from "./table-file.js"
import { decodeManifest, EMPTY_MANIFEST, encodeManifest } from "./table-manifest.js"

const DEVICE = parseDeviceId("fedcba9876543210")
const SEED = fileSeed(DEVICE, 7)
const PATH = "/base/0000000007.table"
const OFFSET = 8192

const goldenOf = (name: string): Buffer =>
  Buffer.from(
    bytesOfHex(
      readFileSync(
        new URL(`../../../../../../packages/engine/src/format/golden/${name}.hex`, import.meta.url),
        "utf8",
      ).trim(),
    ) ?? [],
  )

/** Its nonces are known. */
const cipherOf = (fill = 1): DeviceCipher =>
  new DeviceCipher(deviceKeysOf(new Uint8Array(32).fill(fill), DEVICE), { bytes: n => new Uint8Array(n).fill(5) })

const sealOf = (cipher: DeviceCipher) => (salt: Uint8Array) => ({ salt, key: cipher.tableKey(7, salt) })
const SEAL: TableSeal = sealOf(cipherOf())(cipherOf().salt())

function sealedBlock(): Buffer {
  const builder = new BlockBuilder(100)
  builder.add(Buffer.from("key a"), 0, Buffer.from("value a"))
  builder.add(Buffer.from("key b"), 1, Buffer.alloc(0))
  const bytes = Buffer.alloc(builder.lengthBytes + BLOCK_SEAL_BYTES)
  assert.equal(builder.finishInto(bytes, 0, { seed: SEED, key: SEAL.key, offsetBytes: OFFSET }), bytes.length)
  return bytes
}

const open = (bytes: Buffer, offsetBytes = OFFSET, seal = SEAL): Buffer | undefined =>
  openBlock(Buffer.from(bytes), { seed: SEED, key: seal.key, offsetBytes })

/** With a checksum that fits. */
function forged(bytes: Buffer, change: (copy: Buffer) => void, offsetBytes = OFFSET): Buffer {
  const copy = Buffer.from(bytes)
  change(copy)
  xxh64Into(copy.subarray(0, -8), SEED + BigInt(offsetBytes), copy, copy.length - 8)
  return copy
}

test("an encrypted block is unchanged, byte for byte, and has the rows of the plain one", () => {
  assert.equal(hexOf(sealedBlock()), hexOf(goldenOf("table-data-block-v2")))
  const block = new Block(open(goldenOf("table-data-block-v2")) ?? assert.fail())
  assert.equal(block.rows, 2)
  const keyAt = block.keyAt(0)
  assert.equal(block.bytes.toString("latin1", keyAt, block.valueAt(keyAt) + 7), "key avalue a")
  assert.ok(!sealedBlock().includes("key a"))
})

test("a forged or moved block, and one of another salt, does not open", () => {
  const bytes = sealedBlock()
  assert.ok(open(forged(bytes, () => undefined)))
  for (let at = 0; at < bytes.length - 8; at += 1) {
    assert.equal(open(forged(bytes, copy => void (copy[at] = (copy[at] ?? 0) ^ 1))), undefined, `byte ${at}`)
  }
  assert.equal(
    open(
      forged(bytes, () => undefined, OFFSET + 1),
      OFFSET + 1,
    ),
    undefined,
  )
  assert.equal(open(bytes, OFFSET, sealOf(cipherOf())(new Uint8Array(16))), undefined)
  assert.equal(open(forged(bytes.subarray(bytes.length - 20), () => undefined)), undefined)
})

const FOOTER: Footer = {
  level: 2,
  run: 99,
  rows: 1234,
  tombstones: 17,
  replacing: 3,
  firstKey: Buffer.from("\x01first name", "latin1"),
  lastKey: Buffer.from("\x01last name", "latin1"),
  totals: [{ family: 1, rows: 1234, sum: new RowSum(1, 2) }],
  partitions: [{ lastKey: Buffer.from("\x01last name", "latin1"), directoryAt: 500_000, directoryBytes: 6000 }],
  parityHash: parityHash(Buffer.alloc(8192, "parity"), SEED),
  seal: SEAL,
}

test("an encrypted end is unchanged, byte for byte, shows no key, and needs the key of the file", () => {
  const { bytes } = encodeEnd(FOOTER, SEED)
  assert.equal(hexOf(bytes), hexOf(goldenOf("table-end-v2")))
  assert.ok(!bytes.includes("name"))
  const found = decodeEnd(bytes, SEED, PATH, sealOf(cipherOf()))
  assert.deepEqual({ ...found, seal: SEAL }, FOOTER)
  assert.equal(hexOf(found.seal?.salt ?? assert.fail()), hexOf(SEAL.salt))
  assert.throws(
    () => decodeEnd(bytes, SEED, PATH, sealOf(cipherOf(2))),
    error => isFailure(error, "corruptRow"),
  )
  assert.throws(
    () => decodeEnd(bytes, SEED, PATH),
    error => isFailure(error, "wrongMasterKey"),
  )
})

test("an encrypted manifest is unchanged, byte for byte, shows no mark, and needs the key of the device", () => {
  const manifest = { ...EMPTY_MANIFEST, marks: new Map([[rowKeyOf("a mark"), Buffer.from("its value")]]) }
  const bytes = encodeManifest(manifest, DEVICE, cipherOf())
  assert.equal(hexOf(bytes), hexOf(goldenOf("table-manifest-v2")))
  assert.ok(!bytes.includes("a mark"))
  assert.deepEqual(decodeManifest(bytes, DEVICE, cipherOf()), manifest)
  for (const cipher of [cipherOf(2), undefined]) {
    assert.throws(
      () => decodeManifest(bytes, DEVICE, cipher),
      error => isFailure(error, "wrongMasterKey"),
    )
  }
  const planted = encodeManifest(manifest, DEVICE)
  assert.throws(
    () => decodeManifest(planted, DEVICE, cipherOf()),
    error => isFailure(error, "corruptRecord"),
  )
})
