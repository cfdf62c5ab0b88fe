/** Port router: one port for two protocols. Routes IAM and STS requests to their service, all others to S3. */
import type { Soon } from "../base/soon.js"
import type { Exchange, PlainAnswer, Protocol, Refusal } from "../http/index.js"
import { speaksIam } from "../iam/index.js"

export class PortRouter implements Protocol {
  constructor(
    private readonly iam: Protocol,
    private readonly own: Protocol,
  ) {}

  handle(exchange: Exchange): Soon<void> {
    return (speaksIam(exchange) ? this.iam : this.own).handle(exchange)
  }

  accountOf(exchange: Exchange): string | undefined {
    return this.own.accountOf?.(exchange)
  }

  /** Also used for malformed requests, whose protocol is unknown. */
  refuse(refusal: Refusal): PlainAnswer {
    return this.own.refuse(refusal)
  }
}
