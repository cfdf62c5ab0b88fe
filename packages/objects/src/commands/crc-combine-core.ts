/**
 * CRC of a whole from the CRCs of its parts, without reading a byte. Pure.
 *
 * A message that is followed by n zero bytes has a CRC that is a linear map of its own over GF(2); the map for 2^i bytes is the square of the
 * map for 2^(i-1) (after zlib's crc32_combine), kept for each algorithm, 64 maps of at most 64 columns. If many parts have the
 * same length, it gets a map.
 */
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"

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

/** squares[i]: the map of 2^i zero bytes. */
const squares = new Map<CrcAlgorithm, Matrix[]>()

function oneByte(algorithm: CrcAlgorithm): Matrix {
  const { polynomial, bits } = CRCS[algorithm]
  let map: Matrix = Array.from({ length: bits }, (_, bit) => (bit === 0 ? polynomial : 1n << BigInt(bit - 1)))
  for (let i = 0; i < 3; i += 1) map = squareOf(map)
  return map
}

const squareOf = (map: Matrix): Matrix => map.map(column => apply(map, column))

function squareAt(algorithm: CrcAlgorithm, index: number): Matrix {
  const known = squares.get(algorithm) ?? [oneByte(algorithm)]
  squares.set(algorithm, known)
  for (let last = known.at(-1); last !== undefined && known.length <= index; last = known.at(-1))
    known.push(squareOf(last))
  return known[index] ?? []
}

/** The CRC after as many zero bytes. */
function afterZeros(algorithm: CrcAlgorithm, crc: bigint, lengthBytes: number): bigint {
  let after = crc
  for (let i = 0, rest = lengthBytes; rest > 0; i += 1, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) after = apply(squareAt(algorithm, i), after)
  }
  return after
}

const zeros = (algorithm: CrcAlgorithm, lengthBytes: number): Matrix =>
  Array.from({ length: CRCS[algorithm].bits }, (_, bit) => afterZeros(algorithm, 1n << BigInt(bit), lengthBytes))

/** From as many parts of one length on, a map for it is made. */
const REPEATED_MIN = 64

/** The CRC of the concatenated parts; values are big-endian bytes. */
export function combineCrcs(
  algorithm: CrcAlgorithm,
  parts: readonly { readonly value: Uint8Array; readonly lengthBytes: number }[],
): Uint8Array {
  const seen = new Map<number, number>()
  const maps = new Map<number, Matrix>()
  let crc = 0n
  for (const { value, lengthBytes } of parts) {
    const times = (seen.get(lengthBytes) ?? 0) + 1
    seen.set(lengthBytes, times)
    if (times === REPEATED_MIN) maps.set(lengthBytes, zeros(algorithm, lengthBytes))
    const map = maps.get(lengthBytes)
    crc =
      (map ? apply(map, crc) : afterZeros(algorithm, crc, lengthBytes)) ^
      value.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  }
  const bytes = new Uint8Array(CRCS[algorithm].bits / 8)
  for (let i = bytes.length - 1; i >= 0; i -= 1, crc >>= 8n) bytes[i] = Number(crc & 0xffn)
  return bytes
}
