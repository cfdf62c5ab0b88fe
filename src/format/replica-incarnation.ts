/**
 * Memberships: the store prefix under which a member's rows lie on its device.
 *
 * A device that left a tablet and came back is another membership with rows of its own, so that what
 * was there before is never taken for truth. The prefix is the epoch that began the membership, 4 bytes
 * big-endian: rows of one membership lie together, and prefixes sort as epochs do.
 */
import { parseEpoch } from "../base/ids.js"
import type { Epoch } from "../base/ids.js"

export const STORE_PREFIX_BYTES = 4
/** The epoch of a new tablet: its members have its history from the first entry on. */
export const FIRST_EPOCH: Epoch = parseEpoch(1)

/** What every device key of a membership begins with. */
export function storePrefixOf(since: Epoch): string {
  return String.fromCharCode(since >>> 24, (since >>> 16) & 0xff, (since >>> 8) & 0xff, since & 0xff)
}

/** Behind the last device key of a membership. */
export const storePrefixEnd = (since: Epoch): string =>
  since < 0xffff_ffff ? storePrefixOf(parseEpoch(since + 1)) : "\xff".repeat(STORE_PREFIX_BYTES + 1)
