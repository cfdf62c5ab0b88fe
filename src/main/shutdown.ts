/**
 * Forced shutdown of a process whose disk calls hang: `process.exit` waits forever for the threads of such calls. Once
 * everything else has ended, only a signal ends the process.
 */
import type { Clock } from "../seams/clock/contract.js"

/** Time limit for slow threads and file calls. */
const GRACE_MS = 1_000
const POLL_MS = 50

/** Whether this process has file calls in progress. */
const hasFileCalls = (): boolean => process.getActiveResourcesInfo().some(name => name.startsWith("FSReq"))

/** Whether something still keeps the process from ending after the grace period. */
export async function isHeldUp(clock: Clock, threadsLeft: () => number): Promise<boolean> {
  const untilMs = clock.monotonicMs() + GRACE_MS
  const isBusy = (): boolean => hasFileCalls() || threadsLeft() > 0
  while (isBusy() && clock.monotonicMs() < untilMs) await clock.sleep(POLL_MS, new AbortController().signal)
  return isBusy()
}

/** Ends the process by a signal, which also determines its exit code. */
export const endByForce = (): boolean => process.kill(process.pid, "SIGKILL")
