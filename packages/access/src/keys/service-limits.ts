/** Limits of calls to external key services. */
import { KIB, MIB } from "@hayloft/base/limits.js"

export const KMS_LIMITS = {
  /** For one attempt, and for a call with all its attempts and its time in the queue. */
  attemptMs: 2_000,
  callMs: 5_000,
  attemptsMax: 2,
  /** Between two attempts, for a service that is just restarting. */
  pauseMs: 100,
  callsMax: 64,
  /** Further calls are refused at once. */
  waitingMax: 1_000,
  /** So many failed attempts one after another: the service counts as unreachable. */
  failuresMax: 5,
  /** One call for each such time is tried while it does. */
  probeEveryMs: 5_000,
  answerBytesMax: 64 * KIB,
  /** Opened data keys in memory, of all services together. */
  cachedKeysMax: 10_000,
  /** Files of credentials and certificates are read again after so long. */
  fileFreshMs: 1_000,
  fileBytesMax: 1 * MIB,
  /** At most one alarm about refused credentials in this time. */
  alarmEveryMs: 60_000,
} as const
