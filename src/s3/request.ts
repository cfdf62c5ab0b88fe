/** A request as far as it has been understood: errors say what is known of it. */
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
  /** As sent, and what a presigned URL carries in its query. */
  headers: RequestHeaders
  target: S3Target | undefined
  query: Query | undefined
  operation: Operation | undefined
  /** What every answer says to a page of another origin. */
  crossOrigin: Verdict | undefined
  caller: Caller | undefined
  /** What its caller may do. */
  permissions: Permissions | undefined
  /** Since when it is being learned who sends it; undefined before and after. */
  authSinceMs: number | undefined
  /** Its fields of the log line are there. */
  isNoted = false
  /**
   * Nothing has been waited for since it arrived. Only then may memory be borrowed for its answer: while a promise is
   * passed on, other requests are served, and borrow the same memory.
   */
  isWithinTurn = true

  constructor(
    readonly exchange: Exchange,
    readonly nowMs: number,
  ) {
    this.headers = exchange.headers
  }
}

/** The parts of a request that do not depend on who sends it. */
export interface Addressed {
  readonly target: S3Target
  readonly query: Query
}

/** Reads what requests address. Clients name the same hosts and queries again and again. */
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

/** A request as its signature covers it. */
export function receivedOf({ method, headers }: Exchange, { target, query }: Addressed): ReceivedRequest {
  const { rawPath, rawQuery } = target
  return { method, rawPath, rawQuery, parameters: query.parameters, headers }
}

export const resourceOf = ({ bucket, rawKey }: S3Target): Resource =>
  bucket === undefined ? "service" : rawKey === undefined ? "bucket" : "object"
