/**
 * Checksums that S3 knows, written plainly and apart from the product, so that a shared mistake cannot hide.
 *
 * Limits  Meant for bodies of a few MiB: CRC64NVME works on BigInt.
 */
import { createHash } from "node:crypto"

export type Algorithm = "CRC32" | "CRC32C" | "CRC64NVME" | "SHA1" | "SHA256"
export const ALGORITHMS: readonly Algorithm[] = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]

const table32 = (polynomial: number): Uint32Array =>
  Uint32Array.from({ length: 256 }, (_, index) => {
    let value = index
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1
    return value >>> 0
  })

const CRC32_TABLE = table32(0xedb88320)
const CRC32C_TABLE = table32(0x82f63b78)
const CRC64_TABLE: readonly bigint[] = Array.from({ length: 256 }, (_, index) => {
  let value = BigInt(index)
  for (let bit = 0; bit < 8; bit += 1) value = value & 1n ? (value >> 1n) ^ 0x9a6c9329ac4bc9b5n : value >> 1n
  return value
})

function crc32With(table: Uint32Array, bytes: Uint8Array): Buffer {
  let value = 0xffffffff
  for (const byte of bytes) value = (value >>> 8) ^ (table[(value ^ byte) & 0xff] ?? 0)
  const out = Buffer.alloc(4)
  out.writeUInt32BE((value ^ 0xffffffff) >>> 0)
  return out
}

function crc64(bytes: Uint8Array): Buffer {
  const ones = 0xffffffffffffffffn
  let value = ones
  for (const byte of bytes) value = (value >> 8n) ^ (CRC64_TABLE[Number((value ^ BigInt(byte)) & 0xffn)] ?? 0n)
  const out = Buffer.alloc(8)
  out.writeBigUInt64BE(value ^ ones)
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
      return createHash("sha1").update(bytes).digest()
    case "SHA256":
      return createHash("sha256").update(bytes).digest()
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
