/**
 * Digests computed from their definitions: bit by bit, without copied tables and without combining.
 *
 * An independent, slow implementation to compare the compute threads with. CRCs are reflected (the low bit first),
 * as S3's are; all results are big-endian bytes, as S3 encodes them in base64.
 */
import { createHash } from "node:crypto"
import { createXXHash128, createXXHash3, createXXHash64 } from "hash-wasm"
import { concatBytes } from "@hayloft/base/bytes.js"
import type { StoredChecksum } from "@hayloft/objects/contract.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"

const XXHASHES = {
  XXHASH64: await createXXHash64(),
  XXHASH3: await createXXHash3(),
  XXHASH128: await createXXHash128(),
}

/** The checksum of bytes that come without one. */
export const DEFAULT_CHECKSUM: ChecksumAlgorithm = "CRC64NVME"

export const md5 = (bytes: Uint8Array): Uint8Array => createHash("md5").update(bytes).digest()
export const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest()
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

/** The remainder of each byte value, for a reflected polynomial. */
function table(polynomial: bigint): readonly bigint[] {
  return Array.from({ length: 256 }, (_, byte) => {
    let rest = BigInt(byte)
    for (let bit = 0; bit < 8; bit += 1) rest = rest & 1n ? (rest >> 1n) ^ polynomial : rest >> 1n
    return rest
  })
}

function bigEndian(value: bigint, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, i) => Number((value >> BigInt(8 * (width - 1 - i))) & 0xffn))
}

const CRC32_TABLE = Int32Array.from(table(0xedb88320n), entry => Number(BigInt.asIntN(32, entry)))
const CRC32C_TABLE = Int32Array.from(table(0x82f63b78n), entry => Number(BigInt.asIntN(32, entry)))
/** CRC-64/NVME, in halves so that no byte costs a big integer. */
const CRC64_TABLE = table(0x9a6c9329ac4bc9b5n)
const CRC64_HIGH = Int32Array.from(CRC64_TABLE, entry => Number(BigInt.asIntN(32, entry >> 32n)))
const CRC64_LOW = Int32Array.from(CRC64_TABLE, entry => Number(BigInt.asIntN(32, entry)))

function crc32(bytes: Uint8Array, entries: Int32Array): Uint8Array {
  let rest = -1
  for (const byte of bytes) rest = (rest >>> 8) ^ (entries[(rest ^ byte) & 0xff] ?? 0)
  return bigEndian(BigInt(~rest >>> 0), 4)
}

function crc64(bytes: Uint8Array): Uint8Array {
  let [high, low] = [-1, -1]
  for (const byte of bytes) {
    const at = (low ^ byte) & 0xff
    low = ((low >>> 8) | (high << 24)) ^ (CRC64_LOW[at] ?? 0)
    high = (high >>> 8) ^ (CRC64_HIGH[at] ?? 0)
  }
  return bigEndian((BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0), 8)
}

export function checksum(algorithm: ChecksumAlgorithm, bytes: Uint8Array): Uint8Array {
  switch (algorithm) {
    case "CRC32":
      return crc32(bytes, CRC32_TABLE)
    case "CRC32C":
      return crc32(bytes, CRC32C_TABLE)
    case "CRC64NVME":
      return crc64(bytes)
    case "SHA1":
      return createHash("sha1").update(bytes).digest()
    case "SHA256":
    case "SHA512":
    case "MD5":
      return createHash(algorithm.toLowerCase()).update(bytes).digest()
    case "XXHASH64":
    case "XXHASH3":
    case "XXHASH128":
      return XXHASHES[algorithm].init().update(bytes).digest("binary")
  }
}

/** The checksum of a whole body, as S3 returns it. */
export function fullChecksum(algorithm: ChecksumAlgorithm, bytes: Uint8Array): StoredChecksum {
  return { algorithm, type: "FULL_OBJECT", value: base64(checksum(algorithm, bytes)) }
}

/** The checksum of the parts' checksums, as S3 returns it. */
export function compositeChecksum(algorithm: ChecksumAlgorithm, parts: readonly Uint8Array[]): StoredChecksum {
  const joined = concatBytes(parts.map(part => checksum(algorithm, part)))
  return { algorithm, type: "COMPOSITE", value: `${base64(checksum(algorithm, joined))}-${parts.length}` }
}
