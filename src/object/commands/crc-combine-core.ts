/**
 * CRC of a whole from the CRCs of its parts, without reading a byte. Pure.
 *
 * Appending n zero bytes to a message is a linear map on its CRC over GF(2); the map for 2^i bytes is the square of the
 * map for 2^(i-1) (after zlib's crc32_combine). Most parts have the same length, so the map for a length is cached.
 */
import type { ChecksumAlgorithm } from "../../seams/compute/contract.js"

type CrcAlgorithm = Extract<ChecksumAlgorithm, "CRC32" | "CRC32C" | "CRC64NVME">

/** Reflected polynomials and widths. */
const CRCS: Readonly<Record<CrcAlgorithm, { polynomial: bigint; bits: number }>> = {
  CRC32: { polynomial: 0xedb88320n, bits: 32 },
  CRC32C: { polynomial: 0x82f63b78n, bits: 32 },
  CRC64NVME: { polynomial: 0x9a6c9329ac4bc9b5n, bits: 64 },
}

export const isCrc = (algorithm: ChecksumAlgorithm): algorithm is CrcAlgorithm => algorithm in CRCS

/** Column i is the image of bit i. */
type Matrix = readonly bigint[]

function apply(matrix: Matrix, vector: bigint): bigint {
  let sum = 0n
  for (let bit = 0, rest = vector; rest !== 0n; bit += 1, rest >>= 1n) {
    if (rest & 1n) sum ^= matrix[bit] ?? 0n
  }
  return sum
}

const multiply = (a: Matrix, b: Matrix): Matrix => b.map(column => apply(a, column))

/** The map of one zero bit. */
function oneBit({ polynomial, bits }: { polynomial: bigint; bits: number }): Matrix {
  return Array.from({ length: bits }, (_, bit) => (bit === 0 ? polynomial : 1n << BigInt(bit - 1)))
}

function zeros(algorithm: CrcAlgorithm, lengthBytes: number): Matrix {
  let square = oneBit(CRCS[algorithm])
  for (let i = 0; i < 3; i += 1) square = multiply(square, square)
  let map: Matrix | undefined
  for (let rest = BigInt(lengthBytes); rest !== 0n; rest >>= 1n) {
    if (rest & 1n) map = map ? multiply(square, map) : square
    square = multiply(square, square)
  }
  return map ?? Array.from({ length: CRCS[algorithm].bits }, (_, bit) => 1n << BigInt(bit))
}

/** The CRC of the concatenated parts; values are big-endian bytes. */
export function combineCrcs(
  algorithm: CrcAlgorithm,
  parts: readonly { readonly value: Uint8Array; readonly lengthBytes: number }[],
): Uint8Array {
  const maps = new Map<number, Matrix>()
  let crc = 0n
  for (const { value, lengthBytes } of parts) {
    const map = maps.get(lengthBytes) ?? zeros(algorithm, lengthBytes)
    maps.set(lengthBytes, map)
    crc = apply(map, crc) ^ value.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  }
  const bytes = new Uint8Array(CRCS[algorithm].bits / 8)
  for (let i = bytes.length - 1; i >= 0; i -= 1, crc >>= 8n) bytes[i] = Number(crc & 0xffn)
  return bytes
}
