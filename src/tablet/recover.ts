/**
 * Recovery of a tablet: its members agree before it serves.
 *
 * Every member of the configuration has every acknowledged entry, so the longest history is the truth:
 * the new primary commits every entry of it and sends the missing ones to the others. An entry that
 * only some had was never acknowledged; it becomes committed now, whole.
 */
import { must } from "../base/assert.js"
import { fail } from "../base/failures.js"
import type { Position } from "../base/ids.js"
import type { Entry } from "../format/entry.js"
import { mapBounded } from "../life/index.js"
import type { Member } from "./member.js"
import { EncodedBatch, NO_POSITION } from "./member.js"
import { batchLength } from "./primary-core.js"

const DEVICES_AT_ONCE = 4
/** Missing entries travel in batches of this many, or as many as fit. */
const CATCH_UP_ENTRIES = 64

/** Replays and levels the members; resolves with the position that all of them now hold. */
export async function recoverTablet(members: readonly Member[]): Promise<Position> {
  const positions = await mapBounded(members, DEVICES_AT_ONCE, member => member.durablePosition())
  const last = positions.reduce((max, position) => (position > max ? position : max), NO_POSITION)
  const longest = must(members[positions.indexOf(last)], "a tablet has members")
  await mapBounded(members, DEVICES_AT_ONCE, member => member.replay())
  for (const [i, member] of members.entries()) {
    const has = positions[i] ?? NO_POSITION
    if (has < last) await catchUp(member, longest, has, last)
  }
  return last
}

/** Throws `corruptLog` where the log of the longest no longer has what the member lacks. */
async function catchUp(member: Member, longest: Member, has: Position, last: Position): Promise<void> {
  let batch: Entry[] = []
  let end = has
  for await (const entry of longest.entriesAfter(has)) {
    if (entry.position !== end + 1) break
    if (batch.length >= CATCH_UP_ENTRIES || batchLength([...batch, entry]) <= batch.length) {
      ;(await member.log(new EncodedBatch(batch))).apply()
      batch = []
    }
    batch.push(entry)
    end = entry.position
  }
  if (end < last) {
    const message = "a device lacks entries that no other device has in its log any more"
    throw fail("corruptLog", { message, device: member.device.id, lacksFrom: end + 1, last })
  }
  if (batch.length > 0) (await member.log(new EncodedBatch(batch))).apply()
}
