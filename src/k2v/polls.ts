/**
 * Polls: requests that wait until something has changed.
 *
 * Promises  A poll looks for what its client has not seen before it waits, so that a client which was away misses nothing.
 *           While it waits it has no place among the requests that the server works on. It ends with its client, its
 *           time, or the server.
 * Limits    `POLL_SECONDS`; how many wait: `ITEM_LIMITS.watchersMax`.
 */
import type { Exchange } from "../http/index.js"
import type { Watcher } from "../object/index.js"
import type { Clock } from "../seams/clock/contract.js"

const POLL_SECONDS = { first: 1, usual: 300, most: 600 } as const

/** As Garage does: a longer time is the longest, and no time the shortest. */
export const pollSeconds = (asked: number | undefined): number =>
  Math.min(Math.max(asked ?? POLL_SECONDS.usual, POLL_SECONDS.first), POLL_SECONDS.most)

/** Paces bodies: what `exchange.paceBy` was last told. */
export type Move = (bytes: number, go: () => void) => (() => void) | undefined

export interface PollTerms {
  readonly exchange: Pick<Exchange, "paceBy" | "signal">
  readonly seconds: number
  /** The pace of the caller's account, for the answer. */
  readonly move: Move
}

export class Polls {
  private isStopping = false
  /** Each ends a wait. */
  private readonly waits = new Set<() => void>()

  constructor(private readonly clock: Clock) {}

  /**
   * The first answer that `look` finds. Undefined: there was none in time, the client has gone, or the server stops.
   * The caller has begun the watcher; it is ended here.
   */
  async until<T>({ exchange, seconds, move }: PollTerms, watcher: Watcher, look: () => Promise<T | undefined>) {
    const untilMs = this.clock.monotonicMs() + 1_000 * seconds
    let isChanged = false
    let go = (): void => undefined
    watcher.wake = () => {
      isChanged = true
      go()
    }
    try {
      for (;;) {
        isChanged = false
        const found = await look()
        const leftMs = untilMs - this.clock.monotonicMs()
        if (found !== undefined || leftMs <= 0 || this.isStopping || exchange.signal.aborted) return found
        await exchange.paceBy({
          move,
          begin: (_bytes, resume) => {
            if (isChanged) return undefined
            go = once(resume)
            this.waits.add(go)
            const cancelAlarm = this.clock.alarm(leftMs, go)
            return () => cancelAlarm()
          },
        })
        this.waits.delete(go)
      }
    } finally {
      this.waits.delete(go)
      watcher.end()
    }
  }

  /** All waits end now, and no others begin. */
  stop(): void {
    this.isStopping = true
    for (const end of [...this.waits]) end()
  }
}

function once(call: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    call()
  }
}
