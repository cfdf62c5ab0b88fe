/** Port router: one port for several protocols. Each guest recognizes its own requests; all others are the host's. */
import type { Soon } from "@hayloft/base/soon.js"
import type { Exchange, PlainAnswer, Protocol, Refusal } from "@hayloft/protocols/http/index.js"

export interface Guest {
  readonly protocol: Protocol
  /** Returns true if a request is for this protocol. */
  readonly speaks: (exchange: Exchange) => boolean
}

export class PortRouter implements Protocol {
  private readonly protocols: readonly Protocol[]

  constructor(
    private readonly guests: readonly Guest[],
    private readonly own: Protocol,
  ) {
    this.protocols = [own, ...guests.map(({ protocol }) => protocol)]
  }

  handle(exchange: Exchange): Soon<void> {
    const guest = this.guests.find(({ speaks }) => speaks(exchange))
    return (guest?.protocol ?? this.own).handle(exchange)
  }

  /** The head alone does not tell the protocol; but a signature names its account alike in all of them. */
  accountOf(exchange: Pick<Exchange, "rawTarget" | "headers">): string | undefined {
    for (const protocol of this.protocols) {
      const account = protocol.accountOf?.(exchange)
      if (account !== undefined) return account
    }
    return undefined
  }

  stop(): void {
    for (const protocol of this.protocols) protocol.stop?.()
  }

  /** Also used for malformed requests, whose protocol is unknown. */
  refuse(refusal: Refusal): PlainAnswer {
    return this.own.refuse(refusal)
  }
}
