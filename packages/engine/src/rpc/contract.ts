/**
 * Calls between nodes: a method has a number and codecs, a call has a class, a deadline and possibly bodies in both
 * directions.
 *
 * Promises  Each call is answered once, or fails with a `Failure` that tells whether it may have happened:
 *           `peerUnreachable` means that it changed nothing, `indeterminate` that it may have. Failures that the method
 *           itself throws arrive as they are; a kind that this version does not know arrives as `indeterminate`.
 *           A caller's own signal rejects with that signal's reason, and then the call may have happened.
 */
import type { Span } from "@hayloft/base/trace.js"
import type { LentBytes } from "@hayloft/base/memory/pieces.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { CallClass, Hello } from "../format/nodes/frame.js"
import type { IncomingBody } from "./incoming-body.js"

export interface Codec<T> {
  /** `version`: of the frames that both nodes speak; undefined: the newest. */
  encode(value: T, version?: number): Uint8Array
  /** Throws a `Failure` on anything that `encode` does not write. The bytes must not be kept. */
  decode(bytes: Uint8Array): T
}

export interface RpcMethod<Request, Response> {
  /** On the wire; never reused for another meaning. */
  readonly number: number
  /** For logs and metrics. */
  readonly name: string
  /** A call may change something: if not, a lost answer is `peerUnreachable`. */
  readonly changes: boolean
  readonly request: Codec<Request>
  readonly response: Codec<Response>
}

/** Bytes to send. Each piece that was drawn is given back once, when it is sent or not needed any more. */
export interface RpcBodySource {
  /** The length is undefined if it is unknown until the end. */
  readonly lengthBytes: number | undefined
  /** Pieces of any length; each must stay unchanged until it is given back. */
  readonly pieces: Iterable<LentBytes> | AsyncIterable<LentBytes>
  /** Called once, when no piece will be drawn any more, also if none ever was. */
  close?(): void
}

export interface RpcAnswer<Response> {
  readonly value: Response
  readonly body?: RpcBodySource
}

/** A call as its method sees it. */
export interface ServedCall {
  readonly callClass: CallClass
  readonly body: IncomingBody
  readonly peer: PeerIdentity
  /** Fires when the caller cancels, the deadline passes or the connection is lost. */
  readonly signal: AbortSignal
}

export interface PeerIdentity {
  readonly hello: Hello
  readonly fingerprint: string | undefined
}

export type Handler<Request, Response> = (request: Request, call: ServedCall) => Soon<RpcAnswer<Response>>

export interface CallOptions {
  readonly callClass: CallClass
  readonly deadlineMs: number
  readonly signal?: AbortSignal
  readonly body?: RpcBodySource
  /** The span of the request that the call is for, if that is traced. */
  readonly trace?: Span | undefined
}

export interface Answered<Response> {
  readonly value: Response
  /** To be read to its end, or discarded: until then the call takes a place. */
  readonly body: IncomingBody
}

/** A node as it introduces itself. */
export type OwnHello = Pick<Hello, "storeId" | "incarnation" | "node">
