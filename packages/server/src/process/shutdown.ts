/**
 * Shutdown: when the ports of a process close, and when requests in progress are cut.
 *
 * Order     `stop` fires: the store is no longer ready, so that load balancers send requests elsewhere, but serves as
 *           before for `drainMs`. `closing` fires: the S3 and website ports close, and requests in progress have
 *           `stopMs` to finish; then the admin port closes. `cut` fires: connections that are left are closed.
 * Promises  Once `hurry` has fired, nothing waits for clients: what would wait fires at once.
 */
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"

/** The reason why a process ends: requests of its operator. */
export interface StopRequests {
  readonly stop: AbortSignal
  readonly hurry: AbortSignal
}

/** Signals for ports. */
export interface PortSignals {
  readonly closing: AbortSignal
  readonly cut: AbortSignal
}

interface ShutdownTimes {
  readonly drainMs: number
  readonly stopMs: number
}

export function portSignals(
  { clock, log }: { readonly clock: Clock; readonly log: Log },
  { stop, hurry }: StopRequests,
  { drainMs, stopMs }: ShutdownTimes,
): PortSignals {
  const [closing, cut] = [new AbortController(), new AbortController()]
  const begin = async (): Promise<void> => {
    log.info("stopping", { drainSeconds: drainMs / 1000, stopTimeoutSeconds: stopMs / 1000 })
    await clock.sleep(drainMs, hurry)
    closing.abort()
    await clock.sleep(stopMs, hurry)
    cut.abort()
  }
  whenAborted(stop, () => void begin())
  return { closing: closing.signal, cut: cut.signal }
}

/** Calls once the signal has fired, immediately if it has. */
export function whenAborted(signal: AbortSignal, call: () => void): void {
  if (signal.aborted) call()
  else signal.addEventListener("abort", call, { once: true })
}

/** The service as one whose signal fires only after the others have ended too. */
export const endingAfter = (service: BackgroundService, others: Promise<unknown>): BackgroundService => ({
  name: service.name,
  run: signal => {
    const end = new AbortController()
    whenAborted(signal, () => void others.then(() => end.abort()))
    return service.run(end.signal)
  },
})
