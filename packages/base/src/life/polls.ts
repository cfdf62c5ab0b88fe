/**
 * Polls: requests that wait until something has changed.
 *
 * Promises  A poll looks for what its client has not seen before it waits, so that a client which was away misses nothing.
 *           While it waits it has no place among the requests that the server works on. It ends with its client, its
 *           time, or the server.
 * Limits    How many wait is up to what makes their watchers.
 */
import type { Soon } from "../soon.js"
import type { Clock } from "../seams/clock/contract.js"

/** Tells of changes of one thing. Who begins it ends it. */
export interface Watcher {
  /** Called for each change, and perhaps without one, until the watcher has ended. */
  wake: () => void
  end(): void
}

/** A request that can wait without a place: see `Exchange.pause`. */
interface Waiting {
  readonly signal: AbortSignal
  pause(begin: (go: () => void) => (() => void) | undefined): Soon<void>
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
  async until<T>(request: Waiting, seconds: number, watcher: Watcher, look: () => Soon<T | undefined>) {
    const untilMs = this.clock.monotonicMs() + 1_000 * seconds
    let isChanged = false
    let go = (): void => undefined
    let cancelAlarm = (): void => undefined
    watcher.wake = () => {
      isChanged = true
      go()
    }
    try {
      for (;;) {
        isChanged = false
        const found = await look()
        const leftMs = untilMs - this.clock.monotonicMs()
        if (found !== undefined || leftMs <= 0 || this.isStopping || request.signal.aborted) return found
        await request.pause(resume => {
          if (isChanged) return undefined
          go = once(resume)
          this.waits.add(go)
          return (cancelAlarm = this.clock.alarm(leftMs, go))
        })
        cancelAlarm()
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
