/**
 * Causality tokens of K2V, as Garage publishes them: what a client has seen of an item, as pairs of node and time.
 *
 * Layout: checksum (8), then for each node, ascending: node (8), time (8); all big-endian. The checksum is the exclusive
 * or of all nodes and times. As text: base64 for URLs, without padding.
 *
 * Refuses  `invalidArgument`: text that is not such a token, a wrong checksum, nodes out of order, times beyond 2^53.
 * Limits   `TOKEN_NODES_MAX` pairs.
 */
import { bytesOfBase64Url, hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"

/** A node of a vector: 16 hex digits, which sort as the numbers do. */
export type VectorNode = string

/** For each node the largest time that was seen. */
export type CausalContext = ReadonlyMap<VectorNode, number>

const PAIR_BYTES = 16
const CHECKSUM_BYTES = 8
const TOKEN_NODES_MAX = 1_000

const checksumOf = (words: readonly bigint[]): bigint => words.reduce((sum, word) => sum ^ word, 0n)

export function encodeToken(context: CausalContext): string {
  const nodes = [...context].sort(([a], [b]) => (a < b ? -1 : 1))
  const words = nodes.flatMap(([node, time]) => [BigInt(`0x${node}`), BigInt(time)])
  const bytes = Buffer.alloc(CHECKSUM_BYTES * (1 + words.length))
  for (const [index, word] of [checksumOf(words), ...words].entries()) bytes.writeBigUInt64BE(word, 8 * index)
  return bytes.toString("base64url")
}

const malformed = () => fail("invalidArgument", { message: "The causality token is not valid.", field: "token" })

/** Throws `invalidArgument`. */
export function decodeToken(text: string): CausalContext {
  const bytes = bytesOfBase64Url(text)
  if (bytes === undefined) throw malformed()
  const pairs = (bytes.length - CHECKSUM_BYTES) / PAIR_BYTES
  if (!Number.isInteger(pairs) || pairs < 0 || pairs > TOKEN_NODES_MAX) throw malformed()
  const context = new Map<VectorNode, number>()
  let sum = bytes.readBigUInt64BE(0)
  let last = ""
  for (let at = CHECKSUM_BYTES; at < bytes.length; at += PAIR_BYTES) {
    const node = hexOf(bytes.subarray(at, at + 8))
    const time = bytes.readBigUInt64BE(at + 8)
    if (node <= last || time > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed()
    sum ^= bytes.readBigUInt64BE(at) ^ time
    context.set(node, Number(time))
    last = node
  }
  if (sum !== 0n) throw malformed()
  return context
}
