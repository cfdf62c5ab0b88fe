/**
 * Switchable protocol: a port whose store is exchanged behind it while it listens.
 *
 * Promises  Between `hold` and `use` no request reaches a store: requests wait, and are served by the next store, or
 *           refused with `stopping` (503 with Retry-After) after `holdMs`.
 * Limits    SWITCH_LIMITS; the server limits how many requests wait.
 */
import { fail } from "@hayloft/base/failures.js"
import { NEVER } from "@hayloft/base/never.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Exchange, PlainAnswer, Protocol, Refusal } from "@hayloft/protocols/http/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { within } from "@hayloft/base/seams/clock/within.js"

const SWITCH_LIMITS = {
  /** Requests under way may end before their store does; longer ones are refused, and sent again by their clients. */
  drainMs: 5_000,
  /** A request waits for the next store so long. */
  holdMs: 20_000,
  checkMs: 5,
} as const

interface Gate {
  readonly opened: Promise<void>
  readonly open: () => void
  readonly sinceMs: number
}

export class SwitchableProtocol implements Protocol {
  private underWay = 0
  private gate: Gate | undefined

  constructor(
    private current: Protocol,
    private readonly clock: Clock,
  ) {}

  accountOf(exchange: Exchange): string | undefined {
    return this.current.accountOf?.(exchange)
  }

  refuse(refusal: Refusal): PlainAnswer {
    return this.current.refuse(refusal)
  }

  stop(): void {
    this.current.stop?.()
  }

  handle(exchange: Exchange): Soon<void> {
    if (this.gate !== undefined) return this.handleLater(exchange, this.gate)
    const handling = this.current.handle(exchange)
    if (handling === undefined) return undefined
    this.underWay += 1
    return handling.finally(() => void (this.underWay -= 1))
  }

  private async handleLater(exchange: Exchange, gate: Gate): Promise<void> {
    const leftMs = Math.max(0, gate.sinceMs + SWITCH_LIMITS.holdMs - this.clock.monotonicMs())
    await within(this.clock, leftMs, gate.opened)
    if (this.gate === gate)
      throw fail("stopping", { message: "the store is being opened again; try again in a moment" })
    await this.handle(exchange)
  }

  /** Holds new requests back; resolves once those under way have ended, or had their time. */
  async hold(): Promise<void> {
    const sinceMs = this.clock.monotonicMs()
    let open = (): void => undefined
    const opened = new Promise<void>(resolve => (open = resolve))
    this.gate = { opened, open, sinceMs }
    while (this.underWay > 0 && this.clock.monotonicMs() < sinceMs + SWITCH_LIMITS.drainMs) {
      await this.clock.sleep(SWITCH_LIMITS.checkMs, NEVER)
    }
  }

  /** Requests go to this store from now on, also those that wait. */
  use(next: Protocol): void {
    const { gate } = this
    this.current.stop?.()
    this.current = next
    this.gate = undefined
    gate?.open()
  }
}
