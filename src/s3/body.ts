/**
 * The body of a request: how it is framed, what is promised about it, and how it is opened.
 *
 * Promises  Nothing of the body is read, and no 100-continue sent, before `open` of the payload or
 *           `document` is called; whatever the headers alone refuse is refused before that. Decoded
 *           bytes are the object, whatever the framing. A trailer's checksum is known when the last
 *           byte has been taken.
 * Limits    `OBJECT_BYTES_MAX` for payloads, enforced while streaming where no length was declared.
 */
import type { PayloadMode } from "../access/index.js"
import type { ChunkSignatures } from "../access/index.js"
import { concatBytes, equalBytes } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import { OBJECT_BYTES_MAX } from "../base/limits.js"
import type { PieceOwner } from "../base/pieces.js"
import type { BodySource } from "../object/contract.js"
import type { ChecksumAlgorithm, Compute } from "../seams/compute/contract.js"
import type { CallBody, Headers } from "./call.js"
import {
  algorithmOfTrailer,
  checkChecksumText,
  checksumHeader,
  checksumInHeaders,
  contentMd5Of,
} from "./parse-checksums.js"
import { decodeChunkedBody, parseTrailerNames } from "./wire/aws-chunked.js"

/** The body as it comes off the wire. */
export interface WireBody {
  /** Content-Length; undefined where none was sent. */
  readonly lengthBytes: number | undefined
  /** `Transfer-Encoding: chunked`. */
  readonly chunked: boolean
  /** Starts reading (and sends 100-continue where asked). */
  open(pieces: PieceOwner): AsyncIterable<Uint8Array>
}

export interface BodyProtection {
  readonly payload: PayloadMode
  readonly chunkSignatures: () => ChunkSignatures
}

/** A body's framing and promises, from the headers alone. */
interface Plan {
  readonly lengthBytes: number | undefined
  readonly md5: Uint8Array | undefined
  readonly sha256: Uint8Array | undefined
  readonly algorithm: ChecksumAlgorithm | undefined
  readonly headerValue: string | undefined
  readonly trailerNames: readonly string[] | undefined
}

function decodedLength(headers: Headers): number {
  const text = headers.get("x-amz-decoded-content-length")
  if (text === undefined)
    throw fail("missingLength", { message: "You must provide the x-amz-decoded-content-length header." })
  if (!/^\d{1,15}$/.test(text)) {
    throw fail("invalidArgument", { argumentName: "x-amz-decoded-content-length", argumentValue: text.slice(0, 80) })
  }
  return Number(text)
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
    throw fail("invalidRequest", { message: "Expecting a single x-amz-checksum- header or trailer." })
  }
  return {
    lengthBytes: payload.kind === "chunked" ? decodedLength(headers) : wire.lengthBytes,
    md5: contentMd5Of(headers),
    sha256: payload.kind === "hashed" ? payload.sha256 : undefined,
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

export class RequestBody implements CallBody {
  private opened = false
  private read: Promise<Uint8Array> | undefined
  private trailers: ReadonlyMap<string, string> = new Map()

  constructor(
    private readonly wire: WireBody,
    private readonly headers: Headers,
    private readonly protection: BodyProtection,
    private readonly hash: Compute["hash"],
  ) {}

  payload(): BodySource {
    const plan = planOf(this.protection.payload, this.headers, this.wire, true)
    if (plan.lengthBytes === undefined && !this.wire.chunked) throw fail("missingLength")
    if (plan.lengthBytes !== undefined && plan.lengthBytes > OBJECT_BYTES_MAX) {
      throw fail("entityTooLarge", { sizeBytes: plan.lengthBytes, maxSizeAllowedBytes: OBJECT_BYTES_MAX })
    }
    return {
      lengthBytes: plan.lengthBytes,
      ...(plan.md5 !== undefined && { md5: plan.md5 }),
      ...(plan.sha256 !== undefined && { sha256: plan.sha256 }),
      ...(plan.algorithm !== undefined && { checksumAlgorithm: plan.algorithm }),
      open: (pieces = "caller") => limited(this.decoded(plan, pieces), OBJECT_BYTES_MAX),
      declaredChecksum: () => this.declared(plan),
    }
  }

  document(options: DocumentOptions): Promise<Uint8Array> {
    return (this.read ??= this.readDocument(options))
  }

  private async readDocument({ bytesMax, checksum }: DocumentOptions): Promise<Uint8Array> {
    const plan = planOf(this.protection.payload, this.headers, this.wire, checksum !== "ofObject")
    const isCovered = plan.md5 !== undefined || plan.algorithm !== undefined || plan.sha256 !== undefined
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
      pieces.push(bytes.slice())
      lengthBytes += bytes.length
      if (lengthBytes > bytesMax) throw oversized
    }
    const document = concatBytes(pieces)
    this.check(plan, document)
    return document
  }

  private decoded({ lengthBytes, trailerNames }: Plan, pieces: PieceOwner): AsyncIterable<Uint8Array> {
    if (this.opened) throw fail("internal", { reason: "a body is read once" })
    this.opened = true
    const { payload, chunkSignatures } = this.protection
    if (payload.kind !== "chunked") return this.wire.open(pieces)
    const signatures = payload.signed ? chunkSignatures() : undefined
    const shape = { signatures, trailerNames, decodedBytes: lengthBytes ?? 0 }
    return decodeChunkedBody(this.wire.open(pieces), shape, trailers => void (this.trailers = trailers))
  }

  /** The checksum that the client declared; a trailer's only once the body has ended. Throws `badDigest`. */
  private declared({ algorithm, headerValue }: Plan): string | undefined {
    if (headerValue !== undefined || algorithm === undefined) return headerValue
    const value = this.trailers.get(checksumHeader(algorithm))
    if (value !== undefined) checkChecksumText(algorithm, value)
    return value
  }

  private check(plan: Plan, document: Uint8Array): void {
    const { md5, sha256, algorithm } = plan
    if (plan.lengthBytes !== undefined && plan.lengthBytes !== document.length) throw fail("incompleteBody")
    const digests = this.hash({ md5: md5 !== undefined, sha256: sha256 !== undefined, checksum: algorithm }, document)
    if (md5 !== undefined && !equalBytes(md5, digests.md5 ?? new Uint8Array())) throw fail("badDigest")
    if (sha256 !== undefined && !equalBytes(sha256, digests.sha256 ?? new Uint8Array()))
      throw fail("contentSha256Mismatch")
    const declared = this.declared(plan)
    if (declared === undefined) return
    if (declared !== Buffer.from(digests.checksum ?? new Uint8Array()).toString("base64")) throw fail("badDigest")
  }
}
