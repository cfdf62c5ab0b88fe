/**
 * The contract between the server and a protocol.
 *
 * Texts of requests and responses are byte strings (one character, 0-255, for each byte): targets, header
 * names and values hold exactly the bytes on the wire.
 */
import type { Failure } from "@hayloft/base/failures.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Payer } from "@hayloft/base/places-core.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { HeaderLines } from "./header-lines.js"
import type { Fields } from "@hayloft/base/seams/telemetry/contract.js"
import type { RequestHeaders } from "@hayloft/base/http/request-headers.js"

/** The stages into which `Server-Timing` splits the time of a request. */
export type TimingStage = "auth" | "meta" | "data"

export interface Timing {
  add(stage: TimingStage, durationMs: number): void
  /** Runs the work and adds its duration, also when it throws. */
  measure<T>(stage: TimingStage, work: () => Promise<T>): Promise<T>
}

export interface HttpAnswer {
  readonly status: number
  /** Name, value, name, value … The server rejects values with control characters or characters above 0xFF. */
  readonly headers: readonly string[] | HeaderLines
  /**
   * The server owns a piece of a stream until it requests the next one, after the piece has been sent.
   * The last requested piece must never be written to again.
   */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>
  /** The body's memory is reused once `respond` has returned: bytes not sent by then must be copied. */
  readonly isLent?: true
  /**
   * Length of a streamed body, or of the body that a HEAD omits. A stream without it is sent in
   * chunks.
   */
  readonly contentLength?: number
}

export interface PlainAnswer extends HttpAnswer {
  readonly headers: readonly string[]
  readonly body: Uint8Array
}

/** The knowledge of a protocol about its request. It is read when the request is done, and only if someone watches. */
export interface RequestSubject {
  /** The bucket and the key that the request names, as text. */
  readonly bucketName?: string | undefined
  readonly keyText?: string | undefined
  /** The account whose signature was verified. */
  readonly accountId?: string | undefined
  /** The bucket, if the caller was let in to it. */
  readonly admittedTo?: string | undefined
  /** The owner of that bucket. */
  readonly bucketOwner?: string | undefined
  /** The account or the ARN of the user or session whose signature was verified. */
  readonly requester?: string | undefined
  readonly signature?: SignatureKind | undefined
  /** The reason why it failed, if it did. */
  readonly failure?: Failure | undefined
}

/** How a request was signed. */
interface SignatureKind {
  readonly version: "AWS" | "AWS4-HMAC-SHA256"
  readonly form: "header" | "query" | "form"
}

/** A request that is done. Valid only during the call that it is passed to. */
export interface FinishedRequest {
  readonly requestId: string
  readonly method: string
  readonly rawTarget: string
  /** `1.1`, `1.0`. */
  readonly httpVersion: string
  /** The status is undefined if the request got no response. */
  readonly status: number | undefined
  /** The fields that the protocol has noted for the request's log line. */
  readonly notes: Fields
  readonly subject: RequestSubject | undefined
  readonly remoteAddress: string
  readonly tlsVersion: string | undefined
  /** The cipher by its OpenSSL name; undefined without TLS, or if the connection is closed. */
  readonly tlsCipher: string | undefined
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly clientGone: boolean
  /** The part of the request's time in which it waited for something to change (`Exchange.pause`). */
  readonly polledMs: number
  readonly timing: {
    readonly totalMs: number
    /** From the head of the request to the response, without the time in which the body arrived; undefined without one. */
    readonly turnaroundMs: number | undefined
    /** `authMs`, `metaMs`, `dataMs` as far as time was spent on them, and `totalMs`. */
    fields(): Readonly<Record<string, number>>
  }
  header(name: string): string | undefined
  /** The value of a header of the response; `name` in lower case. */
  answerHeader(name: string): string | undefined
}

/** Learns of every request of a server that is done. Must not throw, and costs each request what it does. */
export interface RequestWatch {
  finished(server: string, request: FinishedRequest): void
}

/** Counts a group of requests across servers. */
export interface RequestMeter {
  /** Called when a request is done. `status` 0: it got no response. */
  count(status: number, receivedBytes: number, sentBytes: number): void
}

/** Decides when the bodies of an exchange move. */
export interface Pacer {
  /**
   * Asks whether the request may begin, with a body of `bytes` that has arrived: undefined if it may, else `go` is
   * called later, unless the returned function is called first.
   */
  begin(bytes: number, go: () => void): (() => void) | undefined
  /** The same for a piece of a body, in either direction. */
  move(bytes: number, go: () => void): (() => void) | undefined
}

