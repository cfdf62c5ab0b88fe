/**
 * Decodes the aws-chunked body: chunks with or without signatures, and an optional trailer. A push decoder.
 *
 * Promises  The result does not depend on how the bytes are split into pieces. Every chunk signature and
 *           the trailer signature is verified before `end` returns; `push` returns decoded bytes before
 *           their chunk has been verified, so callers must not publish them before `end`.
 *           The decoded length is exactly the declared one, or `incompleteBody`.
 * Refuses   `malformedChunk`, `malformedTrailer`, `signatureMismatch`, `incompleteBody`; after a
 *           refusal every further call is refused too.
 * Limits    `CHUNK_LINE_BYTES_MAX`, `TRAILER_BYTES_MAX`; chunks are never buffered.
 * Source    "Transferring Payload in Multiple Chunks", Amazon S3 API Reference.
 */
import { createHash } from "node:crypto"
import type { Hash } from "node:crypto"
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { assert } from "@hayloft/base/assert.js"
import { EMPTY_SHA256, equalInConstantTime, sha256Hex } from "@hayloft/access/index.js"
import type { ChunkSignatures } from "@hayloft/access/index.js"
import { digestOnce } from "@hayloft/base/seams/compute/index.js"
import { byteStringOfBytes } from "@hayloft/base/bytes.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

const CHUNK_LINE_BYTES_MAX = 256
const TRAILER_BYTES_MAX = 8 * 1024

export interface ChunkedBodyShape {
  /** The signature chain that follows the request's signature; undefined for unsigned chunks. */
  readonly signatures: ChunkSignatures | undefined
  /** Names announced by `x-amz-trailer`, in lower case; undefined for a mode without trailer. */
  readonly trailerNames: readonly string[] | undefined
  /** `x-amz-decoded-content-length`. */
  readonly decodedBytes: number
}

const LF = 0x0a
const CR = 0x0d
const CHUNK_LINE = /^([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-fA-F]{64}))?\r\n$/
const TRAILER_SIGNATURE = "x-amz-trailer-signature"

/** The position: in a size line, in data, in the line break after data, after the last chunk. */
type State = "line" | "data" | "break" | "trailer" | "over"

export class ChunkedDecoder {
  private state: State = "line"
  /** Bytes of an incomplete line, line break or trailer. */
  private held = ""
  private chunkLeftBytes = 0
  private chunkSignature: string | undefined
  /** For a chunk in several pieces; a chunk in one piece is hashed in one call, which is cheaper. */
  private chunkHash: Hash | undefined
  private decodedBytes = 0

  constructor(private readonly shape: ChunkedBodyShape) {}

  /** Feeds bytes of the body and returns the decoded bytes among them, as views of `bytes`. */
  push(bytes: Uint8Array): Uint8Array[] {
    const decoded: Uint8Array[] = []
    let at = 0
    while (at < bytes.length) {
      if (this.state === "data") {
        const piece = bytes.subarray(at, at + this.chunkLeftBytes)
        this.takeData(piece)
        decoded.push(piece)
        at += piece.length
      } else if (this.state === "trailer") {
        this.hold(bytes.subarray(at), TRAILER_BYTES_MAX)
        at = bytes.length
      } else if (this.state === "over") {
        throw fail("malformedChunk")
      } else {
        const end = bytes.indexOf(LF, at)
        const piece = end < 0 ? bytes.subarray(at) : bytes.subarray(at, end + 1)
        this.hold(piece, this.state === "break" ? 2 : CHUNK_LINE_BYTES_MAX)
        at += piece.length
        if (end >= 0) this.takeLine()
      }
    }
    return decoded
  }

  /** Ends the body: checks everything that was declared, and returns the trailers by lower-case name. */
  end(): ReadonlyMap<string, string> {
    const { state } = this
    this.state = "over"
    if (state === "over") throw fail("malformedChunk")
    if (state !== "trailer") throw this.refuse("incompleteBody", "the body ended within a chunk")
    if (this.decodedBytes !== this.shape.decodedBytes) {
      throw this.refuse("incompleteBody", "the body is shorter than x-amz-decoded-content-length")
    }
    if (this.shape.trailerNames !== undefined) return this.readTrailer(this.shape.trailerNames)
    if (this.held !== "" && this.held !== "\r\n") throw this.refuse("malformedChunk", "bytes follow the last chunk")
    return new Map()
  }

  private refuse(
    kind: "malformedChunk" | "malformedTrailer" | "incompleteBody" | "signatureMismatch",
    message: string,
  ): Failure {
    this.state = "over"
    return fail(kind, { message })
  }

  private hold(piece: Uint8Array, bytesMax: number): void {
    if (this.held.length + piece.length > bytesMax) {
      throw this.refuse(
        this.state === "trailer" ? "malformedTrailer" : "malformedChunk",
        "a line of the chunked body is too long",
      )
    }
    this.held += byteStringOfBytes(piece)
  }

