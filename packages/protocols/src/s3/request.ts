/** A request and everything known about it so far; errors report it. */
import type { ReceivedRequest, VerifiedRequest } from "@hayloft/access/index.js"
import type { Failure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { Remembered } from "@hayloft/base/remembered.js"
import type { RequestHeaders } from "@hayloft/base/http/request-headers.js"
import type { Span } from "@hayloft/base/trace.js"
import { parseQuery } from "@hayloft/base/http/uri.js"
import type { Exchange, RequestSubject } from "../http/index.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { S3Caller } from "./caller.js"
import type { CrossOriginVerdict } from "./cross-origin.js"
import type { S3Operation, Resource } from "./operations.js"
import type { Permissions } from "./rights/permissions.js"
import { RequestQuery } from "./wire/query.js"
import { bucketOfHost, parseTarget, type S3Target } from "./wire/target.js"

export class S3Request implements RequestSubject {
  /** Headers as sent, plus those that a presigned URL carries in its query. */
  headers: RequestHeaders
  target: S3Target | undefined
  query: RequestQuery | undefined
  operation: S3Operation | undefined
  /** Headers for cross-origin pages in every answer. */
  crossOrigin: CrossOriginVerdict | undefined
  caller: S3Caller | undefined
  /** The caller's permissions. */
  permissions: Permissions | undefined
  /** Start of authentication; undefined before and after. */
  authSinceMs: number | undefined
  /** The span of authentication, if the request is traced. */
  authSpan: Span | undefined
  /** Its bucket, once the caller was let in. */
  admitted: Bucket | undefined
  failure: Failure | undefined
  /** Its log fields have been added. */
  isNoted = false
  /**
   * The request has not waited for anything since it arrived. Only then may its answer borrow memory: while a promise
   * is pending, other requests are served and borrow the same memory.
   */
  isWithinTurn = true

  constructor(
    readonly exchange: Exchange,
    readonly nowMs: number,
  ) {
    this.headers = exchange.headers
    exchange.about(this)
  }

  get bucketName(): string | undefined {
    const name = this.target?.bucket
    return name === undefined ? undefined : textOfObjectKey(name)
  }

  get keyText(): string | undefined {
    const rawKey = this.target?.rawKey
    return rawKey === undefined ? undefined : textOfObjectKey(rawKey)
  }

  get accountId(): string | undefined {
    return this.caller?.account?.id
  }

  get admittedTo(): string | undefined {
    return this.admitted?.name
  }

  get bucketOwner(): string | undefined {
    return this.admitted?.owner
  }

  get requester(): string | undefined {
    const principal = this.caller?.principal
    if (principal?.kind === "user") return principal.arn
    return principal?.kind === "session" ? principal.sessionArn : this.accountId
  }

  get signature(): RequestSubject["signature"] {
    const { version, form } = this.caller?.request ?? {}
    return version && form && { version, form }
  }
}

/** The parts of a request that do not depend on its caller. */
export interface Addressed {
  readonly target: S3Target
  readonly query: RequestQuery
}

/** Parses the targets of requests. Clients use the same hosts and queries repeatedly. */
export class Addresses {
  private readonly queries = new Remembered(rawQuery => new RequestQuery(parseQuery(rawQuery)))
  private readonly hosts: Remembered<string | undefined>

  /** `domains` undefined: the bucket is always in the path. */
  constructor(domains: readonly string[] | undefined) {
    this.hosts = new Remembered(host => domains && bucketOfHost(host, domains))
  }

  /** Throws `invalidUri`. */
  targetOf({ rawTarget, headers }: Exchange): S3Target {
    const host = headers.get("host") ?? ""
    return parseTarget(rawTarget, host, this.hosts.of(host))
  }

  /** Returns the address that the signature covers: each `+` of its path or query may be a space. Throws `invalidUri`. */
  signed({ headers }: Exchange, sent: Addressed, { spaced }: Pick<VerifiedRequest, "spaced">): Addressed {
    if (spaced === undefined) return sent
    const host = headers.get("host") ?? ""
    const target = { ...parseTarget(spaced.rawPath, host, this.hosts.of(host)), rawQuery: spaced.rawQuery }
    return { target, query: this.queryOf(target) }
  }

  /** Throws `invalidUri`. */
  queryOf({ rawQuery }: S3Target): RequestQuery {
    return this.queries.of(rawQuery)
  }
}

/** The parts of a request that its signature covers. */
export function receivedOf({ method, headers }: Exchange, { target, query }: Addressed): ReceivedRequest {
  const { rawPath, rawQuery } = target
  return { method, rawPath, rawQuery, parameters: query.parameters, headers }
}

export const resourceOf = ({ bucket, rawKey }: S3Target): Resource =>
  bucket === undefined ? "service" : rawKey === undefined ? "bucket" : "object"
