/**
 * Supervision: runs background services until the signal, and restarts those that fail.
 *
 * Promises  Resolves once the signal has fired and all services have ended. A failed service is restarted after
 *           a back-off that doubles up to `RESTART_LIMITS.mostMs` and is reset once the service has run for
 *           `HEALTHY_AFTER_MS`. A service that resolves has done its work.
 * Refuses   To continue after an `AssertionError`: a bug has led to a state that must not occur, so all services
 *           are stopped and the error is thrown; restarting the process is the safe recovery.
 * Limits    `SERVICES_MAX` run concurrently.
 */
import { setMaxListeners } from "node:events"
import { assert, AssertionError } from "../assert.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Random } from "../seams/random/contract.js"
import type { Log } from "../seams/telemetry/contract.js"
import { JOBS_MAX } from "./job-runner.js"
import type { BackgroundService } from "./contract.js"
import { mapBounded } from "./map-bounded.js"

const RESTART_LIMITS = { firstMs: 200, mostMs: 60_000 } as const
const HEALTHY_AFTER_MS = 60_000
const SERVICES_MAX = 1_000
/** Listeners on the shared signal: each service rests on it, and services that run jobs listen once for each job. */
const STOP_LISTENERS_MAX = SERVICES_MAX + JOBS_MAX

export async function supervise(
  backgroundServices: readonly BackgroundService[],
  clock: Clock,
  random: Random,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  assert(backgroundServices.length <= SERVICES_MAX, "at most SERVICES_MAX background services")
  const stop = new AbortController()
  setMaxListeners(STOP_LISTENERS_MAX, stop.signal)
  const onAbort = (): void => stop.abort(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener("abort", onAbort)
  const mistakes: AssertionError[] = []

  const keepAlive = async (service: BackgroundService, jitter: Random): Promise<void> => {
    for (let failures = 0; !stop.signal.aborted;) {
      const startedMs = clock.monotonicMs()
      try {
        await service.run(stop.signal)
        if (!stop.signal.aborted) log.info("service_done", { service: service.name })
        return
      } catch (error) {
        if (error instanceof AssertionError) {
          log.error("service_assertion_failed", { service: service.name, error: error.stack ?? error.message })
          mistakes.push(error)
          stop.abort(error)
          return
        }
        if (stop.signal.aborted) return
        failures = clock.monotonicMs() - startedMs >= HEALTHY_AFTER_MS ? 1 : failures + 1
        const waitMs = backoffMs(failures, RESTART_LIMITS, jitter)
        log.error("service_failed", { service: service.name, failures, waitMs, error: String(error) })
        await clock.sleep(waitMs, stop.signal)
      }
    }
  }

  try {
    await mapBounded(backgroundServices, SERVICES_MAX, service => keepAlive(service, random.fork(service.name)))
  } finally {
    signal.removeEventListener("abort", onAbort)
  }
  if (mistakes[0] !== undefined) throw mistakes[0]
}

interface BackoffLimits {
  readonly firstMs: number
  readonly mostMs: number
}

/**
 * Returns the wait after the given number of consecutive failures (1, 2, …): half of it fixed, half random, so that
 * failures that happened together are not retried together (Brooker, "Exponential backoff and jitter", 2015).
 */
export function backoffMs(failuresInARow: number, limits: BackoffLimits, random: Random): number {
  const fullMs = Math.min(limits.mostMs, limits.firstMs * 2 ** Math.min(failuresInARow - 1, 30))
  return fullMs / 2 + random.below(Math.ceil(fullMs / 2) + 1)
}
