/** One port for two protocols: what is for IAM and STS goes there, everything else to the port's own. */
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

  /** Also of what was no request at all, which nobody can tell apart. */
  refuse(refusal: Refusal): PlainAnswer {
    return this.own.refuse(refusal)
  }
}
