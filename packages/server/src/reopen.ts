/**
 * Reopening: opens a store again, whose metadata has moved, or whose log has failed, while its clients wait.
 *
 * Promises  Tries again after each failure that time or an operator can end while the process runs: a port that is taken,
 *           a database or a disk that is away. Throws any other one, and so ends the process: its next start gives the
 *           same answer, and names the settings that are wrong.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure, type FailureKind, type Remedy } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

const RETRY_MS = 1_000
const THREADS_CHECK_MS = 50
const PASSING_REMEDIES: readonly Remedy[] = ["backOff", "reread", "addSpace"]
const PASSING_KINDS: readonly FailureKind[] = ["folderInUse", "devicesMissing", "invalidConfig", "incompatiblePeer"]

const mayPass = ({ kind, remedy }: Failure): boolean =>
  PASSING_REMEDIES.includes(remedy) || PASSING_KINDS.includes(kind)

/**
 * Closes the session, and resolves once every thread has ended that worked on its folders: until then such a thread may
 * still write to them. Rejects once the signal has fired.
 */
export async function closeWholly(
  clock: Clock,
  signal: AbortSignal,
  session: { close(): Promise<void>; readonly running: { threadsLeft(): number } },
): Promise<void> {
  await session.close()
  while (session.running.threadsLeft() > 0) {
    if (signal.aborted) throw fail("stopping")
    await clock.sleep(THREADS_CHECK_MS, signal)
  }
}

/**
 * Opens the store in the first of these ways that its devices do not refuse. `onFailure` is called before each wait for
 * another try. Throws the refusal if the devices refuse all ways, and any failure once the signal has fired.
 */
export async function openUntilOpen<Opened>(
  clock: Clock,
  signal: AbortSignal,
  ways: readonly (() => Promise<Opened>)[],
  onFailure: (failure: Failure) => void,
): Promise<Opened> {
  for (let way = 0; ;) {
    const open = must(ways[way], "there is a way")
    try {
      return await open()
    } catch (error) {
      if (isFailure(error, "metadataElsewhere") && way + 1 < ways.length) {
        way += 1
        continue
      }
      if (!isFailure(error) || !mayPass(error) || signal.aborted) throw error
      onFailure(error)
    }
    way = 0
    await clock.sleep(RETRY_MS, signal)
  }
}
