/** Requests to a handler without a server: thousands of them run in seconds. */
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import type { HttpAnswer, Exchange, Protocol } from "@hayloft/protocols/http/index.js"

const noSignal = new AbortController().signal
const shapes = new HeaderShapes()
export interface HandlerRequest {
  readonly method: string
  readonly rawTarget: string
  readonly rawHeaders: readonly string[]
  readonly body?: Uint8Array
  /** The body is withheld until this resolves. */
  readonly bodyComes?: Promise<void>
  /** The client's address. */
  readonly from?: string
  readonly tlsVersion?: string
}

export interface Told {
  readonly answer: HttpAnswer | undefined
  readonly notes: Readonly<Record<string, unknown>>
  /** The handler did not answer synchronously. */
  readonly waited: boolean
}

/** Passes a request to a handler and records its response. */
export async function ask(
  handler: Protocol,
  { method, rawTarget, rawHeaders, body = new Uint8Array(), bodyComes, from = "", tlsVersion }: HandlerRequest,
  comes: "with the head" | "later" = "with the head",
): Promise<Told> {
  let arrived = comes === "later" ? undefined : body
  let answer: HttpAnswer | undefined
  let [notes, meters] = [{}, 0]
  const headers = shapes.ofFlat(rawHeaders)
  const exchange: Exchange = {
    requestId: "0123456789ABCDEF",
    method,
    rawTarget,
    headers,
    remoteAddress: from,
    tlsVersion,
    contentLength: headers.get("content-length") === undefined ? undefined : body.length,
    chunkedTransfer: false,
    signal: noSignal,
    timing: { add: () => undefined, measure: (_stage, work) => work() },
    get answered() {
      return answer !== undefined
    },
    header: name => headers.get(name),
    async *body() {
      await bodyComes
      if (body.length > 0) yield body
    },
    get wholeBody() {
      return arrived
    },
    gather: async () => {
      await bodyComes
      return (arrived = body)
    },
    note: fields => void (notes = { ...notes, ...fields }),
    about: () => undefined,
    countIn: () => void (meters += 1),
    paceBy: () => undefined,
    pause: begin => new Promise<void>(resolve => begin(resolve) ?? resolve()),
    turn: () => Promise.resolve(),
    proveAccount: () => undefined,
    denyAccount: () => undefined,
    payer: { account: undefined, address: from },
    pausedMs: 0,
    // The rest of the body is ignored once the response has ended, the same as on a connection.
    respond: async given => {
      const pieces: Uint8Array[] = []
      const { body } = given
      if (body instanceof Uint8Array) pieces.push(body.slice())
      else if (body !== undefined) for await (const piece of body) pieces.push(piece.slice())
      answer = body === undefined ? given : { ...given, body: Buffer.concat(pieces) }
    },
  }
  const handling = handler.handle(exchange)
  const waited = answer === undefined
  await handling
  return { answer, notes: { ...notes, meters }, waited }
}
