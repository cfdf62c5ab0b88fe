/**
 * Checksums that a request declares: `Content-MD5`, and one of `x-amz-checksum-*` as header or trailer.
 *
 * Refuses  Two algorithms in one request, unknown algorithms and a value that is not a checksum of its
 *          algorithm: `invalidRequest`; a malformed MD5: `invalidDigest`; another algorithm than that which a
 *          PutObject names: `badDigest`.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { StoredChecksum } from "@hayloft/objects/contract.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

const MD5_BYTES = 16
const PREFIX = "x-amz-checksum-"

/** Length of the value in bytes, before base64. */
const LENGTHS: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
  SHA512: 64,
  MD5: 16,
  XXHASH64: 8,
  XXHASH3: 8,
  XXHASH128: 16,
}

export const checksumHeader = (algorithm: ChecksumAlgorithm): string => `${PREFIX}${algorithm.toLowerCase()}`

/** The algorithms by their header, in lower case. */
const BY_HEADER: ReadonlyMap<string, ChecksumAlgorithm> = new Map(
  CHECKSUM_ALGORITHMS.map(algorithm => [checksumHeader(algorithm), algorithm]),
)

/** A stored checksum as headers. */
export const checksumFields = (checksum: StoredChecksum | undefined): HeaderField[] =>
  checksum === undefined
    ? []
    : [
        [checksumHeader(checksum.algorithm), checksum.value],
        ["x-amz-checksum-type", checksum.type],
      ]

/** Decodes exact base64 (with padding) of the given length; undefined for any other text. */
function exactBase64(text: string, lengthBytes: number): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64")
  return bytes.length === lengthBytes && bytes.toString("base64") === text ? bytes : undefined
}

/** Throws `invalidDigest`. */
export function contentMd5Of(headers: Headers): Uint8Array | undefined {
  const text = headers.get("content-md5")
  if (text === undefined) return undefined
  const md5 = exactBase64(text, MD5_BYTES)
  if (md5 === undefined) throw fail("invalidDigest", { contentMd5: text.slice(0, 80) })
  return md5
}

interface DeclaredChecksum {
  readonly algorithm: ChecksumAlgorithm
  readonly value: string
}

export const SINGLE_CHECKSUM = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."

const invalidValue = (header: string): Failure =>
  fail("invalidRequest", { message: `Value for ${header} header is invalid.`, header })

/** The checksums of no bytes. */
const OF_NOTHING: Readonly<Record<ChecksumAlgorithm, string>> = {
  CRC32: "AAAAAA==",
  CRC32C: "AAAAAA==",
  CRC64NVME: "AAAAAAAAAAA=",
  SHA1: "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
  SHA256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
  SHA512: "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
  MD5: "1B2M2Y8AsgTpgAmY7PhCfg==",
  XXHASH64: "70bbN1HY6Zk=",
  XXHASH3: "LQaABTjTlMI=",
  XXHASH128: "maoG0wFHmNhgAcMkRo1Jfw==",
}

/** Returns true if the header, named in lower case, declares the checksum of an empty body. */
export function isChecksumOfNothing(header: string, value: string): boolean {
  const algorithm = BY_HEADER.get(header)
  return algorithm !== undefined && OF_NOTHING[algorithm] === value
}

/** Throws `invalidRequest` unless the text is a base64 checksum of this algorithm; with `parts`, `-N` may follow. */
export function checkChecksumText(
  algorithm: ChecksumAlgorithm,
  text: string,
  parts: "parts" | "whole" = "whole",
): void {
  const value = parts === "parts" ? text.replace(/-\d{1,5}$/, "") : text
  if (exactBase64(value, LENGTHS[algorithm]) === undefined) throw invalidValue(checksumHeader(algorithm))
}

