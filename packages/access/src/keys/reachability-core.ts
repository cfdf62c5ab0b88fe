/**
 * Decides whether a key service counts as reachable: after some failures one after another it does not, and only one
 * call in a while is tried, so that requests fail at once instead of each waiting for the time limit. Pure (a circuit
 * breaker; Nygard, "Release It!", 2nd edition, chapter 5).
 */
import { KMS_LIMITS } from "./service-limits.js"

export interface Reachability {
  /** Failed attempts since the last answer. */
  readonly failures: number
  /** It is undefined while the service counts as reachable. */
  readonly unreachable: { readonly since: Moment; readonly reason: string; readonly nextProbeMs: number } | undefined
}

/** By both clocks: for people, and for measuring. */
export interface Moment {
  readonly wallMs: number
  readonly monotonicMs: number
}

export const REACHABLE: Reachability = { failures: 0, unreachable: undefined }

export function afterFailure(before: Reachability, reason: string, now: Moment): Reachability {
  const failures = before.failures + 1
  if (failures < KMS_LIMITS.failuresMax) return { failures, unreachable: undefined }
  const { since = now, nextProbeMs = nextProbeFrom(now) } = before.unreachable ?? {}
  return { failures, unreachable: { since, reason, nextProbeMs } }
}

/**
 * Returns whether a call may be tried now, and the state after that: while the service is unreachable the call that is
 * tried keeps the others away until the next one is due.
 */
export function admit(before: Reachability, now: Moment): { readonly isTried: boolean; readonly state: Reachability } {
  const { unreachable } = before
  if (unreachable === undefined) return { isTried: true, state: before }
  if (now.monotonicMs < unreachable.nextProbeMs) return { isTried: false, state: before }
  return { isTried: true, state: { ...before, unreachable: { ...unreachable, nextProbeMs: nextProbeFrom(now) } } }
}

const nextProbeFrom = ({ monotonicMs }: Moment): number => monotonicMs + KMS_LIMITS.probeEveryMs
