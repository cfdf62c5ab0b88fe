/**
 * Undoing copies: the way out if compaction has used space that a checkpoint needs. Copies that no checkpoint contains
 * are in volumes that the metadata store does not mention, and their originals still exist: the index points there
 * again, the other needles of those volumes are copied on, and the volumes are removed.
 *
 * Promises  If a volume cannot be removed, the index points at its copies again. A crash at any moment leaves the
 *           copies, which then count, or their originals.
 * Callers   make sure that no checkpoint is under way, which would bring the copies into the metadata store, and no
 *           step of compaction.
 */
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { RowKey, VolumeId } from "@hayloft/base/ids.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import { decodeNeedlePlace } from "../format/needles/needle.js"
import type { VolumeUpkeep } from "./upkeep.js"
import type { Copied, VolumeCopy } from "./volume-copy.js"

/** The copies out of one volume; undefined if they are no longer known. */
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

/**
 * Returns the volumes whose copies were undone. `copyOf`: copies the other needles of a volume. Throws `deviceFailed`.
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

/** Undoes the copies in one volume, and removes it; false if that is impossible. */
async function isUndone(upkeep: VolumeUpkeep, rest: VolumeCopy, steps: readonly Step[]): Promise<boolean> {
  const taken = steps.filter(({ key, before, copy }) => pointFrom(upkeep, key, copy, before))
  let isGone = false
  try {
    isGone = await unlessFull(
      async () => (await isEmptied(rest)) && upkeep.removeVolume(rest.volumeId),
      () => false,
    )
  } finally {
    if (!isGone) for (const { key, before, copy } of taken) pointFrom(upkeep, key, before, copy)
  }
  return isGone
}

/** Steps for copies in volumes that the metadata store does not mention. */
async function stepsOf(upkeep: VolumeUpkeep, all: readonly Copies[]): Promise<readonly Step[]> {
  const contained = upkeep.containedUpTo?.volumeId ?? 0
  const steps: Step[] = []
  for (const { volumeId, copied } of all) {
    if (copied === undefined) return []
    for (const { key, row } of copied) {
      const warm = upkeep.index.warm(key)
      if (warm) await warm
      const copy = upkeep.index.rowOf(key)
      if (copy === undefined || Buffer.compare(copy, row) === 0) continue
      if (volumeOf(copy) > contained) steps.push({ from: volumeId, key, before: row, copy })
    }
  }
  return steps
}

const volumeOf = (row: Uint8Array): VolumeId => parseVolumeId(decodeNeedlePlace(row).volume)

/** Returns false if the index has another row by now. */
function pointFrom(upkeep: VolumeUpkeep, key: RowKey, from: Uint8Array, to: Uint8Array): boolean {
  const row = upkeep.index.rowOf(key)
  if (row === undefined || Buffer.compare(row, from) !== 0) return false
  upkeep.index.pointAt(key, to)
  return true
}

async function isEmptied(copy: VolumeCopy): Promise<boolean> {
  for (;;) {
    const outcome = await copy.step(NEVER)
    if (outcome !== "busy") return outcome === "done"
  }
}
