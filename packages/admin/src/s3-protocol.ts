/**
 * S3 on the admin port: `/v1/s3/BUCKET/KEY?…` is the request `/BUCKET/KEY?…` of S3, by the caller that the port has recognized, instead of a
 * signature. Refusals of the admin port are JSON, answers of S3 are its own.
 *
 * Promises  The callers, and what browsers are checked for, are those of the other operations. Tokens need the scope `all`.
 *           What somebody has uploaded can never act as a page of the console: a browser shows it without scripts and as of
 *           another origin, and gets none of it as a script, style, worker or plugin. Answers to GET are kept by no cache.
 *           CORS rules of buckets do not apply here: no page of another origin may use this port.
 */
import type { ConsoleHolder } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { HeaderShapes, type RequestHeaders } from "@hayloft/base/http/request-headers.js"
import {
  ChangedExchange,
  type Exchange,
  type PlainAnswer,
  type Protocol,
  type Refusal,
} from "@hayloft/protocols/http/index.js"
import type { Callers } from "./callers.js"
import { headOf, respond } from "./protocol.js"
import { errorReply } from "./replies.js"
import { S3_PREFIX } from "./s3-path.js"

/** S3 for a caller who is known already. Answers through the exchange, or throws. */
interface S3Requests {
  handle(exchange: Exchange, holder: ConsoleHolder, again: () => Promise<ConsoleHolder>): Promise<void>
  /** Answers the requests that wait. */
  stop(): void
}

/** The answers are documents of their own, of no origin, that run nothing; other sites get nothing. */
const PROTECTED = [
  "Content-Security-Policy",
  "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'",
  "X-Content-Type-Options",
  "nosniff",
  "Cross-Origin-Resource-Policy",
  "same-origin",
  "Referrer-Policy",
  "no-referrer",
]

/** HEAD shows the Cache-Control that the object has. */
const NOT_KEPT = ["Cache-Control", "no-store"]

/**
 * The purposes for which a browser may use an object: `fetch`, a picture or a film, or a page or frame that runs
 * nothing.
 */
const DESTINATIONS = new Set(["empty", "image", "audio", "video", "document", "iframe"])

/** Headers that name the sender of the request, or a page of another origin: S3 is to know nothing of them. */
const DROPPED = new Set(["authorization", "cookie", "origin"])

export class S3OfCallers implements Protocol {
  private readonly shapes = new HeaderShapes()

  constructor(
    private readonly callers: Pick<Callers, "require">,
    private readonly requests: S3Requests,
    /** The protocol of the port. */
    private readonly port: Protocol,
  ) {}

  stop(): void {
    this.requests.stop()
  }

  async handle(exchange: Exchange): Promise<void> {
    let admitted: Awaited<ReturnType<S3OfCallers["admit"]>>
    try {
      admitted = await this.admit(exchange)
    } catch (error) {
      await respond(exchange, errorReply(error, "unknown"))
      return
    }
    await this.requests.handle(admitted.exchange, admitted.holder, async () => (await this.callerOf(exchange)).holder)
  }

  refuse(refusal: Refusal): PlainAnswer {
    return this.port.refuse(refusal)
  }

  /** Throws what the caller may not do. */
  private async admit(exchange: Exchange): Promise<{ exchange: Exchange; holder: ConsoleHolder }> {
    if (exchange.method === "OPTIONS") throw fail("methodNotAllowed", { allowed: "GET, HEAD, PUT, POST, DELETE" })
    checkDestination(exchange.header("sec-fetch-dest"))
    const { holder, setCookie } = await this.callerOf(exchange)
    const rest = exchange.rawTarget.slice(S3_PREFIX.length)
    const rawTarget = rest.startsWith("/") ? rest : `/${rest}`
    const kept = exchange.method === "GET" ? NOT_KEPT : []
    const more = [...PROTECTED, ...kept, ...(setCookie === undefined ? [] : ["set-cookie", setCookie])]
    return { holder, exchange: new ChangedExchange(exchange, { rawTarget, headers: this.headersOf(exchange), more }) }
  }

  private async callerOf(exchange: Exchange): ReturnType<Callers["require"]> {
    const caller = await this.callers.require(headOf(exchange))
    const { holder } = caller
    if (holder.kind === "token" && !holder.token.scopes.includes("all"))
      throw fail("outOfScope", { message: `the token "${holder.token.name}" lacks the scope all` })
    return caller
  }

  private headersOf({ headers }: Exchange): RequestHeaders {
    const flat = headers.flat()
    const kept = headers.shape.names.flatMap((name, i) =>
      DROPPED.has(name) ? [] : [flat[2 * i] ?? "", flat[2 * i + 1] ?? ""],
    )
    return this.shapes.ofFlat(kept)
  }
}

/** Throws `accessForbidden`. Clients that are no browsers do not say. */
function checkDestination(destination: string | undefined): void {
  if (destination === undefined || DESTINATIONS.has(destination)) return
  const message = `objects are no part of the console: a page must not use one as ${destination.slice(0, 40)}`
  throw fail("accessForbidden", { message })
}
