/**
 * Epochs: the age of decisions of several processes, without timestamps. The steward begins an epoch at the earliest
 * `epochMs` after it saw the one before, and records how far every process had come. Pure.
 *
 * Promises  A decision that is due before an epoch was made before the epoch began. A position or a list of live processes
 *           that is out of date makes it report less, never more.
 */
import { parsePosition } from "@hayloft/base/ids.js"
import type { EpochFacts, NodeRow } from "@hayloft/engine/coordination/index.js"
import { incarnationAt, POSITIONS_OF_INCARNATION, type LiveIncarnations } from "@hayloft/engine/metadata/index.js"
import type { DuePositions } from "@hayloft/objects/index.js"

/**
 * Returns what is known of a moment after both were read. The highest incarnation and the live ones must be of one
 * moment: one that is neither live nor above the highest counts as over.
 */
export function factsOf({ highest, nodes }: LiveIncarnations, rows: readonly NodeRow[]): EpochFacts {
  const positions = nodes.map(({ incarnation }) => {
    const row = rows.find(each => each.incarnation === incarnation)
    return [incarnation, row?.position ?? parsePosition(incarnation * POSITIONS_OF_INCARNATION)] as const
  })
  return { highest, positions }
}

/** Returns true if the decision at this position was made before the epoch began. */
function isBefore({ highest, positions }: EpochFacts, position: number): boolean {
  const incarnation = incarnationAt(position)
  if (incarnation > highest) return false
  const live = positions.find(([each]) => each === incarnation)
  return live === undefined || position <= live[1]
}

const NOTHING_DUE: DuePositions = { isDue: () => false, after: () => undefined }

/** Returns what was released before the epoch; nothing without one. */
export function dueBefore(epoch: EpochFacts | undefined): DuePositions {
  if (epoch === undefined) return NOTHING_DUE
  return {
    isDue: position => isBefore(epoch, position),
    after(position) {
      const next = incarnationAt(position) + 1
      return next <= epoch.highest ? next * POSITIONS_OF_INCARNATION : undefined
    },
  }
}

/** How many epochs released bytes are kept: together they last at least the retention. */
export const epochsKept = ({ retentionMs, epochMs }: { readonly retentionMs: number; readonly epochMs: number }) =>
  Math.ceil(retentionMs / epochMs)

/** When the next epoch may begin. */
export class EpochTimer {
  private seen: { readonly number: number; readonly sinceMs: number } | undefined

  constructor(private readonly epochMs: number) {}

  /** The number of the newest epoch (0: there is none) at `answeredMs`, in time in which the database answered. */
  isDue(number: number, answeredMs: number): boolean {
    if (this.seen?.number !== number) this.seen = { number, sinceMs: answeredMs }
    return answeredMs - this.seen.sinceMs >= this.epochMs
  }
}