  private takeLine(): void {
    const line = this.held
    this.held = ""
    if (this.state === "break") {
      if (line !== "\r\n") throw this.refuse("malformedChunk", "a chunk does not end with a line break")
      this.state = "line"
      return
    }
    const [matched, size, signature] = CHUNK_LINE.exec(line) ?? []
    if (
      matched === undefined ||
      size === undefined ||
      (signature !== undefined) !== (this.shape.signatures !== undefined)
    ) {
      throw this.refuse("malformedChunk", "a chunk does not begin with its size and signature")
    }
    this.chunkLeftBytes = parseInt(size, 16)
    this.chunkSignature = signature
    if (this.decodedBytes + this.chunkLeftBytes > this.shape.decodedBytes) {
      throw this.refuse("incompleteBody", "the body is longer than x-amz-decoded-content-length")
    }
    this.chunkHash = undefined
    this.state = "data"
    if (this.chunkLeftBytes === 0) {
      this.checkChunk(EMPTY_SHA256)
      this.state = "trailer"
    }
  }

  private takeData(piece: Uint8Array): void {
    this.decodedBytes += piece.length
    this.chunkLeftBytes -= piece.length
    const isSigned = this.shape.signatures !== undefined
    if (this.chunkLeftBytes > 0) {
      if (isSigned) this.chunkHash = (this.chunkHash ?? createHash("sha256")).update(piece)
      return
    }
    if (isSigned) this.checkChunk(this.chunkHash?.update(piece).digest("hex") ?? digestOnce("sha256", piece, "hex"))
    this.state = "break"
  }

  private checkChunk(digestHex: string): void {
    const { signatures } = this.shape
    if (signatures === undefined) return
    assert(this.chunkSignature !== undefined, "a signed chunk has a signature")
    const expected = signatures.chunk(digestHex)
    if (!equalInConstantTime(expected, this.chunkSignature)) {
      throw this.refuse("signatureMismatch", "the signature of a chunk does not match")
    }
  }

  /**
   * Clients disagree on blank lines and on LF or CRLF, so both are accepted; every other line up to the end
   * of the body must be a trailer line.
   */
  private readTrailer(promised: readonly string[]): ReadonlyMap<string, string> {
    const trailers = new Map<string, string>()
    let signature: string | undefined
    for (const ended of this.held.split("\n")) {
      const line = ended.charCodeAt(ended.length - 1) === CR ? ended.slice(0, -1) : ended
      if (line === "") continue
      const [, name, value] = /^([A-Za-z0-9-]+):[ \t]*([\x21-\x7e]*)$/.exec(withoutTrailing(line, " \t")) ?? []
      if (name === undefined || value === undefined || signature !== undefined) {
        throw this.refuse("malformedTrailer", "the trailer holds something that is no trailer line")
      }
      const lower = name.toLowerCase()
      if (lower === TRAILER_SIGNATURE && this.shape.signatures !== undefined) signature = value
      else if (!promised.includes(lower) || trailers.has(lower)) {
        throw this.refuse("malformedTrailer", "the trailer is not the one that x-amz-trailer promises")
      } else trailers.set(lower, value)
    }
    if (promised.some(name => !trailers.has(name))) {
      throw this.refuse("malformedTrailer", "a trailer that x-amz-trailer promises is missing")
    }
    this.checkTrailer(trailers, signature)
    return trailers
  }

  private checkTrailer(trailers: ReadonlyMap<string, string>, signature: string | undefined): void {
    const { signatures } = this.shape
    if (signatures === undefined) return
    if (signature === undefined) throw this.refuse("malformedTrailer", "the signature of the trailer is missing")
    const lines = [...trailers].map(([name, value]) => `${name}:${value}\n`).join("")
    if (!equalInConstantTime(signatures.trailer(sha256Hex(lines)), signature)) {
      throw this.refuse("signatureMismatch", "the signature of the trailer does not match")
    }
  }
}

/** The names in an `x-amz-trailer` header. Throws `malformedTrailer`. */
export function parseTrailerNames(header: string): readonly string[] {
  const names = header.split(",").map(name => name.trim().toLowerCase())
  if (!names.every(name => /^[a-z0-9-]+$/.test(name)) || new Set(names).size !== names.length) {
    throw fail("malformedTrailer", { message: "x-amz-trailer is not a list of header names" })
  }
  return names
}

/**
 * Decodes a whole body as it streams; calls `onTrailers` before the last step of the
 * iteration ends. Throws the decoder's refusals, and the source's errors.
 */
export async function* decodeChunkedBody(
  source: AsyncIterable<Uint8Array>,
  shape: ChunkedBodyShape,
  onTrailers: (trailers: ReadonlyMap<string, string>) => void,
): AsyncGenerator<Uint8Array> {
  const decoder = new ChunkedDecoder(shape)
  for await (const bytes of source) yield* decoder.push(bytes)
  onTrailers(decoder.end())
}

/** Removes `aws-chunked` from a Content-Encoding: `aws-chunked,gzip` is stored as `gzip`; alone it leaves nothing. */
export function withoutAwsChunked(contentEncoding: string): string | undefined {
  if (!/aws-chunked/i.test(contentEncoding)) return contentEncoding
  const codings = contentEncoding.split(",").map(coding => coding.trim())
  const kept = codings.filter(coding => coding !== "" && coding.toLowerCase() !== "aws-chunked").join(",")
  return kept === "" ? undefined : kept
}