/** One request and its response. Its payer is the account whose signature was verified, else the address. */
export interface Exchange extends Payer {
  /** 16 hex digits in upper case. */
  readonly requestId: string
  readonly method: string
  readonly rawTarget: string
  readonly headers: RequestHeaders
  readonly remoteAddress: string
  /** `1.3`; undefined without TLS. */
  readonly tlsVersion: string | undefined
  /** Declared length of the body; undefined if none is declared. */
  readonly contentLength: number | undefined
  /** `Transfer-Encoding: chunked`. */
  readonly chunkedTransfer: boolean
  /** Fires when the client disconnects, or the server aborts the request. */
  readonly signal: AbortSignal
  readonly timing: Timing
  /** True once the status line has been sent: no other response is possible. */
  readonly answered: boolean
  /** The header's value, repeated ones joined by ","; `name` in lower case. */
  header(name: string): string | undefined
  /**
   * The body; may be opened once. Opening it sends `100 Continue` if the client waits for that; back pressure
   * applies while no reader requests more. Throws `incompleteBody` if it ends early,
   * `requestTimeout` if it arrives too slowly, `invalidRequest` if its framing is broken.
   * With the owner "reader", a piece is freed when the next one is requested.
   */
  body(pieces?: PieceOwner): AsyncIterable<Uint8Array>
  /** The body, if all of it arrived with the head, as most small ones do; it may still be opened. */
  readonly wholeBody: Uint8Array | undefined
  /**
   * Opens a body of a declared, small length and collects all of it: from then on it is `wholeBody`, and may be
   * opened as if it had arrived with the head. Throws the same failures as reading a body.
   */
  gather(): Promise<Uint8Array>
  /** Fields for the request's log line: `operation` (also a label of metrics), `failure` and more. Never a secret. */
  note(fields: Fields): void
  /** Takes what the protocol knows of the request; the members of `subject` may change until the request is done. */
  about(subject: RequestSubject): void
  /** The meter counts the request when it is done, once. */
  countIn(meter: RequestMeter): void
  /** The account that `accountOf` has named is the one that sent the request: it is charged for the load. */
  proveAccount(): void
  /** The request is refused because it may not do this, or has not shown who sent it: it may have named an account falsely. */
  denyAccount(): void
  /**
   * From now on its bodies move when the pacer lets them; resolves when the request may begin, or the client has gone. One
   * that was refused while its work went on is not paced any more.
   * While it waits for the pacer it has no place.
   */
  paceBy(pacer: Pacer): Soon<void>
  /**
   * Waits without a place until `go` is called, or the client has gone; then the function that `begin` returned is called,
   * unless `go` was. If `begin` returns undefined there is no wait.
   */
  pause(begin: (go: () => void) => (() => void) | undefined): Soon<void>
  /**
   * Resolves when the request may occupy the thread for milliseconds, which one request does in each turn of the event
   * loop. Throws `tooManyInFlight`.
   */
  turn(): Promise<void>
  /**
   * Sends the response, once; resolves when the last byte has been sent or the client has disconnected. Returns
   * undefined if that has happened already.
   * A stream that throws before its first piece leaves the request unanswered; one that throws later
   * breaks the connection, so that a short body never looks whole. Both reject with the stream's error.
   */
  respond(answer: HttpAnswer): Soon<void>
}

/** A malformed request, or one that could not be served: the protocol words the response. */
export interface Refusal {
  readonly requestId: string
  readonly failure: Failure
  /** Set if HTTP itself decides the status (400, 408, 431). */
  readonly status: number | undefined
  readonly target: string
}

export interface Protocol {
  /**
   * The account that the head of a request names, unverified. Only a busy server calls it, to share places between
   * accounts. Must not throw. If absent, or undefined, the request counts by its address.
   */
  accountOf?(head: Pick<Exchange, "rawTarget" | "headers">): string | undefined
  /** Answers through the exchange, or throws; `refuse` answers what it throws. @returns undefined if all is done. */
  handle(exchange: Exchange): Soon<void>
  /** Must not throw. */
  refuse(refusal: Refusal): PlainAnswer
  /** The server stops, and waits for the responses under way: those that would go on for ever end now. */
  stop?(): void
}
