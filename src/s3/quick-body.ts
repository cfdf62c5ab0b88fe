/**
 * Bodies of small puts that are there as a whole: what is promised of them in headers or, of a body in chunks without
 * signatures, behind them, and what they hold if that is kept.
 *
 * Promises  Nothing is refused here: undefined means that the handler has to say what is wrong.
 */
import { STREAMING_UNSIGNED_TRAILER, UNSIGNED_PAYLOAD } from "../access/index.js"
import { concatBytes } from "../base/bytes.js"
import { unlessRefused } from "../base/failures.js"
import type { StoredChecksum } from "../object/contract.js"
import { digestOnce, type ChecksumAlgorithm, type Compute } from "../seams/compute/index.js"
import { CHECKSUM_ALGORITHMS, checkChecksumText, checksumHeader, contentMd5Of } from "./parse-checksums.js"
import { ChunkedDecoder, type ChunkedBodyShape } from "./wire/aws-chunked.js"

const CONTENT_MD5 = "content-md5"
const CHECKSUMS = new Map(CHECKSUM_ALGORITHMS.map(algorithm => [checksumHeader(algorithm), algorithm]))
/** All of them, or none. */
const OF_CHUNKS = ["content-encoding", "x-amz-decoded-content-length", "x-amz-trailer"]
const LENGTH = /^\d{1,9}$/
const OF_BODY: ReadonlySet<string> = new Set([CONTENT_MD5, ...CHECKSUMS.keys(), ...OF_CHUNKS])

/** Whether a header, by its lower-case name, is one that is judged here. */
export const isOfBody = (name: string): boolean => OF_BODY.has(name)

/** Where headers stand that speak of the body; below 0: there is none. */
export interface BodyShape {
  readonly md5At: number
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly at: number } | undefined
  readonly chunks: { readonly codingAt: number; readonly lengthAt: number; readonly trailerAt: number } | undefined
}

/** Undefined also where more than one thing is promised of what comes in chunks. */
export function bodyShapeOf(names: readonly string[]): BodyShape | undefined {
  const md5At = names.indexOf(CONTENT_MD5)
  const checksums = names.flatMap((name, at) => {
    const algorithm = CHECKSUMS.get(name)
    return algorithm === undefined ? [] : [{ algorithm, at }]
  })
  const [checksum, second] = checksums
  if (second !== undefined) return undefined
  const [codingAt = -1, lengthAt = -1, trailerAt = -1] = OF_CHUNKS.map(name => names.indexOf(name))
  if (codingAt < 0 && lengthAt < 0 && trailerAt < 0) return { md5At, checksum, chunks: undefined }
  if (codingAt < 0 || lengthAt < 0 || trailerAt < 0 || md5At >= 0 || checksum !== undefined) return undefined
  return { md5At, checksum, chunks: { codingAt, lengthAt, trailerAt } }
}

/** What a request's headers promise of its body, texts as they are on the wire. */
export interface BodyPromise {
  /** In hex. */
  readonly sha256: string | undefined
  readonly md5: string | undefined
  readonly algorithm: ChecksumAlgorithm | undefined
  /** Undefined where it comes behind the body. */
  readonly checksum: string | undefined
  readonly chunks: { readonly shape: ChunkedBodyShape; readonly trailerName: string } | undefined
}

export function bodyPromiseOf(
  { md5At, checksum, chunks }: BodyShape,
  values: readonly string[],
  payloadHash: string,
): BodyPromise | undefined {
  const isInChunks = payloadHash === STREAMING_UNSIGNED_TRAILER
  if (isInChunks !== (chunks !== undefined)) return undefined
  if (chunks === undefined) {
    return {
      sha256: payloadHash === UNSIGNED_PAYLOAD ? undefined : payloadHash,
      md5: md5At < 0 ? undefined : values[md5At],
      algorithm: checksum?.algorithm,
      checksum: checksum && values[checksum.at],
      chunks,
    }
  }
  const [length = "", trailerName = ""] = [values[chunks.lengthAt], values[chunks.trailerAt]]
  const algorithm = CHECKSUMS.get(trailerName)
  if (values[chunks.codingAt] !== "aws-chunked" || algorithm === undefined || !LENGTH.test(length)) return undefined
  const shape = { signatures: undefined, trailerNames: [trailerName], decodedBytes: Number(length) }
  return { sha256: undefined, md5: undefined, algorithm, checksum: undefined, chunks: { shape, trailerName } }
}

/** Whether some body could keep the promise. */
export const mayHold = ({ algorithm, checksum, md5 }: BodyPromise): boolean =>
  unlessRefused(() => {
    if (algorithm !== undefined && checksum !== undefined) checkChecksumText(algorithm, checksum)
    if (md5 !== undefined) contentMd5Of(new Map([[CONTENT_MD5, md5]]))
    return true
  }) ?? false

/** The object in a body that keeps its promise. */
export interface KeptBody {
  readonly bytes: Uint8Array
  readonly checksum: StoredChecksum | undefined
}

export function keptBodyOf(promise: BodyPromise, body: Uint8Array, hash: Compute["hash"]): KeptBody | undefined {
  const { sha256, md5, algorithm, chunks } = promise
  if (sha256 !== undefined && digestOnce("sha256", body, "hex") !== sha256) return undefined
  if (md5 !== undefined && base64Md5Of(body) !== md5) return undefined
  const decoded = chunks && unlessRefused(() => decodedOf(body, chunks.shape))
  if (chunks !== undefined && decoded === undefined) return undefined
  const bytes = decoded?.bytes ?? body
  if (algorithm === undefined) return { bytes, checksum: undefined }
  const { checksum = NO_BYTES } = hash({ md5: false, sha256: false, checksum: algorithm }, bytes)
  const value = Buffer.from(checksum).toString("base64")
  const promised = chunks ? decoded?.trailers.get(chunks.trailerName) : promise.checksum
  return value === promised ? { bytes, checksum: { algorithm, type: "FULL_OBJECT", value } } : undefined
}

const NO_BYTES = new Uint8Array()

const base64Md5Of = (bytes: Uint8Array): string =>
  Buffer.from(digestOnce("md5", bytes, "binary"), "latin1").toString("base64")

/** Throws what the decoder refuses. */
function decodedOf(body: Uint8Array, shape: ChunkedBodyShape) {
  const decoder = new ChunkedDecoder(shape)
  const pieces = decoder.push(body)
  const trailers = decoder.end()
  const [only] = pieces
  return { bytes: pieces.length === 1 && only ? only : concatBytes(pieces), trailers }
}
