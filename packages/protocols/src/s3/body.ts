/**
 * The body of a request: its framing, its declared digests, and how it is opened.
 *
 * Promises  Nothing of the body is read, and no 100-continue sent, before a reader opens it; checks of the headers
 *           alone run before that. Decoded bytes are the object, whatever the framing. A trailer's checksum is
 *           known when the last byte has been read.
 * Limits    `OBJECT_BYTES_MAX` for payloads, enforced while streaming if no length was declared;
 *           `GATHERED_BYTES_MAX` for bodies that are collected whole.
 */
import type { PayloadMode } from "@hayloft/access/index.js"
import { concatBytes, equalBytes, hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { GATHERED_BYTES_MAX, OBJECT_BYTES_MAX } from "@hayloft/base/limits.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Payer } from "@hayloft/base/places-core.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Exchange } from "../http/index.js"
import type { BodySource } from "@hayloft/objects/contract.js"
import { wrongChecksum, wrongMd5 } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { BodyProtection } from "./caller.js"
import {
  algorithmOfTrailer,
  checkChecksumText,
  checksumHeader,
  checksumInHeaders,
  contentMd5Of,
  SINGLE_CHECKSUM,
} from "./parse-checksums.js"
import { ChunkedDecoder, decodeChunkedBody, parseTrailerNames, type ChunkedBodyShape } from "./wire/aws-chunked.js"

/** The body of a request, not yet opened. */
export interface CallBody {
  /** Throws `invalidRequest` if the body has a byte, which would be ignored, and as `document`. */
  refuseContent(): Promise<void>
  /**
   * The body as bytes of an object or part, with its declared length and digests.
   * Throws `missingLength`, `entityTooLarge`, `invalidDigest`, `badDigest`, `invalidRequest`, `malformedTrailer`.
   */
  payload(): BodySource
  /**
   * The body as a small document, read whole and checked; it is read once, even if called twice.
   * `checksum: "required"` refuses a document without Content-MD5, checksum or signed SHA-256;
   * `"ofObject"`: the checksum header covers the object, not the document.
   */
  document(options: {
    readonly bytesMax: number
    readonly checksum: "required" | "optional" | "ofObject"
  }): Promise<Uint8Array>
}

/** The body as received. */
export interface WireBody {
  /** Content-Length; undefined if none was sent. */
  readonly lengthBytes: number | undefined
  /** `Transfer-Encoding: chunked`. */
  readonly chunked: boolean
  /** Starts reading (and sends 100-continue if the client expects it). */
  open(pieces: PieceOwner): AsyncIterable<Uint8Array>
  /** Instead of `open`: collects a body of a declared, small length; undefined for any other body. */
  gather(): Soon<Uint8Array> | undefined
}

/** The body of an exchange, and the time spent waiting for it. */
export class ExchangeBody implements WireBody {
  readonly lengthBytes: number | undefined
  readonly chunked: boolean
  waitedMs = 0

  constructor(
    private readonly exchange: Exchange,
    private readonly clock: Clock,
  ) {
    this.lengthBytes = exchange.contentLength
    this.chunked = exchange.chunkedTransfer
  }

  gather(): Soon<Uint8Array> | undefined {
    const { exchange, lengthBytes } = this
    if (exchange.wholeBody !== undefined) return exchange.wholeBody
    if (lengthBytes === undefined || lengthBytes > GATHERED_BYTES_MAX) return undefined
    const startedMs = this.clock.monotonicMs()
    return exchange.gather().finally(() => void (this.waitedMs += this.clock.monotonicMs() - startedMs))
  }

  async *open(pieces: PieceOwner): AsyncGenerator<Uint8Array> {
    let requestedMs = this.clock.monotonicMs()
    for await (const piece of this.exchange.body(pieces)) {
      this.waitedMs += this.clock.monotonicMs() - requestedMs
      yield piece
      requestedMs = this.clock.monotonicMs()
    }
    this.waitedMs += this.clock.monotonicMs() - requestedMs
  }
}

/** A body's framing and declared digests, from the headers alone. */
interface Plan {
  readonly lengthBytes: number | undefined
  readonly md5: Uint8Array | undefined
  readonly sha256Hex: string | undefined
  readonly algorithm: ChecksumAlgorithm | undefined
  readonly headerValue: string | undefined
  readonly trailerNames: readonly string[] | undefined
}

