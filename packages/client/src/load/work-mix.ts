/** Work mixes: single operations and weighted mixes of them, in an order that is the same in each run. Pure. */

export const OPERATIONS = ["put", "get", "head", "list", "delete"] as const
export type LoadOperation = (typeof OPERATIONS)[number]
export type Mix = Readonly<Partial<Record<LoadOperation, number>>>

const WEIGHT_MAX = 1000

/** Parses `get=60,put=30`; undefined for anything else. */
export function parseMix(text: string): Mix | undefined {
  const mix: Partial<Record<LoadOperation, number>> = {}
  for (const part of text.split(",")) {
    const [, name, weight] = /^\s*([a-z]+)=(\d{1,4})\s*$/.exec(part) ?? []
    const operation = OPERATIONS.find(known => known === name)
    if (operation === undefined || mix[operation] !== undefined) return undefined
    if (!(Number(weight) >= 1 && Number(weight) <= WEIGHT_MAX)) return undefined
    mix[operation] = Number(weight)
  }
  return mix
}

/** One round of the mix: each operation as often as its weight, spread evenly over the round. */
export function turnsOf(mix: Mix): readonly LoadOperation[] {
  const weights = OPERATIONS.map(operation => ({ operation, weight: mix[operation] ?? 0, credit: 0 }))
  const total = weights.reduce((sum, { weight }) => sum + weight, 0)
  return Array.from({ length: total }, () => {
    for (const each of weights) each.credit += each.weight
    const next = weights.reduce((best, each) => (each.credit > best.credit ? each : best))
    next.credit -= total
    return next.operation
  })
}

/** The n-th key of a set, spread like typical names: ordered inserts would favor a tree. */
export const spreadKey = (prefix: string, n: number): string =>
  `${prefix}${((n * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, "0")}-${n}`

/** Repeatedly enumerates 0 … count - 1 in a scattered order. */
export function scatter(turn: number, count: number): number {
  return (turn * strideOf(count)) % count
}

/** A step without a common factor with the count. */
function strideOf(count: number): number {
  let stride = Math.max(1, Math.floor(count * 0.618))
  while (gcd(stride, count) !== 1) stride += 1
  return stride
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** Bytes that neither compress nor repeat within a block. */
export function noiseOf(lengthBytes: number): Buffer {
  const noise = Buffer.alloc(lengthBytes)
  const words = new Uint32Array(noise.buffer, noise.byteOffset, lengthBytes >> 2)
  for (let i = 0, x = 1; i < words.length; i += 1) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0
    words[i] = x
  }
  return noise
}
