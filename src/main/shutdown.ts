/**
 * Ending a process on whose disks calls hang: `process.exit` waits for the threads that they hold, and so
 * for ever. Once all that can be ended has ended, only a signal helps.
 */
import type { Clock } from "../seams/clock/contract.js"

/** Threads and file calls that are merely slow have this long. */
const GRACE_MS = 1_000
const LOOK_MS = 50

/** File calls of this process that are under way. */
const hasFileCalls = (): boolean => process.getActiveResourcesInfo().some(name => name.startsWith("FSReq"))

/** Whether something is left, a while after the end, that keeps the process from ending. */
export async function isHeldUp(clock: Clock, threadsLeft: () => number): Promise<boolean> {
  const untilMs = clock.monotonicMs() + GRACE_MS
  const isBusy = (): boolean => hasFileCalls() || threadsLeft() > 0
  while (isBusy() && clock.monotonicMs() < untilMs) await clock.sleep(LOOK_MS, new AbortController().signal)
  return isBusy()
}

/** The exit code is then that of the signal. */
export const endByForce = (): boolean => process.kill(process.pid, "SIGKILL")
