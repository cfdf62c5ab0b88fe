/** Named limits of jobs that callers start. */
const DAY_MS = 86_400_000

export const JOB_LIMITS = {
  /** Not ended, of the store. */
  underWayMax: 100,
  /** The limits of holders of keys: of one account, and of all; the rest is for the operator. */
  underWayOfAccountMax: 10,
  underWayOfKeysMax: 80,
  /** Ended jobs are shown for so long, and no more of them. */
  endedKeptMs: 30 * DAY_MS,
  endedMax: 500,
  /** One start removes at most so many of the jobs that are no longer kept. */
  droppedMax: 8,
  /** The bytes of a request: its row has what is selected until the job ends. */
  requestBytesMax: 256 * 1_024,
  /** Items of a page, which is done again if its process dies. */
  pageItemsMax: 100,
  /** Rows that one step reads to find them. */
  pageRowsMax: 1_000,
  itemsConcurrent: 8,
  /** Failures that a job lists; it counts all. */
  failuresMax: 100,
  reasonCharactersMax: 300,
  /** Items that a job's plan lists; it counts all. */
  plannedMax: 50,
  /** After a failure that passes, such as a full disk, the page is tried again. */
  retryMs: 5_000,
  /**
   * Objects at which the store fails count as failed after so many attempts at their page; so often a cancelled job tries to
   * discard what it has begun.
   */
  attemptsMax: 12,
  /** The rate is that of the last so many milliseconds. */
  rateWindowMs: 60_000,
  /** How often the work of the store itself is looked at. */
  followEveryMs: 2_000,
  /** How long one request watches, how often it looks, and how many do at a time. */
  watchMsMax: 60_000,
  watchEveryMs: 500,
  watchersMax: 200,
  /** The limit for a caller that does not name one. */
  itemsPerSecondMax: 100_000,
} as const
