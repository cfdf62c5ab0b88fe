/** Named limits of remote buckets. */
import { KIB, MIB } from "@hayloft/base/limits.js"

const HOUR_MS = 3_600_000

export const REMOTE_LIMITS = {
  /** Bytes that one request to a remote brings into the cache. */
  blockBytes: 8 * MIB,
  /** Such requests at a time: their bytes are in memory. */
  fetchesMax: 16,
  /** Such requests to one remote: a slow one leaves places to the others. */
  fetchesOfRemoteMax: 4,
  fetchesWaitingMax: 1_000,
  fetchesWaitingOfRemoteMax: 250,
  fetchWaitMs: 30_000,
  /** However slowly the remote sends: shorter than `changingKeptMs`. */
  fetchMsMax: 10 * 60_000,
  /** A remote that sends a body more slowly, after the store has waited this long for it in total, is not available. */
  bytesPerSecondMin: 16 * KIB,
  rateGraceMs: 10_000,
  /** Blocks that are fetched while the one before them is sent. */
  blocksAhead: 2,
  /** Written objects up to this size are cached at once; larger ones when they are read. */
  writtenCachedBytesMax: 64 * MIB,
  /** The time of the last use of what is cached is as exact as this. */
  touchEveryMs: 60_000,
  touchesMax: 64,
  /** The cache is swept so often at least. */
  sweepEveryMs: 10 * 60_000,
  /** An entry that says that its object changes is kept so long: longer than any fetch that began before the change. */
  changingKeptMs: HOUR_MS,
  /** When a version that no write-through of this process has under way was left by one that died; of other processes. */
  abandonedMs: 60_000,
  abandonedByOthersMs: 24 * HOUR_MS,
  /** A write-through that other processes would take for abandoned if it went on ends before. */
  throughMsMax: 23 * HOUR_MS,
  pendingPollMs: 5_000,
  /** A sender looks so often whether it still is one: more often than the lease ends earlier for it than for others. */
  senderLookMs: 1_000,
  pendingKeysConcurrent: 4,
  retryFirstMs: 1_000,
  retryMostMs: 60_000,
  /** Reasons why pending writes were refused, which the admin API shows. */
  troublesMax: 1_000,
  /** How often a read starts over because the object was replaced in the remote. */
  readRetriesMax: 2,
  /** A remote that is not connected to, or sends nothing, for so long does not respond. */
  connectMs: 5_000,
  silenceMs: 30_000,
  /** From the end of a request until the headers of its response are there, however they come. */
  headMs: 30_000,
  attemptsMax: 3,
  /** Names in the header of a request that say which stores and proxies it has come through. */
  hopsMax: 16,
  hopsBytesMax: 2 * KIB,
  connectionsMax: 64,
  /** Reads that are not cached, at a time: the other connections are for the rest. */
  streamsMax: 48,
  streamsOfRemoteMax: 16,
  /** Remote stores in the operator's file, and its size. */
  storesMax: 100,
  fileBytesMax: 256 * KIB,
} as const
