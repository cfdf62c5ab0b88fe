/**
 * Replica incarnations: the store prefix of a replica's rows on its device.
 *
 * A device that left a tablet and returned has a new replica incarnation with separate rows, so that
 * stale rows are never read. The prefix is the epoch that began the incarnation, 4 bytes
 * big-endian: rows of one incarnation are adjacent, and prefixes sort as epochs do.
 */
import { parseEpoch } from "@hayloft/base/ids.js"
import type { Epoch } from "@hayloft/base/ids.js"

export const STORE_PREFIX_BYTES = 4
/** The epoch of a new tablet: its replicas have its history from the first entry on. */
export const FIRST_EPOCH: Epoch = parseEpoch(1)

/** The prefix of every device key of a replica incarnation. */
export function storePrefixOf(since: Epoch): string {
  return String.fromCharCode(since >>> 24, (since >>> 16) & 0xff, (since >>> 8) & 0xff, since & 0xff)
}

/** The end, exclusive, of the device keys of a replica incarnation. */
export const storePrefixEnd = (since: Epoch): string =>
  since < 0xffff_ffff ? storePrefixOf(parseEpoch(since + 1)) : "\xff".repeat(STORE_PREFIX_BYTES + 1)
