/**
 * MinIO's admin API on the S3 port, for `mc admin` and others that are written for MinIO.
 *
 * Promises  Requests below `/minio/admin/v3/` and `v4/` with a signature in their header are recognized, and no others: a bucket
 *           named `minio` keeps all its keys for presigned URLs, and by its host name (docs/decisions/0130).
 *           The signature, over the whole body, is checked as that of S3, with the same waits after wrong ones.
 * Limits    `BODY_BYTES_MAX`. Streams end with the client, or when the port closes.
 */
import { FirstAbort } from "@hayloft/base/life/index.js"
import type { Failure } from "@hayloft/base/failures.js"
import { fail } from "@hayloft/base/failures.js"
import { KIB } from "@hayloft/base/limits.js"
import { splitTarget } from "@hayloft/base/http/uri.js"
import type { Exchange, HttpAnswer, PlainAnswer, Protocol, Refusal } from "@hayloft/protocols/http/index.js"
import { bucketOfHost } from "@hayloft/protocols/s3/wire/target.js"
import {
  SignedFrame,
  type AdmittedRequest,
  type FailedRequest,
  type FrameSettings,
  type Route,
  type SignedProtocol,
} from "@hayloft/protocols/signed/index.js"
import type { Guest } from "../../ports/port-router.js"
import { MINIO_CALLS } from "./calls.js"
import type { MinioAdmin, MinioAnswer, MinioCall, MinioError } from "./contract.js"
import { errorBody, minioErrorOf } from "./failures-core.js"

const BODY_BYTES_MAX = 256 * KIB
const PREFIX = /^\/minio\/admin\/v[34]\//
const SIGNED = /^AWS4-HMAC-SHA256 /

interface MinioRoute extends Route {
  readonly path: string
  readonly rawQuery: string
}

interface GuestSettings extends FrameSettings {
  readonly admin: MinioAdmin
  readonly domains: readonly string[]
}

function asksForMinioAdmin(
  { rawTarget, header }: Pick<Exchange, "rawTarget" | "header">,
  domains: readonly string[],
): boolean {
  return (
    PREFIX.test(rawTarget) &&
    SIGNED.test(header("authorization") ?? "") &&
    bucketOfHost(header("host") ?? "", domains) === undefined
  )
}

class MinioAdminProtocol implements SignedProtocol<MinioRoute, MinioError> {
  /** A client of MinIO signs for any. */
  readonly region = undefined

  constructor(
    private readonly settings: GuestSettings,
    private readonly closing: AbortSignal,
  ) {}

  serviceOf(): string {
    return "s3"
  }

  bodyBytesMax(): number {
    return BODY_BYTES_MAX
  }

  route({ method, rawTarget }: Exchange): MinioRoute {
    const { rawPath, rawQuery } = splitTarget(rawTarget)
    const path = rawPath.replace(PREFIX, "")
    return { path, rawQuery, operation: MINIO_CALLS.get(`${method} ${path}`)?.name ?? "" }
  }

  guestOf(): never {
    throw fail("accessDenied", { message: "the request is not signed" })
  }

  async perform({ exchange, route, body, sender }: AdmittedRequest<MinioRoute, never>): Promise<HttpAnswer> {
    const { path, rawQuery } = route
    const { method, requestId, remoteAddress: address, tlsVersion, signal } = exchange
    const call = {
      method,
      path,
      rawQuery,
      body,
      accessKeyId: sender.key.id,
      sessionToken: exchange.header("x-amz-security-token"),
      from: { requestId, address },
      isEncrypted: tlsVersion !== undefined,
      userAgent: exchange.header("user-agent"),
      referer: exchange.header("referer"),
      host: exchange.header("host") ?? "",
    }
    const ended = new FirstAbort([signal, this.closing])
    const { status, contentType, body: answer, stream, failure } = await this.answered(call, ended)
    if (failure !== undefined) {
      const { code, kind, reason } = failure
      exchange.note({ failure: code, kind, reason })
    }
    return { ...answerOf(status, contentType, answer, requestId), ...(stream !== undefined && { body: stream }) }
  }

  private async answered(call: MinioCall, ended: FirstAbort): Promise<MinioAnswer> {
    let isStream = false
    try {
      const { stream, ...answer } = await this.settings.admin.handle(call, ended.signal)
      if (stream === undefined) return answer
      isStream = true
      return { ...answer, stream: piecesOf(stream, ended) }
    } finally {
      if (!isStream) ended.release()
    }
  }

  errorOf(failure: Failure): MinioError {
    return minioErrorOf(failure)
  }

  errorAnswer(error: MinioError, { requestId, rawTarget }: FailedRequest<MinioRoute>): PlainAnswer {
    const { rawPath } = splitTarget(rawTarget)
    return answerOf(error.status, "application/json", errorBody(error, rawPath, requestId), requestId)
  }
}

const answerOf = (status: number, contentType: string, body: Uint8Array, requestId: string): PlainAnswer => ({
  status,
  headers: ["content-type", contentType, "x-amz-request-id", requestId, "cache-control", "no-store"],
  body,
})

/** Releases the signal after the stream. If its client leaves before the first piece, the signal has fired. */
async function* piecesOf(stream: AsyncIterable<Uint8Array>, ended: FirstAbort): AsyncGenerator<Uint8Array> {
  try {
    yield* stream
  } finally {
    ended.release()
  }
}

/** The frame, whose streams end when the port closes. */
class Ending implements Protocol {
  private readonly closing = new AbortController()
  private readonly frame: SignedFrame<MinioRoute, MinioError>

  constructor(settings: GuestSettings) {
    this.frame = new SignedFrame(settings, new MinioAdminProtocol(settings, this.closing.signal))
  }

  accountOf(head: Pick<Exchange, "rawTarget" | "headers">): string | undefined {
    return this.frame.accountOf(head)
  }

  handle(exchange: Exchange): Promise<void> {
    return this.frame.handle(exchange)
  }

  refuse(refusal: Refusal): PlainAnswer {
    return this.frame.refuse(refusal)
  }

  stop(): void {
    this.closing.abort()
    this.frame.stop()
  }
}

export const minioAdminGuest = (settings: GuestSettings): Guest => ({
  speaks: exchange =>
    asksForMinioAdmin({ rawTarget: exchange.rawTarget, header: name => exchange.header(name) }, settings.domains),
  protocol: new Ending(settings),
})
