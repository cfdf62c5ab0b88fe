/** Limits of coordination: of sessions, locks, files, what is kept of changes, and what waits. */
import { KIB, MIB } from "@hayloft/base/limits.js"

/** The namespace that the store itself writes, in the root account: its nodes and devices. */
export const STORE_NAMESPACE = "hayloft"

export const COORD_LIMITS = {
  /** Sessions of an account. */
  sessionsMax: 2_000,
  nameCharactersMax: 100,
  leaseSecondsMin: 2,
  leaseSecondsMax: 60,
  leaseSecondsDefault: 12,
  graceSecondsMin: 1,
  graceSecondsMax: 60,
  graceSecondsDefault: 8,
  /** Locks, places in a line and files that end with one session. */
  heldMax: 100,
  namespacesMax: 200,
  fileBytesMax: 256 * KIB,
  /** Files of a namespace, their bytes together, and its locks. */
  filesMax: 10_000,
  bytesMax: 32 * MIB,
  locksMax: 10_000,
  /** Holders of a shared lock, and sessions that wait for a lock. */
  holdersMax: 200,
  waitingMax: 200,
  valueBytesMax: KIB,
  /** Changes of a namespace that are kept for those who follow it. */
  changesMax: 4_096,
  /** Items of one listing, or changes in one answer. */
  pageMax: 1_000,
  waitSecondsMax: 600,
  /** Requests of one node that wait for a lock or a change. */
  waitersMax: 4_096,
  /** Waiting requests of one account, so that others have room. */
  waitersOfAccountMax: 1_024,
  /** How often a node looks for changes by others, while requests wait. */
  watchEveryMs: 50,
  /** How often a node looks for sessions that were not renewed. */
  silenceEveryMs: 1_000,
  /** It looks so often while there are none: no session ends earlier. */
  idleEveryMs: 2_000,
  /** It counts no more than this from one look to the next: the node or the store may have been stopped in between. */
  stepMsMax: 2_500,
} as const
