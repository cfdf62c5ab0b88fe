/** A request and everything known about it so far; errors report it. */
import type { ReceivedRequest } from "../access/index.js"
import { Remembered } from "../base/remembered.js"
import type { RequestHeaders } from "../base/request-headers.js"
import { parseQuery } from "../base/uri.js"
import type { Exchange } from "../http/index.js"
import type { Caller } from "./caller.js"
import type { Verdict } from "./cross-origin.js"
import type { Operation, Resource } from "./operations.js"
import type { Permissions } from "./rights/permissions.js"
import { Query } from "./wire/query.js"
import { bucketOfHost, parseTarget, type S3Target } from "./wire/target.js"

export class S3Request {
  /** Headers as sent, plus those that a presigned URL carries in its query. */
  headers: RequestHeaders
  target: S3Target | undefined
  query: Query | undefined
  operation: Operation | undefined
  /** Headers for cross-origin pages in every answer. */
  crossOrigin: Verdict | undefined
  caller: Caller | undefined
  /** The caller's permissions. */
  permissions: Permissions | undefined
  /** Start of authentication; undefined before and after. */
  authSinceMs: number | undefined
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
  }
}

/** The parts of a request that do not depend on its caller. */
export interface Addressed {
  readonly target: S3Target
  readonly query: Query
}

/** Parses the targets of requests. Clients use the same hosts and queries repeatedly. */
export class Addresses {
  private readonly queries = new Remembered(rawQuery => new Query(parseQuery(rawQuery)))
  private readonly hosts: Remembered<string | undefined>

  constructor(domains: readonly string[]) {
    this.hosts = new Remembered(host => bucketOfHost(host, domains))
  }

  /** Throws `invalidUri`. */
  targetOf({ rawTarget, headers }: Exchange): S3Target {
    const host = headers.get("host") ?? ""
    return parseTarget(rawTarget, host, this.hosts.of(host))
  }

  /** Throws `invalidUri`. */
  queryOf({ rawQuery }: S3Target): Query {
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
