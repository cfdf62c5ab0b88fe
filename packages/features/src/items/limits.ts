/** Limits of K2V items: of values, of commands and queries, of answers, and of what waits. */
import { KIB, MIB } from "@hayloft/base/limits.js"

const DAY_MS = 86_400_000

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
  /** The results of a search that states no limit, or a larger one. */
  itemsPerSearch: 10_000,
  bytesPerSearch: 16 * MIB,
  /** The results of one poll: the next one goes on. */
  itemsPerPoll: 1_000,
  /** An item of which only tombstones are left is removed so long after its last change, by the store's clock … */
  tombstonesKeptMs: 10 * DAY_MS,
  /** … by a pass that begins so long after the last one, and removes so many with one command. */
  tombstonesEveryMs: DAY_MS,
  tombstonesPerCommand: 256,
  /** A poll of a range that found nothing gives a marker all the same, if the one that it was given is older than this. */
  markerRenewedMs: DAY_MS,
} as const