function decodedLength(headers: Headers): number {
  const text = headers.get("x-amz-decoded-content-length")
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text)
  throw fail("missingLength", { message: "You must provide the x-amz-decoded-content-length header." })
}

/** Throws `invalidRequest`, `malformedTrailer`. */
function trailerNamesOf(payload: PayloadMode, headers: Headers): readonly string[] | undefined {
  const promised = headers.get("x-amz-trailer")
  if (payload.kind === "chunked" && payload.trailer) return promised === undefined ? [] : parseTrailerNames(promised)
  if (promised === undefined) return undefined
  throw fail("invalidRequest", { message: "x-amz-trailer needs an x-amz-content-sha256 that announces a trailer." })
}

function planOf(payload: PayloadMode, headers: Headers, wire: WireBody, ofBody: boolean): Plan {
  const trailerNames = trailerNamesOf(payload, headers)
  const declared = ofBody ? checksumInHeaders(headers) : undefined
  const [trailing, ...more] = (trailerNames ?? []).map(algorithmOfTrailer)
  if (more.length > 0 || (declared !== undefined && trailing !== undefined)) {
    throw fail("invalidRequest", { message: SINGLE_CHECKSUM })
  }
  return {
    lengthBytes: payload.kind === "chunked" ? decodedLength(headers) : wire.lengthBytes,
    md5: contentMd5Of(headers),
    sha256Hex: payload.kind === "hashed" ? payload.sha256Hex : undefined,
    algorithm: declared?.algorithm ?? trailing,
    headerValue: declared?.value,
    trailerNames,
  }
}

async function* limited(source: AsyncIterable<Uint8Array>, bytesMax: number): AsyncIterable<Uint8Array> {
  let lengthBytes = 0
  for await (const bytes of source) {
    lengthBytes += bytes.length
    if (lengthBytes > bytesMax) throw fail("entityTooLarge", { maxSizeAllowedBytes: bytesMax })
    yield bytes
  }
}

type DocumentOptions = Parameters<CallBody["document"]>[0]

export class S3RequestBody implements CallBody {
  private opened = false
  private read: Promise<Uint8Array> | undefined
  private trailers: ReadonlyMap<string, string> = new Map()

  constructor(
    private readonly wire: WireBody,
    private readonly headers: Headers,
    private readonly protection: BodyProtection,
    private readonly hash: Compute["hash"],
    private readonly payer: Payer,
  ) {}

  async refuseContent(): Promise<void> {
    const { chunked, lengthBytes = chunked ? undefined : 0 } = this.wire
    if (lengthBytes === 0 || (await this.isEmpty())) return
    throw fail("invalidRequest", {
      message: "The request included a body. Requests of this type must not include a non-empty body.",
    })
  }

  /** Reads the body only if its length does not tell: the frames of an empty body have bytes themselves. */
  private async isEmpty(): Promise<boolean> {
    const plan = planOf(this.protection.payload, this.headers, this.wire, false)
    if ((plan.lengthBytes ?? 0) > 0) return false
    for await (const { length } of this.decoded(plan, "caller")) if (length > 0) return false
    return true
  }

  payload(): BodySource {
    const plan = planOf(this.protection.payload, this.headers, this.wire, true)
    if (plan.lengthBytes === undefined && !this.wire.chunked) throw fail("missingLength")
    if (plan.lengthBytes !== undefined && plan.lengthBytes > OBJECT_BYTES_MAX) {
      throw fail("entityTooLarge", { sizeBytes: plan.lengthBytes, maxSizeAllowedBytes: OBJECT_BYTES_MAX })
    }
    // The HTTP server enforces a declared length.
    const decoded = (pieces: PieceOwner) => this.decoded(plan, pieces)
    return {
      lengthBytes: plan.lengthBytes,
      md5: plan.md5,
      sha256Hex: plan.sha256Hex,
      checksumAlgorithm: plan.algorithm,
      payer: this.payer,
      open: (pieces = "caller") =>
        plan.lengthBytes === undefined ? limited(decoded(pieces), OBJECT_BYTES_MAX) : decoded(pieces),
      gather: () => this.gather(plan),
      declaredChecksum: () => this.declared(plan),
    }
  }

