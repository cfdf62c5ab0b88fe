/**
 * Recovery of a tablet: its replicas agree before it serves.
 *
 * Every replica of the configuration has every acknowledged entry, so the longest history is the right one: the new
 * primary commits every entry of it and sends the missing ones to the others. An entry that only some had was never
 * acknowledged; it becomes committed now, whole. A replica whose history is damaged, or that cannot be brought up to
 * date, has lost entries: any other one has everything, and the configuration must be changed before the tablet serves.
 * If a device was copied and the copy has run by itself, no history has everything, and nothing is recovered.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId, Position } from "@hayloft/base/ids.js"
import type { Entry } from "../format/device/entry.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { writtenApart } from "../device/index.js"
import { isOneHistory, openingsIn } from "./openings-core.js"
import type { Replica } from "./replica.js"
import { EncodedBatch } from "./replica.js"
import { batchLength } from "./primary-core.js"

const DEVICES_AT_ONCE = 4
/** Missing entries travel in batches of this many, or as many as fit. */
const CATCH_UP_ENTRIES = 64

export interface FailedReplica {
  readonly replica: Replica
  readonly failure: Failure
}

interface Recovery {
  /** Position of the last entry; all `replicas` have it. */
  readonly position: Position
  /** In the order given; at least one. */
  readonly replicas: readonly Replica[]
  /** Replicas that must leave the configuration before the tablet serves. */
  readonly failed: readonly FailedReplica[]
}

interface Replayed {
  readonly replica: Replica
  readonly has: Position
}

/**
 * Replays and levels the replicas. Throws the failure of the first if none is intact, and `foreignFolder` if some of them
 * went on apart from others.
 */
export async function recoverTablet(
  replicas: readonly Replica[],
  pathOf: (id: DeviceId) => string = id => id,
): Promise<Recovery> {
  const failed: FailedReplica[] = []
  const attempt = async <T>(replica: Replica, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (failure) {
      if (!isFailure(failure)) throw failure
      failed.push({ replica, failure })
      return undefined
    }
  }
  const replayed = await mapBounded(replicas, DEVICES_AT_ONCE, replica =>
    attempt(replica, async (): Promise<Replayed> => {
      const has = await replica.durablePosition()
      await replica.replay()
      return { replica, has }
    }),
  )
  const intact = replayed.filter(each => each !== undefined)
  if (intact.length === 0) throw must(failed[0], "a tablet has replicas").failure
  const longest = intact.reduce((best, each) => (each.has > best.has ? each : best))
  checkOneHistory(intact, longest, pathOf)
  for (const { replica, has } of intact) {
    if (has < longest.has) await attempt(replica, () => catchUp(replica, longest.replica, has, longest.has))
  }
  const isLevel = (replica: Replica): boolean => failed.every(each => each.replica !== replica)
  return { position: longest.has, replicas: replicas.filter(isLevel), failed }
}

function checkOneHistory(intact: readonly Replayed[], longest: Replayed, pathOf: (id: DeviceId) => string): void {
  const historyOf = ({ replica, has: last }: Replayed) => ({ openings: openingsIn(replica), last })
  const newest = historyOf(longest)
  const isApart = (each: Replayed): boolean => !isOneHistory(historyOf(each), newest)
  const apart = intact.filter(isApart)
  if (apart.length === 0) return
  const together = intact.filter(each => !apart.includes(each))
  const pathsOf = (side: readonly Replayed[]) => side.map(({ replica }) => pathOf(replica.id))
  throw writtenApart(pathsOf(apart), pathsOf(together))
}

/** Throws `corruptLog` if the log of the longest no longer has the entries that the replica lacks. */
async function catchUp(replica: Replica, longest: Replica, has: Position, last: Position): Promise<void> {
  let batch: Entry[] = []
  let end = has
  for await (const entry of longest.entriesAfter(has)) {
    if (entry.position !== end + 1) break
    if (batch.length >= CATCH_UP_ENTRIES || batchLength([...batch, entry]) <= batch.length) {
      ;(await replica.log(EncodedBatch.of(batch))).apply()
      batch = []
    }
    batch.push(entry)
    end = entry.position
  }
  if (end < last) {
    const message = "a device lacks entries that no other device has in its log any more"
    throw fail("corruptLog", { message, device: replica.id, lacksFrom: end + 1, last })
  }
  if (batch.length > 0) (await replica.log(EncodedBatch.of(batch))).apply()
}
