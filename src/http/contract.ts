/**
 * What the server and a protocol ask of each other.
 *
 * Texts of requests and answers are byte strings (one character, 0-255, a byte): targets, header
 * names and values are what the wire carried, or will carry.
 */
import type { Failure } from "../base/failures.js"
import type { PieceOwner } from "../base/pieces.js"
import type { Soon } from "../base/soon.js"
import type { HeaderLines } from "./header-lines.js"
import type { Fields } from "../seams/telemetry/contract.js"
import type { RequestHeaders } from "../base/request-headers.js"

/** Where the time of a request goes, as `Server-Timing` shows it. */
export type Stage = "auth" | "meta" | "data"

export interface Timing {
  add(stage: Stage, durationMs: number): void
  /** Runs the work and adds how long it took, also when it throws. */
  measure<T>(stage: Stage, work: () => Promise<T>): Promise<T>
}

export interface Answer {
  readonly status: number
  /** Name, value, name, value … Values with control characters or characters above 0xFF are refused. */
  readonly headers: readonly string[] | HeaderLines
  /**
   * A piece of a stream belongs to the server until the next one is asked for: then it has been handed
   * over. One after which none is asked for must never be written to again.
   */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>
  /** The body's bytes are gone when `respond` has returned: what is not handed over by then has to be copied. */
  readonly isLent?: true
  /**
   * Bytes of a streamed body, or of the body that a HEAD leaves out. A stream without it goes out in
   * chunks.
   */
  readonly contentLength?: number
}

export interface PlainAnswer extends Answer {
  readonly headers: readonly string[]
  readonly body: Uint8Array
}

/** Counts requests that have something in common besides their server. */
export interface RequestMeter {
  /** When a request is over. `status` 0: it got no answer. */
  count(status: number, receivedBytes: number, sentBytes: number): void
}

/** One request and the answer to it. */
export interface Exchange {
  /** 16 hex digits in upper case. */
  readonly requestId: string
  readonly method: string
  readonly rawTarget: string
  /** Name, value, name, value … in the order of the wire. */
  readonly rawHeaders: readonly string[]
  readonly headers: RequestHeaders
  readonly remoteAddress: string
  /** `1.3`; undefined where it did not come over TLS. */
  readonly tlsVersion: string | undefined
  /** Declared length of the body; undefined where none is declared. */
  readonly contentLength: number | undefined
  /** `Transfer-Encoding: chunked`. */
  readonly chunkedTransfer: boolean
  /** Fires when the client is gone, or the server gives the request up. */
  readonly signal: AbortSignal
  readonly timing: Timing
  /** True once the status line is on its way: no other answer is possible. */
  readonly answered: boolean
  /** The header's value, repeated ones joined by ","; name in lower case. */
  header(name: string): string | undefined
  headersAll(name: string): readonly string[]
  /**
   * The body, once. Opening it sends `100 Continue` where the client waits for that; the client is
   * held back while nobody asks for more. Throws `incompleteBody` where it ends early,
   * `requestTimeout` where it comes too slowly, `invalidRequest` where its framing is broken.
   * Pieces that stay the reader's are gone when the next one is asked for.
   */
  body(pieces?: PieceOwner): AsyncIterable<Uint8Array>
  /** The body where all of it has come with the head, as it does for most small ones; it may be opened all the same. */
  readonly wholeBody: Uint8Array | undefined
  /**
   * Opens a body of a declared, small length and takes all of it in: from then on it is `wholeBody`, and may be
   * opened as if it had come with the head. Throws what a body that is read does.
   */
  gather(): Promise<Uint8Array>
  /** Fields for the request's log line: `operation` (which metrics show too), `failure` and whatever helps. Never a secret. */
  note(fields: Fields): void
  /** Has the request counted there too, when it is over. */
  countIn(meter: RequestMeter): void
  /**
   * Answers, once, and resolves when the last byte has been handed over or the client is gone; undefined
   * where that is so already.
   * A stream that throws before its first piece leaves the request unanswered; one that throws later
   * breaks the connection, so that a short body never looks whole. Both reject with what it threw.
   */
  respond(answer: Answer): Soon<void>
}

/** What was no request, or could not be served: for an answer in the protocol's own words. */
export interface Refusal {
  readonly requestId: string
  readonly failure: Failure
  /** Set where HTTP itself decides the status (400, 408, 431). */
  readonly status: number | undefined
  readonly target: string
}

export interface Protocol {
  /**
   * The account that the head of a request names, known and not verified; asked only of a busy server, which shares its
   * places out between accounts. Must not throw. Absent, or undefined: it counts by its address.
   */
  accountOf?(exchange: Exchange): string | undefined
  /** Answers through the exchange, or throws; what it throws is answered by `refuse`. Undefined: it is all done. */
  handle(exchange: Exchange): Soon<void>
  /** Must not throw. */
  refuse(refusal: Refusal): PlainAnswer
}
