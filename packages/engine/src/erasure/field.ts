/**
 * The field GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d) and the generator 2, as in
 * ISA-L, MinIO and most Reed–Solomon codes for storage. Addition is exclusive or.
 */
import { assert } from "@hayloft/base/assert.js"

const POLYNOMIAL = 0x11d
const ORDER = 255
const EXP = new Uint8Array(2 * ORDER)
const LOG = new Uint8Array(256)

for (let power = 0, value = 1; power < ORDER; power += 1) {
  EXP[power] = value
  EXP[power + ORDER] = value
  LOG[value] = power
  value = value < 0x80 ? value << 1 : (value << 1) ^ POLYNOMIAL
}

const exp = (power: number): number => EXP[power] ?? 0
const log = (value: number): number => LOG[value] ?? 0

export function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : exp(log(a) + log(b))
}

/** The inverse of a value that is not zero. */
export function inverse(a: number): number {
  assert(a !== 0, "zero has no inverse")
  return exp(ORDER - log(a))
}

/** `a` to the power `n`; 0 to the power 0 is 1. */
export function power(a: number, n: number): number {
  if (n === 0) return 1
  return a === 0 ? 0 : exp((log(a) * n) % ORDER)
}
