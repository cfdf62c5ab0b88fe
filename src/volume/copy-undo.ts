/**
 * Undoing copies: the way out where compaction has taken room that a checkpoint needs. Copies that no checkpoint
 * contains lie in volumes of which the base knows nothing, and what they were made from is still there: the index
 * points there again, what else those volumes hold is copied on, and they are removed.
 *
 * Promises  Where a volume cannot be removed the index points at its copies again. A crash at any moment leaves
 *           the copies, which then count, or what they were made from.
 * Callers   see to it that no checkpoint is under way, which would bring the copies into the base, and no step of
 *           compaction.
 */
import { isFailure } from "../base/failures.js"
import type { RowKey, VolumeId } from "../base/ids.js"
import { parseVolumeId } from "../base/ids.js"
import { decodeNeedlePlace } from "../format/needle.js"
import type { VolumeUpkeep } from "./upkeep.js"
import type { Copied, VolumeCopy } from "./volume-copy.js"

/** What was copied out of one volume; undefined where it is not known any more. */
interface Copies {
  readonly volumeId: VolumeId
  readonly copied: readonly Copied[] | undefined
}

interface Step {
  readonly from: VolumeId
  readonly key: RowKey
  readonly before: Uint8Array
  readonly copy: Uint8Array
}

const NEVER_ABORTED = new AbortController().signal

/**
 * Returns the volumes of which copies were undone. `copyOf`: copies on what else a volume holds. Throws `deviceFailed`.
 */
export async function undoCopies(
  upkeep: VolumeUpkeep,
  all: readonly Copies[],
  copyOf: (volumeId: VolumeId) => VolumeCopy,
): Promise<ReadonlySet<VolumeId>> {
  const steps = await stepsOf(upkeep, all)
  const volumes = new Set(steps.map(({ copy }) => volumeOf(copy)))
  if (volumes.size > 0) await upkeep.leaveVolume()
  const undone = new Set<VolumeId>()
  for (const volumeId of [...volumes].sort((a, b) => b - a)) {
    const itsSteps = steps.filter(({ copy }) => volumeOf(copy) === volumeId)
    if (!(await isUndone(upkeep, copyOf(volumeId), itsSteps))) break
    for (const { from } of itsSteps) undone.add(from)
  }
  return undone
}

/** Undoes the copies in one volume, and removes it; false where that cannot be done. */
async function isUndone(upkeep: VolumeUpkeep, rest: VolumeCopy, steps: readonly Step[]): Promise<boolean> {
  const taken = steps.filter(({ key, before, copy }) => pointFrom(upkeep, key, copy, before))
  let isGone = false
  try {
    isGone = (await isEmptied(rest)) && (await upkeep.removeVolume(rest.volumeId))
  } catch (error) {
    if (!isFailure(error, "deviceFull")) throw error
  } finally {
    if (!isGone) for (const { key, before, copy } of taken) pointFrom(upkeep, key, before, copy)
  }
  return isGone
}

/** Of copies that lie in volumes of which the base knows nothing. */
async function stepsOf(upkeep: VolumeUpkeep, all: readonly Copies[]): Promise<readonly Step[]> {
  const contained = upkeep.containedUpTo?.volumeId ?? 0
  const steps: Step[] = []
  for (const { volumeId, copied } of all) {
    if (copied === undefined) return []
    for (const { key, row } of copied) {
      const warm = upkeep.warm(key)
      if (warm) await warm
      const copy = upkeep.rowOf(key)
      if (copy === undefined || Buffer.compare(copy, row) === 0) continue
      if (volumeOf(copy) > contained) steps.push({ from: volumeId, key, before: row, copy })
    }
  }
  return steps
}

const volumeOf = (row: Uint8Array): VolumeId => parseVolumeId(decodeNeedlePlace(row).volume)

/** False where the index says something else by now. */
function pointFrom(upkeep: VolumeUpkeep, key: RowKey, from: Uint8Array, to: Uint8Array): boolean {
  const row = upkeep.rowOf(key)
  if (row === undefined || Buffer.compare(row, from) !== 0) return false
  upkeep.pointAt(key, to)
  return true
}

async function isEmptied(copy: VolumeCopy): Promise<boolean> {
  for (;;) {
    const outcome = await copy.step(NEVER_ABORTED)
    if (outcome !== "busy") return outcome === "done"
  }
}
