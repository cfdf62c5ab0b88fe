/** Limits of changes of the control record. */
export const COORDINATION_LIMITS = {
  /** Queued changes of the record. */
  changesWaitingMax: 256,
  /** How long a change waits for devices; slightly more than the time limit of one device call. */
  acceptTimeoutMs: 4_800,
} as const
