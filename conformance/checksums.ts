/**
 * Checksums that S3 knows, written plainly and apart from the product, so that a shared mistake cannot hide.
 */
import { createHash } from "node:crypto"
import { createXXHash128, createXXHash3, createXXHash64 } from "hash-wasm"

const XXHASHES = {
  XXHASH64: await createXXHash64(),
  XXHASH3: await createXXHash3(),
  XXHASH128: await createXXHash128(),
}

export const ALGORITHMS = [
  "CRC32",
  "CRC32C",
  "CRC64NVME",
  "SHA1",
  "SHA256",
  "SHA512",
  "MD5",
  "XXHASH64",
  "XXHASH3",
  "XXHASH128",
] as const
export type Algorithm = (typeof ALGORITHMS)[number]

const table32 = (polynomial: number): Uint32Array =>
  Uint32Array.from({ length: 256 }, (_, index) => {
    let value = index
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1
    return value >>> 0
  })

const CRC32_TABLE = table32(0xedb88320)
const CRC32C_TABLE = table32(0x82f63b78)
/** CRC-64 is computed in halves of 32 bits: a big integer for each byte would take ten times as long. */
const CRC64_POLYNOMIAL = { high: 0x9a6c9329, low: 0xac4bc9b5 }
const CRC64_HIGH = new Uint32Array(256)
const CRC64_LOW = new Uint32Array(256)
for (let index = 0; index < 256; index += 1) {
  let [high, low] = [0, index]
  for (let bit = 0; bit < 8; bit += 1) {
    const isOdd = (low & 1) === 1
    low = (low >>> 1) | (high << 31)
    high >>>= 1
    if (isOdd) [high, low] = [high ^ CRC64_POLYNOMIAL.high, low ^ CRC64_POLYNOMIAL.low]
  }
  CRC64_HIGH[index] = high
  CRC64_LOW[index] = low
}

function crc32With(table: Uint32Array, bytes: Uint8Array): Buffer {
  let value = 0xffffffff
  for (const byte of bytes) value = (value >>> 8) ^ (table[(value ^ byte) & 0xff] ?? 0)
  const out = Buffer.alloc(4)
  out.writeUInt32BE((value ^ 0xffffffff) >>> 0)
  return out
}

function crc64(bytes: Uint8Array): Buffer {
  let [high, low] = [-1, -1]
  for (const byte of bytes) {
    const index = (low ^ byte) & 0xff
    low = ((low >>> 8) | (high << 24)) ^ (CRC64_LOW[index] ?? 0)
    high = (high >>> 8) ^ (CRC64_HIGH[index] ?? 0)
  }
  const out = Buffer.alloc(8)
  out.writeUInt32BE(~high >>> 0, 0)
  out.writeUInt32BE(~low >>> 0, 4)
  return out
}

/** The checksum's bytes, most significant first. */
export function checksum(algorithm: Algorithm, bytes: Uint8Array): Buffer {
  switch (algorithm) {
    case "CRC32":
      return crc32With(CRC32_TABLE, bytes)
    case "CRC32C":
      return crc32With(CRC32C_TABLE, bytes)
    case "CRC64NVME":
      return crc64(bytes)
    case "SHA1":
    case "SHA256":
    case "SHA512":
    case "MD5":
      return createHash(algorithm.toLowerCase()).update(bytes).digest()
    case "XXHASH64":
    case "XXHASH3":
    case "XXHASH128":
      return Buffer.from(XXHASHES[algorithm].init().update(bytes).digest("binary"))
  }
}

export const checksumBase64 = (algorithm: Algorithm, bytes: Uint8Array): string =>
  checksum(algorithm, bytes).toString("base64")

/** `x-amz-checksum-crc32` … */
export const checksumHeader = (algorithm: Algorithm): string => `x-amz-checksum-${algorithm.toLowerCase()}`

export const md5Hex = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")
export const md5Base64 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("base64")
export const sha256Hex = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** ETag of a multipart object, without quotes. */
export const multipartEtag = (parts: readonly Uint8Array[]): string =>
  `${md5Hex(Buffer.concat(parts.map(part => createHash("md5").update(part).digest())))}-${parts.length}`
