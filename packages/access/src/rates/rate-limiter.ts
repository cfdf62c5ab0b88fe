/**
 * Rate limiter: applies the limits of accounts and access keys to the requests of all protocols of a node.
 *
 * A request enters once its signature has been verified, so that nobody can use up the rate of another.
 * Promises  A request beyond a limit is refused before it costs more than its signature, and counts for none of its
 *           limits. It is answered after `refusedAfterMs`: a client that repeats refused requests at once would take more
 *           from the others than one that is served. Bytes are paced, not refused: a request that waits has no place, and what it holds is freed if its
 *           client goes away. A changed limit applies to the next request. Requests without limits cost nothing.
 * Refuses   `rateExceeded`.
 * Limits    `RATE_BOUNDS` for each account and key, of which `HOLDERS_MAX` are remembered: the one that was used least
 *           recently is forgotten, with its counts. Nothing survives a restart.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Counter, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { HeldLimits } from "../contract.js"
import { HolderRates, RATE_BOUNDS, type Cancel } from "./rate-limits-core.js"

const HOLDERS_MAX = 10_000
/** Accounts and keys with counters of their own in metrics; further ones are counted together. */
const METERED_MAX = 500
const SECOND_MS = 1_000

/** Paces the bodies of one exchange. */
interface Pacer {
  /** Asks to begin with a body of this many bytes that has arrived: undefined if now, else `go` is called later. */
  begin(bytes: number, go: () => void): Cancel | undefined
  /** The same for a piece of a body. */
  move(bytes: number, go: () => void): Cancel | undefined
}

/** The parts of an exchange that it uses. */
interface PacedExchange {
  paceBy(pacer: Pacer): Soon<void>
  countIn(meter: { count(): void }): void
}

/** An account or key whose limits were used, on this node since its start: plain data. */
export interface RateReport {
  readonly holder: HeldLimits["holder"]
  readonly id: string
  readonly refused: number
  /** Requests and pieces of bodies that had to wait. */
  readonly paced: number
  readonly waiting: number
}

interface Holder {
  readonly of: HeldLimits
  readonly rates: HolderRates
  cancelAlarm: (() => void) | undefined
}

export class RateLimiter {
  private readonly holders = new Map<string, Holder>()
  private readonly refused: Counter
  private readonly paced: Counter
  private readonly metered = new Set<string>()

  constructor(
    private readonly clock: Clock,
    metrics: Metrics,
    /** The nodes that share each limit. */
    private readonly liveNodes: () => number,
  ) {
    const whose = "of accounts and keys with limits"
    this.refused = metrics.counter("hayloft_rate_limit_refused_total", `Requests ${whose} that were refused`)
    this.paced = metrics.counter("hayloft_rate_limit_paced_total", `Requests and pieces of bodies ${whose} that waited`)
  }

  /** Throws `rateExceeded`, after a while. Resolves once the request may begin, or its client has gone. */
  enter(limited: readonly HeldLimits[] | undefined, exchange: PacedExchange): Soon<void> {
    if (limited === undefined) return undefined
    const nowMs = this.clock.monotonicMs()
    const nodes = this.liveNodes()
    const holders = limited.map(held => this.holderOf(held, nodes, nowMs))
    for (const holder of holders) {
      const waitMs = holder.rates.untilRequest(nowMs)
      if (waitMs === 0) continue
      this.refused.add(this.labelsOf(holder))
      return this.refuse(holder, exchange, fail("rateExceeded", { retryAfterSeconds: Math.ceil(waitMs / SECOND_MS) }))
    }
    for (const { rates } of holders) rates.countRequest(nowMs)
    const pacing = new Pacing(this, holders)
    exchange.countIn({ count: () => pacing.end() })
    return exchange.paceBy(pacing)
  }

  private refuse({ rates }: Holder, exchange: PacedExchange, refusal: Failure): Soon<void> {
    rates.refused += 1
    if (!rates.mayHoldRefusal) throw refusal
    rates.heldRefusals += 1
    const begin = (_bytes: number, go: () => void): Cancel => this.clock.alarm(RATE_BOUNDS.refusedAfterMs, go)
    return after(exchange.paceBy({ begin, move: () => undefined }), () => {
      rates.heldRefusals -= 1
      throw refusal
    })
  }

