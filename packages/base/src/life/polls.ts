/**
 * Polls: requests that wait until something has changed.
 *
 * Promises  A poll looks for what its client has not seen before it waits, so that a client which was away misses nothing.
 *           While it waits it has no place among the requests that the server works on. It ends with its client, its
 *           time, or the server. A caller who has lost a right while it waited is shown nothing that happened since.
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

interface Wait {
  /** The caller of `until` has begun it; it is ended there. */
  readonly watcher: Watcher
  readonly seconds: number
  /** Returns false if the rights that the request was let in by have changed. */
  readonly isStillAllowed: () => Soon<boolean>
}

/**
 * Waits for the first answer that `look` finds. Undefined: there was none in time, the caller's rights have changed, the
 * client has gone, or the server stops. The watcher is ended.
 */
export type Until = <T>(watcher: Watcher, seconds: number, look: () => Soon<T | undefined>) => Promise<T | undefined>

export class Polls {
  private isStopping = false
  /** Each ends a wait. */
  private readonly waits = new Set<() => void>()

  constructor(private readonly clock: Clock) {}

  /** See `Until`. */
  async until<T>(
    request: Waiting,
    { watcher, seconds, isStillAllowed }: Wait,
    look: () => Soon<T | undefined>,
  ): Promise<T | undefined> {
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
        // The next request of such a caller is told why.
        if (!(await isStillAllowed())) return undefined
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
