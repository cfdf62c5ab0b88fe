/** The common part of the stand-ins of key services: troubles to order, JSON answers, and a server on loopback. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { PostAnswer, PostRequest } from "@hayloft/base/seams/web/contract.js"

/** Returns what a service does instead of its work, or undefined if it works. */
export type Trouble = (request: PostRequest) => Promise<PostAnswer> | undefined

export abstract class StandIn {
  /** All requests so far. */
  received = 0
  /** Requests without an answer yet, now and at most. */
  open = 0
  openMax = 0
  trouble: Trouble = () => undefined

  /** Answers like the real service. */
  readonly answer = async (request: PostRequest): Promise<PostAnswer> => {
    this.received += 1
    this.open += 1
    this.openMax = Math.max(this.openMax, this.open)
    try {
      return await (this.trouble(request) ?? this.work(request))
    } finally {
      this.open -= 1
    }
  }

  protected abstract work(request: PostRequest): PostAnswer
}

export const jsonAnswer = (status: number, value: unknown): PostAnswer => ({
  status,
  body: Buffer.from(JSON.stringify(value)),
})

export const hangs: Trouble = () => new Promise(() => undefined)

export const says =
  (status: number, body: string): Trouble =>
  () =>
    Promise.resolve({ status, body: Buffer.from(body) })

/** The members of a JSON body that are texts. */
export function textsOf(body: Uint8Array): ReadonlyMap<string, string> {
  const value: unknown = JSON.parse(Buffer.from(body).toString())
  const entries: [string, unknown][] = typeof value === "object" && value !== null ? Object.entries(value) : []
  return new Map(entries.flatMap(([name, member]) => (typeof member === "string" ? [[name, member] as const] : [])))
}

export interface Listening {
  readonly origin: string
  close(): Promise<void>
}

/** A server on loopback, at a free port unless one is given; with `tls`, over TLS. */
export async function listen(
  standIn: StandIn,
  { tls, port = 0 }: { tls?: { readonly cert: string; readonly key: string }; port?: number } = {},
): Promise<Listening> {
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    void answerTo(standIn, request, response, tls !== undefined)
  }
  const server: Server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve)
  await new Promise<void>(resolve => server.listen(port, "127.0.0.1", resolve))
  const address = server.address()
  const bound = typeof address === "object" ? (address?.port ?? 0) : 0
  return {
    origin: `${tls === undefined ? "http" : "https"}://127.0.0.1:${bound}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answerTo(
  standIn: StandIn,
  request: IncomingMessage,
  response: ServerResponse,
  isTls: boolean,
): Promise<void> {
  const pieces: Uint8Array[] = []
  const arriving: AsyncIterable<Uint8Array> = request
  for await (const piece of arriving) pieces.push(piece)
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
  const url = `${isTls ? "https" : "http"}://${request.headers.host ?? ""}${request.url ?? ""}`
  const body = Buffer.concat(pieces)
  const answer = await standIn.answer({ url, headers, body, authorities: undefined })
  response.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body)
}
