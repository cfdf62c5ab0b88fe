/**
 * Retention: when bytes that no row references any more may be deleted. A store that one process opens knows its readers
 * (`read-pins.ts`). Processes that share metadata do not know each other's: they keep released bytes for longer than any
 * reader lasts, counted in epochs (`node/cluster/epochs.ts`), which also lets a database that is restored to an earlier
 * moment find its bytes.
 */
import type { Soon } from "@hayloft/base/soon.js"

export const RETENTION_LIMITS = {
  /** How long released bytes are kept in a store of several processes. */
  retentionMs: 24 * 3_600_000,
  /** The shortest epoch: the age of released bytes is counted in them. */
  epochMs: 10 * 60_000,
} as const

/** The bytes that may be deleted at one moment, by the position of the decision that released them. */
export interface DuePositions {
  isDue(position: number): boolean
  /** The first position above this one, which is not due, that may be; undefined: none. */
  after(position: number): number | undefined
}

export interface ByteRetention {
  /** Ask after the pending deletions were read: a reader that begins later uses none of their bytes. */
  now(): Soon<DuePositions>
}
