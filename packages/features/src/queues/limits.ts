/** Limits of queues: of messages, of commands and queries, of answers, and of what waits. */
import { GIB, KIB, MIB } from "@hayloft/base/limits.js"

const DAY_SECONDS = 86_400

export const QUEUE_LIMITS = {
  /** Queues of an account. */
  queuesMax: 1_000,
  nameCharactersMax: 80,
  tagsMax: 50,
  /** Body and attributes of a message, as Amazon's SQS has it since 2025. */
  contentBytesMax: MIB,
  /** Contents up to this length are in the message's row; others have rows of their own. */
  inlineBytesMax: KIB,
  attributesMax: 10,
  /** Bytes of all contents of a queue: by default, and at most, if its owner asks for it. */
  bytesMaxDefault: GIB,
  bytesMaxMost: 64 * GIB,
  /** Messages that one request adds, or names. */
  addedMax: 10,
  namedMax: 100,
  /** Messages that one request receives, and their contents together unless the first has more. */
  receivedMax: 100,
  receivedBytesMax: 4 * MIB,
  /** Queues that one request receives from. */
  queuesPerReceive: 16,
  /** Messages that one command removes because their time is over, or moves to another queue, before it looks again. */
  passedPerCommand: 100,
  /**
   * A claim begins so long before the time that the last one of this process has reached, which skips what was removed
   * since: the clocks of nodes differ, and are set back a little …
   */
  skewMs: 2_000,
  /** … and after so long, or if one finds nothing, one begins at the beginning, for those that differ by more. */
  beginAgainMs: 5_000,
  /** A wall clock that is further ahead of the store's clock does not tell what is due: see `orderTimeMs`. */
  aheadMsMax: 60_000,
  /** A queue whose first messages are held back is looked at again after so long. */
  lookAgainMs: 1_000,
  /** Queues with metrics of their own. */
  queuesMeasured: 200,
  /** Rows that one query visits. */
  rowsPerPage: 1_000,
  /** Messages that one query shows. */
  shownMax: 100,
  /** Adds and acknowledgements whose clients do not wait. */
  unawaitedMax: 1_024,
  waitSecondsMax: 600,
  delaySecondsMax: DAY_SECONDS * 30,
  retrySecondsMax: DAY_SECONDS,
  retentionSecondsMax: DAY_SECONDS * 30,
  deliveriesMax: 1_000,
  /** Messages whose time is over are removed by a pass that begins so long after the last one … */
  passEveryMs: 600_000,
  /** … or earlier, when the first one is due, but not before. */
  passAgainMs: 60_000,
} as const
