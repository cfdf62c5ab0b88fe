/**
 * Traces: the timed steps (spans) of a request, over all nodes that it concerns.
 *
 * A request that is not traced has no span: every caller checks for undefined, and nothing else is done.
 * The context that calls to other nodes carry has 25 bytes: trace id (16), span id (8), flags (1), as in the header
 * `traceparent` (W3C Trace Context).
 */
import { recover, after, type Soon } from "./soon.js"

export type SpanFacts = Readonly<Record<string, string | number | boolean | undefined>>

/** A step under way. It must be ended. */
export interface Span {
  /** 32 hex digits. */
  readonly traceId: string
  /** The context that a call to another node carries. */
  readonly context: Uint8Array
  /** Begins a step of this one. */
  begin(name: string, facts?: SpanFacts): Span
  end(outcome?: { readonly facts?: SpanFacts; readonly error?: unknown }): void
}

/** The headers of a request about the trace that it belongs to. */
interface TraceHeaders {
  readonly traceParent: string | undefined
  readonly traceState: string | undefined
  /** It is traced whatever the sampling says. */
  readonly isForced: boolean
}

export interface Tracer {
  /** @returns undefined if the request is not traced. */
  beginRequest(name: string, headers: TraceHeaders): Span | undefined
  /** Begins a step of a call from another node. Undefined for a context that is not one. */
  beginCall(name: string, context: Uint8Array): Span | undefined
}

export const TRACE_CONTEXT_BYTES = 25

/** Does the work in a step of `parent`. */
export const traced = <T>(parent: Span, name: string, facts: SpanFacts, work: (span: Span) => Soon<T>): Soon<T> =>
  during(parent.begin(name, facts), work)

/** Does the work of a step, and ends it. */
export function during<T>(span: Span, work: (span: Span) => Soon<T>): Soon<T> {
  return recover(
    () =>
      after(work(span), (result): Soon<T> => {
        span.end()
        return result
      }),
    error => {
      span.end({ error })
      throw error
    },
  )
}
