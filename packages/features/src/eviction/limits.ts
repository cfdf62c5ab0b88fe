/** Named limits of caches that are kept in the store. */
import { KIB } from "@hayloft/base/limits.js"

export const EVICTION_LIMITS = {
  firstSweepMs: 10_000,
  /** A limit that is lower than it was set grows this often. Its cache is swept as often at least. */
  growEveryMs: 10 * 60_000,
  /** The eviction asks this often whether a disk is full. */
  fullPollMs: 10_000,
  /** After a sweep that could remove nothing, or while the removed bytes come back to a full disk. */
  idleSweepMs: 30_000,
  /** Rows of a cached object use space too. */
  chargedBytesMin: 4 * KIB,
} as const
