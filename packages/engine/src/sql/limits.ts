/** Limits of the SQL engine. */

export const SQL_LIMITS = {
  /** Connections of a process that commit. What arrives during a commit is the next batch: more lanes, smaller batches. */
  lanes: 1,
  /** Connections that only read. */
  readers: 2,
  commandsPerBatch: 128,
  queriesPerBatch: 64,
  /** A statement that reads has taken so long that queries which arrive now use another reader. */
  slowReadMs: 5,
  /** Commands or queries that wait in one lane or for one reader; further ones are refused. */
  waitingMax: 10_000,
  /** Times that the rows of a batch are fetched: each time with more of them. */
  fetchesMax: 256,
  /** After so many fetches, a decision that misses a row goes on as if it were absent, so that it finds all that it misses. */
  fetchesBeforeGathering: 4,
  /** Times that all rows of a batch of queries are fetched; then each query that is left reads a snapshot, and gathers. */
  fetchesOfOneStatement: 4,
  /** Times that a query fetches from its snapshot. */
  fetchesOfSnapshot: 10_000,
  /** Batches that lose this many races in a row are decided one command after the other. */
  lossesOfBatchMax: 2,
  /** Races that one command may lose. */
  lossesOfCommandMax: 50,
  /** Until a connection that is not made counts as lost. */
  connectMsMax: 5_000,
  /** Until the connection of a statement that is not answered counts as lost. A request may wait for it. */
  statementMsMax: 5_000,
  /** The same for statements that wait for those of others, and for those that no request waits for. */
  longStatementMsMax: 30_000,
  /**
   * From its arrival until a command or query is answered that the database does not: nothing is sent for it after this
   * time, and it does not wait any longer for the outcome of what was sent. With the time of one statement it is below
   * the 12 s in which each request is to be answered.
   */
  commandMsMax: 6_000,
  /** The same for what no request waits for. */
  upkeepMsMax: 30_000,
  /** How often commands that wait for the outcome of others are checked for it. */
  overdueEveryMs: 1_000,
  /** Work waits for a connection that has failed, up to this long in total; then it is refused until it works. */
  downAfterMs: 5_000,
  /** How often the list of live incarnations is read. */
  incarnationsEveryMs: 5_000,
  /** Incarnations that may have begun, and were lost by the database, before any process has seen them. */
  incarnationsUnseenMax: 1_000,
  /** Between the beginnings of two statements of a process that close a moment, if reads wait for the second. */
  closeEveryMs: 50,
  reconnectMs: { first: 50, most: 5_000 },
} as const

/** One more keeps up with the incarnations of other processes. */
export const CONNECTIONS_OF_NODE = SQL_LIMITS.lanes + SQL_LIMITS.readers + 1
