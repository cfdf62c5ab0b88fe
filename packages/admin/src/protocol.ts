/** The admin API as a protocol of the HTTP server: exchanges in, replies out, refusals as JSON errors. */
import {
  readBody,
  type Exchange,
  type PlainAnswer,
  type Protocol,
  type Refusal,
} from "@hayloft/protocols/http/index.js"
import type { AdminApi } from "./api.js"
import type { AdminHead } from "./contract.js"
import { errorReply, type AdminReply } from "./replies.js"

export class AdminProtocol implements Protocol {
  constructor(private readonly api: AdminApi) {}

  async handle(exchange: Exchange): Promise<void> {
    const reply = await this.api.handle({
      ...headOf(exchange),
      signal: exchange.signal,
      body: bytesMax => readBody(exchange, bytesMax),
    })
    await respond(exchange, reply)
  }

  /** The server accepts no more requests, or another store serves them: streams end. */
  stop(): void {
    this.api.stop()
  }

  refuse({ requestId, failure, status }: Refusal): PlainAnswer {
    const reply = errorReply(failure, "unknown")
    return answerOf(status === undefined ? reply : { ...reply, status }, requestId)
  }
}

export const headOf = (exchange: Exchange): AdminHead => ({
  method: exchange.method,
  rawTarget: exchange.rawTarget,
  isEncrypted: exchange.tlsVersion !== undefined,
  from: { requestId: exchange.requestId, address: exchange.remoteAddress },
  header: name => exchange.header(name),
})

export async function respond(exchange: Exchange, reply: AdminReply): Promise<void> {
  const { operation, failure } = reply
  exchange.note(failure === undefined ? { operation } : { operation, failure: failure.kind, reason: failure.message })
  const answer = answerOf(reply, exchange.requestId)
  await exchange.respond(reply.stream === undefined ? answer : { ...answer, body: reply.stream })
}

function answerOf({ status, headers, cookies = [], body }: AdminReply, requestId: string): PlainAnswer {
  const cookieLines = cookies.flatMap(cookie => ["set-cookie", cookie])
  return { status, headers: [...Object.entries(headers).flat(), ...cookieLines, "x-request-id", requestId], body }
}
