/**
 * Signed requests as bytes, prepared or made on demand; the same bytes may be sent many times while the signature is
 * valid.
 *
 * Limits  `KEPT_MAX` requests are kept; each is renewed after `FRESH_MS`, well before a store refuses its age.
 */
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { type S3Access, type OutgoingRequest, signedCall, type SignedCall } from "../signed-call.js"
import type { RawRequest } from "./raw-connection.js"

const KEPT_MAX = 250_000
const FRESH_MS = 5 * 60_000

export interface ForgedRequest extends OutgoingRequest {
  readonly body?: Uint8Array
}

interface Kept {
  readonly request: RawRequest
  readonly forgedAtMs: number
}

/** A request without its body. */
type WireHead = Pick<SignedCall, "method" | "rawTarget" | "rawHeaders">

/** Head and end of head in wire format. */
export function wireOf({ method, rawTarget, rawHeaders }: WireHead): Buffer {
  let text = `${method} ${rawTarget} HTTP/1.1\r\n`
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) text += `${rawHeaders[i] ?? ""}: ${rawHeaders[i + 1] ?? ""}\r\n`
  return Buffer.from(`${text}\r\n`, "latin1")
}

export class RequestForge {
  readonly endpoint: URL
  private readonly kept = new Map<string, Kept>()

  constructor(
    readonly access: S3Access,
    private readonly clock: Clock,
  ) {
    this.endpoint = new URL(access.endpoint)
  }

  get nowMs(): number {
    return this.clock.wallMs()
  }

  forge({ body, ...request }: ForgedRequest): RawRequest {
    const headers = [...(request.headers ?? [])]
    if (body !== undefined) headers.push(["content-length", String(body.length)])
    const bytes = wireOf(this.sign({ ...request, headers }))
    return { bytes, isHead: request.method === "HEAD", ...(body === undefined ? {} : { body }) }
  }

  sign(request: OutgoingRequest, payloadHash?: string): SignedCall {
    return signedCall(this.access, this.endpoint.host, request, this.nowMs, payloadHash)
  }

  /** Returns the kept request of this name, or makes it. */
  keep(name: string, make: () => ForgedRequest): RawRequest {
    const nowMs = this.clock.monotonicMs()
    const kept = this.kept.get(name)
    if (kept !== undefined && nowMs - kept.forgedAtMs < FRESH_MS) return kept.request
    const request = this.forge(make())
    if (kept !== undefined || this.kept.size < KEPT_MAX) this.kept.set(name, { request, forgedAtMs: nowMs })
    return request
  }
}
