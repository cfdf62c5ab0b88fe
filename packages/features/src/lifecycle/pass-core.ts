/**
 * The daily pass of lifecycle over a bucket: which slice is next, and who works on which. Pure.
 *
 * Promises  When a pass has ended, each row that was there when it began was looked at, by the process that took its slice
 *           or by one that took it over. No more: what is removed is decided again, so two may work on one slice.
 */
import { rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import {
  ALL_UPLOADS,
  decodeLifecyclePass,
  encodeLifecyclePass,
  lifecycleRowKey,
  NOTHING_REMOVED,
  type LifecycleCounts,
  type LifecyclePass,
  type LifecycleSlice,
} from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { bucketRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query, type CommandView, type DecisionTime } from "@hayloft/engine/metadata/index.js"
import { allBuckets, rowsOfBucket } from "@hayloft/objects/door/rows.js"
import { ROWS_OF_UPLOADS, type LifecycleTime } from "./walk-core.js"

/** Slices of one pass that are being worked on: each process has one. */
const TAKEN_MAX = 256

/** The rows that a pass goes over. */
export const rowsOfPass = (bucketId: BucketId) => (bucketId === ALL_UPLOADS ? ROWS_OF_UPLOADS : rowsOfBucket(bucketId))

/** A bucket with rules or expiring objects, or all uploads. */
export interface PassOfBucket {
  readonly bucketId: BucketId
  /** It is undefined if there was no pass yet. */
  readonly pass: LifecyclePass | undefined
  /** Slices of this process, and of those that are over. */
  readonly left: readonly LifecycleSlice[]
}

const ALL_PASSES = { start: lifecycleRowKey(ALL_UPLOADS), end: rowKeyOf("\xff") }

/** How far each pass is: that over uploads first. */
export const lifecyclePasses = query("LifecyclePasses", (view): readonly PassOfBucket[] => {
  const { incarnations } = view
  const buckets = allBuckets(view)
  // One range: over SQL each row that is read alone, and is absent, would cost a round trip.
  const rows = new Map(view.range("lifecycle", ALL_PASSES))
  const passOf = (bucketId: BucketId): LifecyclePass | undefined => {
    const row = rows.get(lifecycleRowKey(bucketId))
    return row && decodeLifecyclePass(row.value)
  }
  const due = buckets.filter(
    ({ id, settings, state }) =>
      state === "open" && (settings.includes("lifecycle") || passOf(id)?.expires !== undefined),
  )
  return [ALL_UPLOADS, ...due.map(({ id }) => id)].map(bucketId => {
    const pass = passOf(bucketId)
    const isLeft = ({ incarnation }: LifecyclePass["taken"][number]): boolean =>
      incarnation === incarnations.own || incarnations.isOver(incarnation)
    return { bucketId, pass, left: pass?.taken.filter(isLeft) ?? [] }
  })
})

/** The pass, unless its row is absent: that may have changed until the decision is committed. */
function presentPass(view: CommandView, bucketId: BucketId): LifecyclePass | undefined {
  const row = view.ifPresent("lifecycle", lifecycleRowKey(bucketId))
  return row && decodeLifecyclePass(row.value)
}

const written = (bucketId: BucketId, pass: LifecyclePass) => [
  { family: "lifecycle" as const, key: lifecycleRowKey(bucketId), value: encodeLifecyclePass(pass) },
]

/** A pass without slices to take or to end has ended. */
const endedBy = (pass: LifecyclePass, endedMs: number): LifecyclePass =>
  pass.next === undefined && pass.taken.length === 0 ? { ...pass, endedMs } : pass

interface TakeSlice extends LifecycleSlice {
  readonly bucketId: BucketId
  readonly time: LifecycleTime
  /** Something in it is due: this process works on it until it gives it back. */
  readonly isTaken: boolean
  /** The time from the end of a pass for expiring objects until the next one begins; see `isOver`. */
  readonly restMs?: number
}

/**
 * Moves the pass over a slice, if that is the next one: of the pass that is under way, or of a new one if the last was on
 * an earlier day. Undefined: another process was faster, or the bucket is gone, and its row with it.
 */
export const takeSlice = command<[take: TakeSlice], LifecyclePass | undefined>({
  name: "TakeSlice",
  grows: false,
  touches: ({ bucketId }) => [["lifecycle", lifecycleRowKey(bucketId)]],
  decide(view, { incarnations }, { bucketId, time, isTaken, restMs, start, end }) {
    const isGone = bucketId !== ALL_UPLOADS && view.get("buckets", bucketRowKey(bucketId)) === undefined
    if (isGone) return { writes: [], result: undefined }
    const before = presentPass(view, bucketId)
    const pass = isOver(before, time, restMs) ? beginningOf(bucketId, time.nowMs, before) : before
    if (pass?.next !== start || pass.taken.length >= TAKEN_MAX) return { writes: [], result: undefined }
    const slice = { incarnation: incarnations.own, start, end }
    const moved = endedBy({ ...pass, next: end, taken: isTaken ? [...pass.taken, slice] : pass.taken }, time.nowMs)
    return { writes: written(bucketId, moved), result: moved }
  },
})

/**
 * Returns true if a new pass begins: the last has ended, and began on an earlier day, or in the future by a clock that
 * was wrong: it would keep later ones away. Days may have another length than then. Passes for expiring objects begin
 * more often: `restMs` after the last has ended.
 */
export const isOver = (pass: LifecyclePass | undefined, time: LifecycleTime, restMs = Infinity): boolean =>
  pass === undefined ||
  (pass.endedMs !== undefined &&
    ((pass.expires !== undefined && time.nowMs - pass.endedMs >= restMs) ||
      dayOf(pass.startedMs, time) < dayOf(time.nowMs, time) ||
      pass.startedMs > time.nowMs + time.dayMs))

const dayOf = (momentMs: number, { dayMs }: LifecycleTime): number => Math.floor(momentMs / dayMs)

const beginningOf = (bucketId: BucketId, startedMs: number, before: LifecyclePass | undefined): LifecyclePass => ({
  startedMs,
  endedMs: undefined,
  next: rowsOfPass(bucketId).start,
  taken: [],
  removed: NOTHING_REMOVED,
  ...(before?.expires && { expires: before.expires }),
})

/** Before the first pass over a bucket. */
const NO_PASS = { startedMs: 0, endedMs: 0, next: undefined, taken: [], removed: NOTHING_REMOVED } as const

/** From now on the passes go over the bucket, if it exists: its objects may expire. */
export const noteExpiring = command<[bucketId: BucketId], void>({
  name: "NoteExpiring",
  touches: bucketId => [["lifecycle", lifecycleRowKey(bucketId)]],
  decide(view, _time, bucketId) {
    if (view.get("buckets", bucketRowKey(bucketId)) === undefined) return { writes: [], result: undefined }
    const pass: LifecyclePass = presentPass(view, bucketId) ?? NO_PASS
    const writes = pass.expires === undefined ? written(bucketId, { ...pass, expires: true }) : []
    return { writes, result: undefined }
  },
})

interface NamedSlice {
  readonly bucketId: BucketId
  /** The start of the slice. */
  readonly start: RowKey
}

/** Takes a slice of a process that is over. Returns whether it is this process's now. */
export const takeOverSlice = command<[slice: NamedSlice], boolean>({
  name: "TakeOverSlice",
  grows: false,
  touches: ({ bucketId }) => [["lifecycle", lifecycleRowKey(bucketId)]],
  decide(view, time, { bucketId, start }) {
    const pass = presentPass(view, bucketId)
    const { own } = time.incarnations
    const slice = pass?.taken.find(taken => taken.start === start)
    if (pass === undefined || slice === undefined) return { writes: [], result: false }
    if (slice.incarnation === own) return { writes: [], result: true }
    if (!time.incarnations.isOver(slice.incarnation)) return { writes: [], result: false }
    const taken = pass.taken.map(each => (each === slice ? { ...each, incarnation: own } : each))
    return { writes: written(bucketId, { ...pass, taken }), result: true }
  },
})

interface EndSlice extends NamedSlice {
  readonly nowMs: number
  readonly removed: LifecycleCounts
}

/** Ends a slice of this process: what was due in it is gone. Returns the pass; undefined: the slice is not its own. */
export const endSlice = command<[end: EndSlice], LifecyclePass | undefined>({
  name: "EndSlice",
  grows: false,
  touches: ({ bucketId }) => [["lifecycle", lifecycleRowKey(bucketId)]],
  decide(view, { incarnations }: DecisionTime, { bucketId, start, nowMs, removed }) {
    const pass = presentPass(view, bucketId)
    const isIt = (slice: LifecyclePass["taken"][number]): boolean =>
      slice.start === start && slice.incarnation === incarnations.own
    if (pass?.taken.some(isIt) !== true) return { writes: [], result: undefined }
    const taken = pass.taken.filter(slice => !isIt(slice))
    const ended = endedBy({ ...pass, taken, removed: sumOfCounts(pass.removed, removed) }, nowMs)
    return { writes: written(bucketId, ended), result: ended }
  },
})

export const sumOfCounts = (a: LifecycleCounts, b: LifecycleCounts): LifecycleCounts => ({
  versions: a.versions + b.versions,
  bytes: a.bytes + b.bytes,
  hidden: a.hidden + b.hidden,
  markers: a.markers + b.markers,
  uploads: a.uploads + b.uploads,
  moved: a.moved + b.moved,
  movedBytes: a.movedBytes + b.movedBytes,
})
