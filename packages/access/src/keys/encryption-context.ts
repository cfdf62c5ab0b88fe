/**
 * Encryption contexts: pairs that a ciphertext of a named key is bound to. It opens with the same ones only.
 *
 * Promises  Equal pairs in another order are the same context: pairs are sorted by the bytes of their names.
 * Limits    8 KiB.
 * Source    "Encryption context", AWS KMS Developer Guide.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"

/** Names and values together, as UTF-8. */
const CONTEXT_BYTES_MAX = 8 * KIB

/** Sorted by the bytes of the names, each of which occurs once. */
export type EncryptionContext = readonly (readonly [name: string, value: string])[]

/** Has no form in UTF-8. */
const LONE_SURROGATE = /\p{Surrogate}/u

/** Throws `invalidArgument` if a name occurs twice or is empty, and if the context is too large. */
export function contextOfPairs(pairs: Iterable<readonly [name: string, value: string]>): EncryptionContext {
  const sorted = [...pairs].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  let bytes = 0
  for (const [i, [name, value]] of sorted.entries()) {
    if (name === "") throw invalid("a name is empty")
    if (sorted[i - 1]?.[0] === name) throw invalid("a name occurs twice")
    if (LONE_SURROGATE.test(name) || LONE_SURROGATE.test(value)) throw invalid("it is not Unicode")
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  if (bytes > CONTEXT_BYTES_MAX) throw invalid(`it is larger than ${CONTEXT_BYTES_MAX} bytes`)
  return sorted
}

/** A JSON object of texts. Throws `invalidArgument`. */
export function contextOfText(text: string): EncryptionContext {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid("it is not JSON")
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("it is not a JSON object")
  const pairs = Object.entries(value).map(([name, member]: [string, unknown]): readonly [string, string] => {
    if (typeof member !== "string") throw invalid("a value is not a text")
    return [name, member]
  })
  return contextOfPairs(pairs)
}

/** Canonical JSON: names in order, no white space. */
export const textOfContext = (context: EncryptionContext): string =>
  `{${context.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`

/** Returns the bytes that ciphertexts are bound to: each name and value after its length (4 bytes, big-endian). */
export function bytesOfContext(context: EncryptionContext): Uint8Array {
  const parts = context.flat().flatMap(text => {
    const bytes = Buffer.from(text)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return [length, bytes]
  })
  return Buffer.concat(parts)
}

const invalid = (reason: string): Failure =>
  fail("invalidArgument", { message: `The encryption context is not valid: ${reason}.` })
