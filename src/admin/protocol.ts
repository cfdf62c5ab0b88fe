/** The admin API as a protocol of the HTTP server: exchanges in, its replies out, refusals as JSON errors. */
import { fail } from "../base/failures.js"
import type { Exchange, PlainAnswer, Protocol, Refusal } from "../http/contract.js"
import type { AdminApi } from "./api.js"
import { errorReply, type AdminReply } from "./replies.js"

export class AdminProtocol implements Protocol {
  constructor(private readonly api: AdminApi) {}

  async handle(exchange: Exchange): Promise<void> {
    const reply = await this.api.handle({
      method: exchange.method,
      rawTarget: exchange.rawTarget,
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

async function readBody(exchange: Exchange, bytesMax: number): Promise<Uint8Array> {
  if ((exchange.contentLength ?? 0) > bytesMax) throw fail("entityTooLarge", { bytesMax })
  const chunks: Uint8Array[] = []
  let lengthBytes = 0
  for await (const chunk of exchange.body()) {
    lengthBytes += chunk.length
    if (lengthBytes > bytesMax) throw fail("entityTooLarge", { bytesMax })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
