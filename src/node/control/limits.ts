/** Limits of coordination: how many changes wait, and how long one waits for devices. */
export const COORDINATION_LIMITS = {
  /** Changes of the record that wait for their turn. */
  changesWaitingMax: 256,
  /** How long a change waits for devices; a little more than a device has for one call. */
  acceptTimeoutMs: 4_800,
} as const
