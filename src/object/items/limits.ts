/** Limits of K2V items: of values, of commands and queries, of answers, and of what waits. */
import { KIB, MIB } from "../../base/limits.js"

export const ITEM_LIMITS = {
  valueBytesMax: MIB,
  /** Values up to this length are in the item's row; others have rows of their own. */
  inlineBytesMax: KIB,
  /** Concurrent values of an item, tombstones included. */
  valuesMax: 100,
  /** All concurrent values of an item together: what a read of it takes. */
  itemBytesMax: 16 * MIB,
  /** Writes that one command is given. It does as many of them as it may write rows and bytes. */
  writesPerCommand: 64,
  commandRowsMax: 800,
  commandBytesMax: MIB,
  /** Rows that one query visits, and the values that it returns unless one item has more. */
  rowsPerPage: 1_000,
  bytesPerPage: 4 * MIB,
  /** Changed items of one query, which an engine over SQL fetches one by one. */
  changesPerPage: 32,
  /** What a search returns that states no limit, or a larger one. */
  itemsPerSearch: 10_000,
  bytesPerSearch: 16 * MIB,
  /** What a poll returns: the next one goes on. */
  itemsPerPoll: 1_000,
  /** Items that `watch` waits for at the same time. */
  watchersMax: 4_096,
  /** How often changes by other nodes are looked for while something waits. */
  watchEveryMs: 50,
} as const