  report(): readonly RateReport[] {
    return [...this.holders.values()].map(({ of, rates }) => ({
      holder: of.holder,
      id: of.id,
      refused: rates.refused,
      paced: rates.paced,
      waiting: rates.waiting,
    }))
  }

  /** Does what one holder does with the time, then sets an alarm for what still waits. */
  do<T>(holder: Holder, act: (rates: HolderRates, nowMs: number) => T): T {
    const { rates } = holder
    const pacedBefore = rates.paced
    const result = act(rates, this.clock.monotonicMs())
    if (rates.paced > pacedBefore) this.paced.add(this.labelsOf(holder), rates.paced - pacedBefore)
    this.setAlarm(holder)
    return result
  }

  private setAlarm(holder: Holder): void {
    if (holder.cancelAlarm !== undefined) return
    const waitMs = holder.rates.untilWake(this.clock.monotonicMs())
    if (waitMs === undefined) return
    holder.cancelAlarm = this.clock.alarm(waitMs, () => {
      holder.cancelAlarm = undefined
      this.do(holder, (rates, nowMs) => rates.wake(nowMs))
    })
  }

  private holderOf(of: HeldLimits, nodes: number, nowMs: number): Holder {
    const name = `${of.holder} ${of.id}`
    const holder = this.holders.get(name) ?? { of, rates: new HolderRates(), cancelAlarm: undefined }
    if (holder.rates.setLimits(of.limits, nodes, nowMs)) {
      holder.cancelAlarm?.()
      holder.cancelAlarm = undefined
      this.setAlarm(holder)
    }
    this.holders.delete(name)
    this.holders.set(name, holder)
    if (this.holders.size > HOLDERS_MAX) this.forgetOne()
    return holder
  }

  private forgetOne(): void {
    for (const [name, { rates }] of this.holders) {
      if (!rates.isIdle) continue
      this.holders.delete(name)
      return
    }
  }

  private labelsOf({ of: { holder, id } }: Holder): { readonly holder: string; readonly id: string } {
    const name = `${holder} ${id}`
    if (!this.metered.has(name) && this.metered.size >= METERED_MAX) return { holder, id: "(other)" }
    this.metered.add(name)
    return { holder, id }
  }
}

/** One request under the limits of its holders: it passes each of them in turn. */
class Pacing implements Pacer {
  private readonly begun: Holder[] = []

  constructor(
    private readonly limiter: RateLimiter,
    private readonly holders: readonly Holder[],
  ) {}

  begin(bytes: number, go: () => void): Cancel | undefined {
    return inTurn(
      [
        ...this.holders.map(holder => (next: () => void) => {
          const note = () => void this.begun.push(holder)
          const then = () => {
            note()
            next()
          }
          const cancel = this.limiter.do(holder, (rates, nowMs) => rates.begin(nowMs, then))
          if (cancel === undefined) note()
          return cancel
        }),
        next => this.move(bytes, next),
      ],
      go,
    )
  }

  move(bytes: number, go: () => void): Cancel | undefined {
    if (bytes === 0) return undefined
    const steps = this.holders.map(
      holder => (next: () => void) => this.limiter.do(holder, (rates, nowMs) => rates.move(bytes, nowMs, next)),
    )
    return inTurn(steps, go)
  }

  /** The request is done. */
  end(): void {
    for (const holder of this.begun.splice(0)) this.limiter.do(holder, (rates, nowMs) => rates.end(nowMs))
  }
}

type Step = (next: () => void) => Cancel | undefined

/** Takes one step after the other; undefined if none waits, else `go` is called after the last. */
function inTurn(steps: readonly Step[], go: () => void): Cancel | undefined {
  const waits: { cancel?: Cancel | undefined } = {}
  const takeFrom = (first: number): boolean => {
    for (const [i, step] of steps.entries()) {
      if (i < first) continue
      waits.cancel = step(() => {
        if (takeFrom(i + 1)) go()
      })
      if (waits.cancel !== undefined) return false
    }
    return true
  }
  return takeFrom(0) ? undefined : () => waits.cancel?.()
}
