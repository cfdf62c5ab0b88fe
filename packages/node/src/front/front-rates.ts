/**
 * Front rates: limits of accounts and keys, for requests of front threads. The engine thread applies them, with those of its
 * own requests: a front asks it before a request that has limits begins, and before each piece of a body that is limited.
 *
 * Promises  An account gets its limit, no more and no less, whichever threads its connections are at; what waits goes on in the
 *           order of its arrival in the engine thread. The requests of a front that has ended wait for nothing, and none
 *           waits for them. A request without limits asks nothing.
 * Limits    One call under way for each request.
 */
import type { HeldLimits, RateLimiter } from "@hayloft/access/index.js"
import { asFailure, type Failure } from "@hayloft/base/failures.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { reading, type ThreadLink } from "@hayloft/engine/thread/index.js"

type PacedExchange = Parameters<RateLimiter["enter"]>[1]
type Pacer = Parameters<PacedExchange["paceBy"]>[0]
type Begin = (go: () => void) => ReturnType<Pacer["begin"]>

interface Entering {
  /** A number of this front. */
  readonly id: number
  readonly limited: readonly HeldLimits[]
  /** The length of its body, if that has arrived. */
  readonly bytes: number
}

interface Moving {
  readonly id: number
  readonly bytes: number
}

const RATE_METHODS = {
  /** Answers once the request may begin. Throws `rateExceeded`, after a while. */
  enter: reading<Entering, void>("enter rates"),
  /** Answers once the bytes may move. */
  move: reading<Moving, void>("move bytes"),
  /** The request with this id is done, or its client has gone: it waits for nothing any more. */
  leave: reading<number, void>("leave rates"),
} as const

/** A request of a front, in the engine thread. */
class EnteredRequest implements PacedExchange {
  private pacer: Pacer | undefined
  private done: () => void = () => undefined
  /** Ends the present wait. */
  private cancel: () => void = () => undefined

  constructor(private readonly bytes: number) {}

  paceBy(pacer: Pacer): Soon<void> {
    this.pacer = pacer
    return this.waited(go => pacer.begin(this.bytes, go))
  }

  countIn(meter: { count(): void }): void {
    this.done = () => meter.count()
  }

  move(bytes: number): Soon<void> {
    return this.waited(go => this.pacer?.move(bytes, go))
  }

  leave(): void {
    this.cancel()
    this.done()
  }

  private waited(begin: Begin): Soon<void> {
    let go = (): void => undefined
    const cancel = begin(() => go())
    if (cancel === undefined) return undefined
    return new Promise(resolve => {
      go = resolve
      this.cancel = () => {
        cancel()
        resolve()
      }
    })
  }
}

/** Applies the limits to the requests of a front, in the engine thread. Before the link starts. */
export function serveRates(link: ThreadLink, rates: Pick<RateLimiter, "enter">): void {
  const entered = new Map<number, EnteredRequest>()
  const leave = (id: number): void => {
    const request = entered.get(id)
    entered.delete(id)
    request?.leave()
  }
  link.handle(RATE_METHODS.enter, async ({ id, limited, bytes }) => {
    const request = new EnteredRequest(bytes)
    entered.set(id, request)
    try {
      await rates.enter(limited, request)
    } catch (error) {
      entered.delete(id)
      throw error
    }
  })
  link.handle(RATE_METHODS.move, ({ id, bytes }) => entered.get(id)?.move(bytes))
  link.handle(RATE_METHODS.leave, leave)
  void link.ended.then(() => {
    for (const id of entered.keys()) leave(id)
  })
}

/** Calls `go` after the wait, unless the result was called: the client has gone, and the request leaves. */
function waiting(wait: Promise<void>, go: () => void): () => void {
  let isOver = false
  void wait.then(() => {
    if (!isOver) go()
  })
  return () => {
    isOver = true
  }
}

/** The limits as a front applies them: by asking the engine thread. */
export class FrontRates implements Pick<RateLimiter, "enter"> {
  private lastId = 0

  constructor(private readonly link: Pick<ThreadLink, "call">) {}

  /** See `RateLimiter.enter`. */
  enter(limited: readonly HeldLimits[] | undefined, exchange: PacedExchange): Soon<void> {
    if (limited === undefined) return undefined
    this.lastId += 1
    const id = this.lastId
    const isPaced = limited.some(({ limits }) => limits.bytesPerSecond !== undefined)
    const refused: { failure?: Failure } = {}
    exchange.countIn({ count: () => this.leave(id) })
    const begin = (bytes: number, go: () => void): (() => void) => {
      const entering = this.link.call(RATE_METHODS.enter, { id, limited, bytes }).catch((error: unknown) => {
        refused.failure = asFailure(error)
      })
      return waiting(entering, go)
    }
    const move = (bytes: number, go: () => void): (() => void) | undefined => {
      if (!isPaced || bytes === 0) return undefined
      // Its thread ends if the engine thread cannot be asked.
      const moving = this.link.call(RATE_METHODS.move, { id, bytes }).catch(() => undefined)
      return waiting(moving, go)
    }
    return after(exchange.paceBy({ begin, move }), () => {
      if (refused.failure !== undefined) throw refused.failure
    })
  }

  private leave(id: number): void {
    this.link.call(RATE_METHODS.leave, id).catch(() => undefined)
  }
}
