/**
 * Metrics at MinIO's paths on the S3 port, for scrapers that are configured for MinIO.
 *
 * Promises  An object is never hidden from a client that S3 knows: only GET and HEAD of three exact paths without a query are
 *           recognized, with a bearer token, which S3 has no use for, or, if metrics are public, without any credentials.
 * Refuses   tokens that the root key has not signed. They are as `mc admin prometheus generate` makes them: HS512 over the key's
 *           id and an expiry, with its secret.
 */
import { createHmac } from "node:crypto"
import type { KnownAccessKey, SecretAttempts } from "@hayloft/access/index.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { asFailure, fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId, type AccessKeyId, type AccountId } from "@hayloft/base/ids.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import type { Exchange, Protocol } from "@hayloft/protocols/http/index.js"
import { bucketOfHost } from "@hayloft/protocols/s3/wire/target.js"
import type { Guest } from "../ports/port-router.js"
import { MINIO_METRICS, type MinioMetricsKind } from "./metrics-core.js"

type SigningKey = Pick<KnownAccessKey, "id" | "secret" | "isWholeRoot"> & {
  readonly account: Pick<KnownAccessKey["account"], "id">
}

interface MetricsParts {
  readonly clock: Pick<Clock, "wallMs">
  readonly accounts: {
    readonly secretOf: (id: AccessKeyId, token: undefined, nowMs: number) => Soon<SigningKey | undefined>
  }
  readonly attempts: Pick<SecretAttempts, "attempt">
  readonly rootAccount: AccountId
  /** Everybody may read them. */
  readonly isPublic: boolean
  readonly domains: readonly string[]
  /** Prometheus text. */
  readonly text: (kind: MinioMetricsKind) => Soon<string>
}

const PATHS: ReadonlyMap<string, MinioMetricsKind> = new Map(
  MINIO_METRICS.map(kind => [`/minio/v2/metrics/${kind}`, kind] as const),
)
const BEARER = /^Bearer +(\S+)$/i
const TOKEN_CHARACTERS_MAX = 4_096

export function asksForMetrics(
  { method, rawTarget, header }: Pick<Exchange, "method" | "rawTarget" | "header">,
  { isPublic, domains }: Pick<MetricsParts, "isPublic" | "domains">,
): boolean {
  const authorization = header("authorization")
  return (
    (method === "GET" || method === "HEAD") &&
    PATHS.has(rawTarget) &&
    (authorization === undefined ? isPublic : BEARER.test(authorization)) &&
    bucketOfHost(header("host") ?? "", domains) === undefined
  )
}

interface TokenClaims {
  readonly id: AccessKeyId
  /** Seconds since 1970. */
  readonly exp: number
}

function objectIn(part: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString("utf8"))
  return typeof value === "object" && value !== null ? { ...value } : {}
}

/** Throws `invalidToken`. */
function claimsOf(header: string, payload: string): TokenClaims {
  try {
    const { sub, exp } = objectIn(payload)
    if (objectIn(header)["alg"] === "HS512" && typeof exp === "number") return { id: parseAccessKeyId(sub), exp }
  } catch {
    // It is no JSON, or names no key.
  }
  throw fail("invalidToken", { message: "the token is none that `mc admin prometheus generate` makes" })
}

/** Throws `invalidToken`, `tokenExpired`, `accessDenied`, and `rateExceeded` after wrong ones. */
export async function checkToken(token: string, address: string, parts: MetricsParts): Promise<void> {
  const { clock, accounts, attempts, rootAccount } = parts
  const [header = "", payload = "", signature = "", ...more] = token.slice(0, TOKEN_CHARACTERS_MAX).split(".")
  const { id, exp } = claimsOf(header, payload)
  const nowMs = clock.wallMs()
  if (more.length > 0) throw fail("invalidToken")
  const key = await asPromise(() => accounts.secretOf(id, undefined, nowMs))
  const isRoot = key?.isWholeRoot === true && key.account.id === rootAccount
  if (key === undefined || !isRoot)
    throw fail("accessDenied", { message: "only the root key of the store signs tokens for metrics" })
  attempts.attempt({ address, id: key.id }, () => {
    const expected = createHmac("sha512", key.secret).update(`${header}.${payload}`).digest()
    if (equalBytes(expected, Buffer.from(signature, "base64url"))) return true
    throw fail("invalidToken", { message: "another secret has signed the token" })
  })
  if (exp * 1000 <= nowMs) throw fail("tokenExpired", { message: "the token for metrics has expired" })
}

/** `own`: the protocol of the port, which words the refusals. */
export function metricsGuest(parts: MetricsParts, own: Protocol): Guest {
  const answer = async (exchange: Exchange): Promise<void> => {
    exchange.note({ operation: "getMetrics" })
    const { requestId, rawTarget: target } = exchange
    try {
      const [, token] = BEARER.exec(exchange.header("authorization") ?? "") ?? []
      if (!parts.isPublic) await checkToken(token ?? "", exchange.remoteAddress, parts)
      const body = Buffer.from(await parts.text(PATHS.get(target) ?? "cluster"))
      const headers = ["content-type", "text/plain; version=0.0.4; charset=utf-8", "x-request-id", requestId]
      await exchange.respond({ status: 200, headers, body })
    } catch (error) {
      const failure = asFailure(error)
      exchange.note({ failure: failure.kind })
      await exchange.respond(own.refuse({ requestId, failure, status: undefined, target }))
    }
  }
  return {
    speaks: exchange =>
      asksForMetrics(
        { method: exchange.method, rawTarget: exchange.rawTarget, header: name => exchange.header(name) },
        parts,
      ),
    protocol: { handle: answer, refuse: refusal => own.refuse(refusal) },
  }
}
