/** Port router: one port for several protocols. Each guest recognizes its own requests; all others are the host's. */
import type { Soon } from "../base/soon.js"
import type { Exchange, PlainAnswer, Protocol, Refusal } from "../http/index.js"

export interface Guest {
  readonly protocol: Protocol
  /** Returns true if a request is for this protocol. */
  readonly speaks: (exchange: Exchange) => boolean
}

export class PortRouter implements Protocol {
  constructor(
    private readonly guests: readonly Guest[],
    private readonly own: Protocol,
  ) {}

  handle(exchange: Exchange): Soon<void> {
    const guest = this.guests.find(({ speaks }) => speaks(exchange))
    return (guest?.protocol ?? this.own).handle(exchange)
  }

  accountOf(exchange: Exchange): string | undefined {
    return this.own.accountOf?.(exchange)
  }

  stop(): void {
    for (const { protocol } of this.guests) protocol.stop?.()
    this.own.stop?.()
  }

  /** Also used for malformed requests, whose protocol is unknown. */
  refuse(refusal: Refusal): PlainAnswer {
    return this.own.refuse(refusal)
  }
}
