/** Says where the incarnations of a database begin that takes over the metadata of a store on devices. Pure. */
import { fail } from "@hayloft/base/failures.js"
import { parseIncarnation, type Epoch, type Incarnation, type Position } from "@hayloft/base/ids.js"
import { incarnationAt, POSITIONS_OF_INCARNATION } from "@hayloft/engine/metadata/index.js"

/** Starts of nodes for which positions must be left. */
const STARTS_LEFT = 2 ** 16
const HIGHEST = Math.floor(Number.MAX_SAFE_INTEGER / POSITIONS_OF_INCARNATION) - STARTS_LEFT

interface TabletNumbers {
  readonly own: Incarnation
  readonly position: Position
  readonly epoch: Epoch
}

/**
 * Everything of the store is below the incarnations after this one: processes with their threads, positions, and epochs of
 * replicas. Throws `limitExceeded` if positions would end soon: each incarnation of a database has a range of them.
 */
export function lowestIncarnation({ own, position, epoch }: TabletNumbers): Incarnation {
  const lowest = Math.max(own, incarnationAt(position) + 1, epoch)
  if (lowest > HIGHEST) {
    throw fail("limitExceeded", {
      message: `the store was started too often to move its metadata into a database: processes and threads have used ${lowest} numbers, and a database takes stores with up to ${HIGHEST}. Copy its objects into a new store`,
      limit: HIGHEST,
    })
  }
  return parseIncarnation(lowest)
}