/** The checksum among the headers. Throws `invalidRequest`. */
export function checksumInHeaders(headers: Headers, parts: "parts" | "whole" = "whole"): DeclaredChecksum | undefined {
  let found: DeclaredChecksum | undefined
  for (const [header, algorithm] of BY_HEADER) {
    const value = headers.get(header)
    if (value === undefined) continue
    if (found !== undefined) throw fail("invalidRequest", { message: SINGLE_CHECKSUM })
    found = { algorithm, value }
  }
  if (found !== undefined) checkChecksumText(found.algorithm, found.value, parts)
  return found
}

/** The algorithm of a trailer's name. Throws `invalidRequest` for a trailer that is not a known checksum. */
export function algorithmOfTrailer(name: string): ChecksumAlgorithm {
  const found = BY_HEADER.get(name)
  if (found === undefined) {
    throw fail("invalidRequest", {
      message: `The value specified in the x-amz-trailer header is not supported: ${name.slice(0, 80)}`,
    })
  }
  return found
}

/**
 * Throws `badDigest` if the checksum of an object is not of the algorithm that its request names. One without any is accepted:
 * SDKs name the algorithm in URLs that they presign before they know the bytes. "UploadPart" ignores the name beside a checksum.
 * Source  "PutObject", Amazon S3 API Reference: "If the individual checksum value you provide through
 *         x-amz-checksum-algorithm doesn't match the checksum algorithm you set through x-amz-sdk-checksum-algorithm,
 *         Amazon S3 fails the request with a BadDigest error."
 */
export function requireNamedAlgorithm(headers: Headers, algorithm: ChecksumAlgorithm | undefined): void {
  if (algorithm === undefined) return
  const named = headers.get("x-amz-sdk-checksum-algorithm")?.toUpperCase()
  if (named === undefined || named === algorithm) return
  throw fail("badDigest", { message: `The checksum is a ${algorithm}, but x-amz-sdk-checksum-algorithm is ${named}.` })
}

/** `x-amz-checksum-algorithm`, ignoring case; undefined if absent. The table of headers has refused unknown ones. */
export function checksumAlgorithmOf(headers: Headers): ChecksumAlgorithm | undefined {
  const text = headers.get("x-amz-checksum-algorithm")?.toUpperCase()
  return CHECKSUM_ALGORITHMS.find(algorithm => algorithm === text)
}

/** `x-amz-checksum-type`; undefined if absent. */
export function checksumTypeOf(headers: Headers): "COMPOSITE" | "FULL_OBJECT" | undefined {
  const text = headers.get("x-amz-checksum-type")?.toUpperCase()
  return text === "COMPOSITE" || text === "FULL_OBJECT" ? text : undefined
}

const FULL_OBJECT_ONLY: readonly ChecksumAlgorithm[] = ["CRC64NVME"]
const BOTH: readonly ChecksumAlgorithm[] = ["CRC32", "CRC32C"]
const COMPOSITE_ONLY = CHECKSUM_ALGORITHMS.filter(name => !FULL_OBJECT_ONLY.includes(name) && !BOTH.includes(name))

/** The checksum that an upload will store: algorithm and type, by default S3's choice. Throws `invalidRequest`. */
export function plannedChecksum(
  headers: Headers,
): { algorithm: ChecksumAlgorithm; type: "COMPOSITE" | "FULL_OBJECT" } | undefined {
  const algorithm = checksumAlgorithmOf(headers)
  const type = checksumTypeOf(headers)
  if (algorithm === undefined) {
    if (type === undefined) return undefined
    throw fail("invalidRequest", {
      message: "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
    })
  }
  const fitting = type ?? (FULL_OBJECT_ONLY.includes(algorithm) ? "FULL_OBJECT" : "COMPOSITE")
  const impossible = fitting === "COMPOSITE" ? FULL_OBJECT_ONLY : COMPOSITE_ONLY
  if (impossible.includes(algorithm)) {
    throw fail("invalidRequest", {
      message: `The ${fitting} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
    })
  }
  return { algorithm, type: fitting }
}
