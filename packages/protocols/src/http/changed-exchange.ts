/**
 * An exchange as a protocol passes it to another one: with another target and other headers, and with more header lines in
 * its answers. Bodies, their back pressure, the place in the queue and the log line remain those of the exchange.
 */
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { RequestHeaders } from "@hayloft/base/http/request-headers.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Fields } from "@hayloft/base/seams/telemetry/contract.js"
import type { HttpAnswer, Exchange, Pacer, RequestMeter, RequestSubject, Timing } from "./contract.js"
import { HeaderLines } from "./header-lines.js"

interface ExchangeChange {
  readonly rawTarget: string
  readonly headers: RequestHeaders
  /** Headers of every answer, after its own: name, value, name, value … */
  readonly more: readonly string[]
  /** Rewrites the own headers of every answer. */
  readonly rewrite?: (headers: HeaderLines) => HeaderLines
}

export class ChangedExchange implements Exchange {
  readonly requestId: string
  readonly method: string
  readonly rawTarget: string
  readonly headers: RequestHeaders
  readonly remoteAddress: string
  readonly contentLength: number | undefined
  readonly chunkedTransfer: boolean
  readonly timing: Timing
  private readonly more: HeaderLines
  private readonly rewrite: (headers: HeaderLines) => HeaderLines

  constructor(
    private readonly inner: Exchange,
    { rawTarget, headers, more, rewrite }: ExchangeChange,
  ) {
    this.requestId = inner.requestId
    this.method = inner.method
    this.rawTarget = rawTarget
    this.headers = headers
    this.remoteAddress = inner.remoteAddress
    this.contentLength = inner.contentLength
    this.chunkedTransfer = inner.chunkedTransfer
    this.timing = inner.timing
    this.more = HeaderLines.of(more)
    this.rewrite = rewrite ?? (own => own)
  }

  get tlsVersion(): string | undefined {
    return this.inner.tlsVersion
  }

  get signal(): AbortSignal {
    return this.inner.signal
  }

  get answered(): boolean {
    return this.inner.answered
  }

  get wholeBody(): Uint8Array | undefined {
    return this.inner.wholeBody
  }

  get payer(): Exchange["payer"] {
    return this.inner.payer
  }

  get trace(): Exchange["trace"] {
    return this.inner.trace
  }

  get pausedMs(): number {
    return this.inner.pausedMs
  }

  header(name: string): string | undefined {
    return this.headers.get(name)
  }

  body(pieces?: PieceOwner): AsyncIterable<Uint8Array> {
    return this.inner.body(pieces)
  }

  gather(): Promise<Uint8Array> {
    return this.inner.gather()
  }

  note(fields: Fields): void {
    this.inner.note(fields)
  }

  about(subject: RequestSubject): void {
    this.inner.about(subject)
  }

  countIn(meter: RequestMeter): void {
    this.inner.countIn(meter)
  }

  proveAccount(): void {
    this.inner.proveAccount()
  }

  denyAccount(): void {
    this.inner.denyAccount()
  }

  paceBy(pacer: Pacer): Soon<void> {
    return this.inner.paceBy(pacer)
  }

  pause(begin: (go: () => void) => (() => void) | undefined): Soon<void> {
    return this.inner.pause(begin)
  }

  turn(): Promise<void> {
    return this.inner.turn()
  }

  respond(answer: HttpAnswer): Soon<void> {
    const { headers } = answer
    const own = headers instanceof HeaderLines ? headers : HeaderLines.of(headers)
    return this.inner.respond({ ...answer, headers: this.rewrite(own).and(this.more) })
  }
}
