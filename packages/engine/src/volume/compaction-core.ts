/**
 * Compaction, decided: which volume's live needles to copy, so that its space comes back.
 *
 * The first choice is the volume with the largest dead share above its own limit. If all volumes are below it and too
 * much of the device is dead all the same, a lower share is enough. If tombstones fill the device, the oldest volume is
 * rolled to the front: no earlier volume needs its tombstones, so they end there. On a disk that is short of space a much
 * lower share is enough, also of the newest volume while others append, since writes wait for what comes back; and only
 * volumes are chosen whose copies fit in the space for copies; a wholly dead one needs no copy. Each choice gives back
 * more than it writes, or brings the roll one volume further, so choosing comes to an end.
 */
import type { VolumeId } from "@hayloft/base/ids.js"
import { TOMBSTONE_BYTES } from "../format/needles/needle.js"
import { VOLUME_PAGE_BYTES } from "../format/needles/volume.js"
import type { VolumeUsage } from "./usage.js"
import type { CompactionLimits } from "./limits.js"

export interface CompactionCandidate extends VolumeUsage {
  /** No older volume remains that could need its tombstones. */
  readonly isOldest: boolean
  /** It may still be written: it must be left before it can be compacted. */
  readonly isNewest: boolean
}

type Choice =
  | { readonly kind: "compact"; readonly volumeId: VolumeId }
  /** First count the bytes of its tombstones. */
  | { readonly kind: "countTombstones"; readonly volumeId: VolumeId }
  /** Leave the newest volume and begin another. */
  | { readonly kind: "begin" }
  | { readonly kind: "nothing" }

const NOTHING: Choice = { kind: "nothing" }

const neededTombstoneBytesOf = ({ tombstoneBytes, isOldest }: CompactionCandidate): number =>
  isOldest ? 0 : (tombstoneBytes ?? 0)

const neededBytesOf = (volume: CompactionCandidate): number => volume.liveBytes + neededTombstoneBytesOf(volume)

/**
 * Bytes that would come back from a volume: copies use a little more than their bytes, as each write fills its last
 * page. Unknown tombstones count as dead until they have been counted.
 */
export const deadBytesOf = (volume: CompactionCandidate, limits: CompactionLimits): number =>
  Math.max(0, volume.writtenBytes - VOLUME_PAGE_BYTES - bytesToCopy(volume, limits))

/** Bytes that copies of its needed needles and tombstones occupy. */
function bytesToCopy(volume: CompactionCandidate, { copyBytes, copyNeedlesMax }: CompactionLimits): number {
  const needed = neededBytesOf(volume)
  const needles = volume.liveNeedles + neededTombstoneBytesOf(volume) / TOMBSTONE_BYTES
  const writes = Math.ceil(needed / copyBytes) + Math.ceil(needles / copyNeedlesMax)
  return needed + VOLUME_PAGE_BYTES * writes
}

/** Unknown tombstones do not count here: they are counted next. */
const isWhollyDead = (volume: CompactionCandidate): boolean => neededBytesOf(volume) === 0

const shareOf = (volume: CompactionCandidate, limits: CompactionLimits): number =>
  isWhollyDead(volume) ? 1 : deadBytesOf(volume, limits) / Math.max(1, volume.writtenBytes)

/** The state of the device that a choice depends on. */
interface ChoiceFacts {
  /** Nothing is appended. */
  readonly isQuiet: boolean
  /** No further volume fits beside the reserve. */
  readonly isShort: boolean
  /** Bytes that copies may use. */
  readonly spaceBytes: number
  /** Volumes up to this one are to be emptied, however little of them is dead. */
  readonly emptyUpTo: number
}

/** `volumes`: those that are neither being removed nor held, ascending. */
export function chooseVolume(
  volumes: readonly CompactionCandidate[],
  facts: ChoiceFacts,
  limits: CompactionLimits,
): Choice {
  const { spaceBytes, emptyUpTo } = facts
  const choice = chooseByUsage(volumes, facts, limits)
  if (choice.kind !== "nothing") return choice
  // From the oldest on, so that tombstones end with the volume that holds them.
  const due = volumes.find(({ volumeId }) => volumeId <= emptyUpTo)
  return due !== undefined && bytesToCopy(due, limits) <= spaceBytes ? act(due) : NOTHING
}

function chooseByUsage(
  volumes: readonly CompactionCandidate[],
  { isQuiet, isShort, spaceBytes }: ChoiceFacts,
  limits: CompactionLimits,
): Choice {
  const fits = (volume: CompactionCandidate): boolean => bytesToCopy(volume, limits) <= spaceBytes
  const share = (volume: CompactionCandidate): number => shareOf(volume, limits)
  /** Others append to it: the padding of their writes alone is no reason. */
  const mayLeave = (volume: CompactionCandidate): boolean => isShort && deadBytesOf(volume, limits) >= limits.copyBytes
  const isWorthIt = (volume: CompactionCandidate): boolean =>
    // A file without a needle costs nothing to remove, unless another has to be begun in its place.
    (isWhollyDead(volume) && !volume.isNewest) || deadBytesOf(volume, limits) >= limits.deadBytesMin
  const worth = volumes.filter(
    volume => (isQuiet || !volume.isNewest || mayLeave(volume)) && isWorthIt(volume) && fits(volume),
  )
  const most = worth.reduce<CompactionCandidate | undefined>(
    (best, volume) => (best === undefined || share(volume) > share(best) ? volume : best),
    undefined,
  )
  if (most !== undefined && share(most) > (isShort ? limits.deadShareMaxWhenShort : limits.deadShareMax))
    return act(most)
  if (!isTooMuchDead(volumes, limits)) return NOTHING
  if (most !== undefined && share(most) > limits.deadShareMax / 2) return act(most)
  const [oldest] = volumes
  const isAnyNeeded = sumOf(volumes, volume => neededBytesOf(volume) - volume.liveBytes) >= limits.deadBytesMin
  const canRoll = oldest !== undefined && oldest.isOldest && !oldest.isNewest && fits(oldest)
  return canRoll && isAnyNeeded ? act(oldest) : NOTHING
}

function act(volume: CompactionCandidate): Choice {
  if (volume.isNewest) return { kind: "begin" }
  const { volumeId, isOldest, tombstoneBytes } = volume
  return { kind: isOldest || tombstoneBytes !== undefined ? "compact" : "countTombstones", volumeId }
}

function isTooMuchDead(
  volumes: readonly CompactionCandidate[],
  { deadShareMax, deadBytesMin }: CompactionLimits,
): boolean {
  const written = sumOf(volumes, ({ writtenBytes }) => writtenBytes)
  const live = sumOf(volumes, ({ liveBytes }) => liveBytes)
  const floor = volumes.length * (VOLUME_PAGE_BYTES + deadBytesMin)
  return written - live > Math.max(deadShareMax * written, floor)
}

const sumOf = (volumes: readonly CompactionCandidate[], bytesOf: (volume: CompactionCandidate) => number): number =>
  volumes.reduce((sum, volume) => sum + bytesOf(volume), 0)