  /** All of a small body, decoded; undefined if it must be read as a stream. */
  private gather(plan: Plan): Soon<Uint8Array> | undefined {
    const gathered = this.wire.gather()
    if (gathered === undefined) return undefined
    const shape = this.begin(plan)
    return shape === undefined ? gathered : after(gathered, bytes => this.decodeWhole(bytes, shape))
  }

  private decodeWhole(bytes: Uint8Array, shape: ChunkedBodyShape): Uint8Array {
    const decoder = new ChunkedDecoder(shape)
    const pieces = decoder.push(bytes)
    this.trailers = decoder.end()
    const [only] = pieces
    return only !== undefined && pieces.length === 1 ? only : concatBytes(pieces)
  }

  document(options: DocumentOptions): Promise<Uint8Array> {
    return (this.read ??= this.readDocument(options))
  }

  private async readDocument({ bytesMax, checksum }: DocumentOptions): Promise<Uint8Array> {
    const plan = planOf(this.protection.payload, this.headers, this.wire, checksum !== "ofObject")
    const isCovered = plan.md5 !== undefined || plan.algorithm !== undefined || plan.sha256Hex !== undefined
    if (checksum === "required" && !isCovered) {
      throw fail("invalidRequest", {
        message: "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
      })
    }
    const oversized = fail("malformedXml", { reason: "the document is larger than allowed", bytesMax })
    if ((plan.lengthBytes ?? 0) > bytesMax) throw oversized
    const pieces: Uint8Array[] = []
    let lengthBytes = 0
    for await (const bytes of this.decoded(plan, "caller")) {
      pieces.push(Uint8Array.from(bytes))
      lengthBytes += bytes.length
      if (lengthBytes > bytesMax) throw oversized
    }
    const document = concatBytes(pieces)
    this.check(plan, document)
    return document
  }

  private decoded(plan: Plan, pieces: PieceOwner): AsyncIterable<Uint8Array> {
    const shape = this.begin(plan)
    if (shape === undefined) return this.wire.open(pieces)
    return decodeChunkedBody(this.wire.open(pieces), shape, trailers => void (this.trailers = trailers))
  }

  /** Marks the body as read; returns its framing, or undefined if it has none of its own. */
  private begin({ lengthBytes, trailerNames }: Plan): ChunkedBodyShape | undefined {
    if (this.opened) throw fail("internal", { reason: "a body is read once" })
    this.opened = true
    const { payload } = this.protection
    if (payload.kind !== "chunked") return undefined
    const signatures = payload.signed ? this.protection.chunkSignatures() : undefined
    return { signatures, trailerNames, decodedBytes: lengthBytes ?? 0 }
  }

  /** The checksum that the client declared; one in a trailer only after the body has ended. Throws `invalidRequest`. */
  private declared({ algorithm, headerValue }: Plan): string | undefined {
    if (headerValue !== undefined || algorithm === undefined) return headerValue
    const value = this.trailers.get(checksumHeader(algorithm))
    if (value !== undefined) checkChecksumText(algorithm, value)
    return value
  }

  private check(plan: Plan, document: Uint8Array): void {
    const { md5, sha256Hex, algorithm } = plan
    if (plan.lengthBytes !== undefined && plan.lengthBytes !== document.length) throw fail("incompleteBody")
    const digests = this.hash(
      { md5: md5 !== undefined, sha256: sha256Hex !== undefined, checksum: algorithm },
      document,
    )
    const computedMd5 = digests.md5 ?? new Uint8Array()
    if (md5 !== undefined && !equalBytes(md5, computedMd5)) throw wrongMd5(md5, computedMd5)
    if (sha256Hex !== undefined && sha256Hex !== hexOf(digests.sha256 ?? new Uint8Array()))
      throw fail("contentSha256Mismatch")
    const declared = this.declared(plan)
    if (declared === undefined) return
    if (declared !== Buffer.from(digests.checksum ?? new Uint8Array()).toString("base64"))
      throw wrongChecksum(plan.algorithm)
  }
}
