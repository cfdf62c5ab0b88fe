/** The admin API as a protocol of the HTTP server: exchanges in, replies out, refusals as JSON errors. */
import { readBody, type Exchange, type PlainAnswer, type Protocol, type Refusal } from "../http/index.js"
import type { AdminApi } from "./api.js"
import { errorReply, type AdminReply } from "./replies.js"

export class AdminProtocol implements Protocol {
  constructor(private readonly api: AdminApi) {}

  async handle(exchange: Exchange): Promise<void> {
    const reply = await this.api.handle({
      method: exchange.method,
      rawTarget: exchange.rawTarget,
      from: { requestId: exchange.requestId, address: exchange.remoteAddress },
      header: name => exchange.header(name),
      body: bytesMax => readBody(exchange, bytesMax),
    })
    const { operation, failure } = reply
    exchange.note(failure === undefined ? { operation } : { operation, failure: failure.kind, reason: failure.message })
    await exchange.respond(answerOf(reply, exchange.requestId))
  }

  refuse({ requestId, failure, status }: Refusal): PlainAnswer {
    const reply = errorReply(failure)
    return answerOf(status === undefined ? reply : { ...reply, status }, requestId)
  }
}

function answerOf({ status, headers, body }: AdminReply, requestId: string): PlainAnswer {
  return { status, headers: [...Object.entries(headers).flat(), "x-request-id", requestId], body }
}
