/**
 * Supervision: runs living things until the signal, and starts again whichever fails.
 *
 * Promises  Resolves once the signal has fired and every one of them has ended. One that fails is run
 *           again after a back-off that doubles up to `RESTART_LIMITS.mostMs` and starts over once it
 *           has lived for `HEALTHY_AFTER_MS`. One that resolves by itself has done its work.
 * Refuses   To run on after an `AssertionError`: our own mistake leaves a state we said cannot be, so
 *           everything is stopped and the error thrown; starting the process again is the safe way on.
 * Limits    `LIVINGS_MAX` at once: all of them run, none waits for another to end.
 */
import { setMaxListeners } from "node:events"
import { assert, AssertionError } from "../base/assert.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Random } from "../seams/random/contract.js"
import type { Log } from "../seams/telemetry/contract.js"
import { backoffMs } from "./backoff.js"
import { JOBS_MAX } from "./job-runner.js"
import type { BackgroundService } from "./contract.js"
import { mapBounded } from "./map-bounded.js"

const RESTART_LIMITS = { firstMs: 200, mostMs: 60_000 } as const
const HEALTHY_AFTER_MS = 60_000
const SERVICES_MAX = 1_000
/** On the one signal that all of them share: each rests on it, and those that run jobs listen for every job. */
const STOP_LISTENERS_MAX = SERVICES_MAX + JOBS_MAX

export async function supervise(
  backgroundServices: readonly BackgroundService[],
  clock: Clock,
  random: Random,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  assert(backgroundServices.length <= SERVICES_MAX, "more living things than can run side by side")
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
        if (!stop.signal.aborted) log.info("livingDone", { service: service.name })
        return
      } catch (error) {
        if (error instanceof AssertionError) {
          log.error("livingMistaken", { service: service.name, error: error.stack ?? error.message })
          mistakes.push(error)
          stop.abort(error)
          return
        }
        if (stop.signal.aborted) return
        failures = clock.monotonicMs() - startedMs >= HEALTHY_AFTER_MS ? 1 : failures + 1
        const waitMs = backoffMs(failures, RESTART_LIMITS, jitter)
        log.error("livingFailed", { service: service.name, failures, waitMs, error: String(error) })
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
