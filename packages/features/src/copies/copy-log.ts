/** The logs of buckets whose changes are copied to other stores, and the states of their targets: see `commands/copies-core.ts`. */
import type { BucketId, ObjectKey } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { CopyPosition, CopyState, ParkedCopy } from "@hayloft/engine/format/objects/copies.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import {
  changeCopies,
  countCopyLog,
  dropCopies,
  findLeftCopies,
  pauseCopies,
  readCopyLog,
  readCopyState,
  readParkedCopies,
  readPassedCopies,
  restartCopies,
  type ChangedCopies,
  type CopyBacklog,
  type LoggedCopy,
  type ParkedObject,
} from "./copy-log-core.js"

export { beginningOfCopies, COPY_ROWS_PER_COMMAND, PARKED_PER_COMMAND, type LoggedCopy } from "./copy-log-core.js"
export {
  COPY_START,
  type CopyPosition,
  type CopyState,
  type ParkedCopy,
} from "@hayloft/engine/format/objects/copies.js"

export interface CopyLog {
  /** Closes the present moment: all changes up to it are in the log, and no other will be. */
  close(): Promise<number>
  /** Up to `max` changes behind a place, up to a closed moment. */
  page(bucketId: BucketId, after: CopyPosition, closedUs: number, max: number): Promise<readonly LoggedCopy[]>
  count(bucketId: BucketId, after: CopyPosition, toUs: number, max: number): Promise<CopyBacklog>
  /** Returns undefined if nothing was copied yet. */
  state(bucketId: BucketId): Promise<CopyState | undefined>
  /** The new state; undefined: another process has changed it, or the bucket is not copied any more. */
  change(bucketId: BucketId, change: ChangedCopies): Promise<CopyState | undefined>
  parked(bucketId: BucketId, after: ObjectKey | "", max: number): Promise<readonly ParkedObject[]>
  /** Some rows that the token has passed. */
  passed(bucketId: BucketId, token: CopyPosition): Promise<readonly CopyPosition[]>
  /** Both return whether there was anything. */
  restart(bucketId: BucketId, removesOthers: boolean): Promise<boolean>
  pause(bucketId: BucketId, isPaused: boolean): Promise<boolean>
  /** A bucket behind `after` that has rows, though it is not copied. */
  left(after: BucketId): Promise<BucketId | undefined>
  /** Returns whether there may be more. */
  drop(bucketId: BucketId): Promise<boolean>
}

export type ChangedParked = readonly (readonly [key: ObjectKey, parked: ParkedCopy | undefined])[]

export const openCopyLog = (metadata: Pick<Metadata, "ask" | "run" | "closeTo">): CopyLog => ({
  close: () => metadata.closeTo(),
  page: (id, after, closedUs, max) => asPromise(() => metadata.ask(readCopyLog(id, after, closedUs, max))),
  count: (id, after, toUs, max) => asPromise(() => metadata.ask(countCopyLog(id, after, toUs, max))),
  state: id => asPromise(() => metadata.ask(readCopyState(id))),
  change: (id, change) => metadata.run(changeCopies(id, change)),
  parked: (id, after, max) => asPromise(() => metadata.ask(readParkedCopies(id, after, max))),
  passed: (id, token) => asPromise(() => metadata.ask(readPassedCopies(id, token))),
  restart: (id, removesOthers) => metadata.run(restartCopies(id, removesOthers)),
  pause: (id, isPaused) => metadata.run(pauseCopies(id, isPaused)),
  left: after => asPromise(() => metadata.ask(findLeftCopies(after))),
  drop: id => metadata.run(dropCopies(id)),
})
