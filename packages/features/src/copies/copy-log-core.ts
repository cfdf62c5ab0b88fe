/**
 * The log of a bucket whose changes are copied to another store, and the state of its target. Pure.
 *
 * Each command that changes the object which readers of the bucket see under a key writes a row of the log in the same commit. The
 * row's key begins with the commit timestamp: once a moment is closed (`Metadata.closeTo`), all changes up to it are in the log, and none
 * follows before it. So one place in the log, the token, says how far a target is.
 *
 * Promises  No change is left out, whichever command makes it: the row is derived from what the decision writes.
 *           The token only grows, and rows of the log go only together with the token that has passed them.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { firstOf } from "@hayloft/base/first-of.js"
import { rowKeyOf, type BucketId, type ObjectKey, type RowKey } from "@hayloft/base/ids.js"
import {
  bucketOfCopyRow,
  copyLogRange,
  copyLogRowKey,
  copyLogUpTo,
  copyStateRowKey,
  COPY_START,
  decodeCopyChange,
  decodeCopyState,
  decodeParkedCopy,
  encodeCopyChange,
  encodeCopyState,
  encodeParkedCopy,
  keyOfParkedCopy,
  parkedCopiesRange,
  parkedCopyRowKey,
  parseCopyLogRowKey,
  type CopyChange,
  type CopyPosition,
  type CopyState,
  type ParkedCopy,
} from "@hayloft/engine/format/objects/copies.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { decodeSetting, type BucketRecord } from "@hayloft/engine/format/records.js"
import { bucketRowKey, settingRowKey, suffixRange, versionRowKey } from "@hayloft/engine/format/row-key.js"
import {
  decodeVersion,
  encodeDetails,
  NO_DETAILS,
  versionIdOfHead,
  type VersionRecord,
} from "@hayloft/engine/format/objects/version-record.js"
import { command, deletionsOf, query, type CommandView, type RowView } from "@hayloft/engine/metadata/index.js"
import type { ChangedObject } from "@hayloft/objects/door/index.js"
import { bucketOfRow, requireBucket } from "@hayloft/objects/door/rows.js"
import { parseCopiesSetting } from "./setting.js"

/** Rows of the log that one command removes. */
export const COPY_ROWS_PER_COMMAND = 256
/** Parked objects that one command writes. */
export const PARKED_PER_COMMAND = 64

/** Returns true if changes of the bucket's objects are copied to another store. */
export const hasCopies = ({ settings }: Pick<BucketRecord, "settings">): boolean => settings.includes("copies")

const NO_WRITES: readonly EntryWrite[] = []

/** The row of the log for what a decision writes; none if the bucket has no copies, or readers see the same object as before. */
export function copyLogWrites(
  { view, time, bucketId, key, row }: ChangedObject,
  writes: readonly EntryWrite[],
): readonly EntryWrite[] {
  const { commitUs } = time
  const before = view.get("current", row)?.value
  const write = writes.find(each => each.family === "current" && each.key === row)
  const after = write === undefined ? before : write.value
  if (before === undefined && after === undefined) return NO_WRITES
  const record = after && decodeVersion(after)
  if (before !== undefined && record !== undefined && isSame(view, row, decodeVersion(before), record, writes))
    return NO_WRITES
  const logged: CopyChange =
    record === undefined
      ? { kind: "removed", sizeBytes: 0 }
      : { kind: "put", versionId: versionIdOfHead(record.head), sizeBytes: record.head.sizeBytes }
  return [{ family: "copyLog", key: copyLogRowKey(bucketId, { us: commitUs, key }), value: encodeCopyChange(logged) }]
}

function isSame(
  view: RowView,
  row: RowKey,
  before: VersionRecord,
  after: VersionRecord,
  writes: readonly EntryWrite[],
): boolean {
  if (before.head.order !== after.head.order || before.head.modifiedMs !== after.head.modifiedMs) return false
  if (before.expiresAtSeconds !== after.expiresAtSeconds) return false
  const detailsKey = versionRowKey(row, after.head.order)
  const stored = before.head.hasDetails ? view.get("details", detailsKey)?.value : undefined
  const written = writes.find(each => each.family === "details" && each.key === detailsKey)
  const [then, now] = [
    stored ?? detailsIn(before),
    written?.value ?? (after.head.hasDetails ? stored : detailsIn(after)),
  ]
  return then !== undefined && now !== undefined && equalBytes(then, now)
}

const detailsIn = ({ details = NO_DETAILS }: VersionRecord): Uint8Array => encodeDetails(details)

/** A change as the log has it. */
export interface LoggedCopy extends CopyChange, CopyPosition {
  readonly key: ObjectKey
}

const loggedIn = (row: RowKey, value: Uint8Array): LoggedCopy => {
  const { us, key } = parseCopyLogRowKey(row)
  return { us, key, ...decodeCopyChange(value) }
}

/** Up to `max` changes behind `after`, up to the moment `toUs`. Call it once that moment is closed. */
export const readCopyLog = query(
  "ReadCopyLog",
  (view, bucketId: BucketId, after: CopyPosition, toUs: number, max: number): readonly LoggedCopy[] => {
    const found: LoggedCopy[] = []
    for (const [row, { value }] of view.range("copyLog", {
      ...copyLogRange(bucketId, after, toUs),
      expectedRows: max,
    })) {
      found.push(loggedIn(row, value))
      if (found.length === max) break
    }
    return found
  },
)

/** How much of the log is behind a place. */
export interface CopyBacklog {
  readonly changes: number
  readonly bytes: number
  readonly oldestUs: number | undefined
  /** The last change that was counted; undefined: none was. */
  readonly last: CopyPosition | undefined
  /** Others follow. */
  readonly hasMore: boolean
}

/** Counts up to `max` changes behind a place, up to the moment `toUs`. */
export const countCopyLog = query(
  "CountCopyLog",
  (view, bucketId: BucketId, after: CopyPosition, toUs: number, max: number) => {
    let [changes, bytes, hasMore] = [0, 0, false]
    let [oldestUs, last]: [number | undefined, CopyPosition | undefined] = [undefined, undefined]
    const range = { ...copyLogRange(bucketId, after, toUs), expectedRows: max }
    for (const [row, { value }] of view.range("copyLog", range)) {
      if (changes === max) {
        hasMore = true
        break
      }
      const { us, key, sizeBytes } = loggedIn(row, value)
      changes += 1
      bytes += sizeBytes
      oldestUs ??= us
      last = { us, key }
    }
    return { changes, bytes, oldestUs, last, hasMore } satisfies CopyBacklog
  },
)

/** The state of a bucket's target; undefined: nothing was copied yet. */
export const readCopyState = query("ReadCopyState", (view, bucketId: BucketId): CopyState | undefined => {
  const row = view.get("copyState", copyStateRowKey(bucketId))
  return row && decodeCopyState(row.value)
})

export interface ParkedObject extends ParkedCopy {
  readonly key: ObjectKey
}

/** Up to `max` parked objects of a bucket, behind a key, in the order of their keys. */
export const readParkedCopies = query(
  "ReadParkedCopies",
  (view, bucketId: BucketId, after: string, max: number): readonly ParkedObject[] => {
    const found: ParkedObject[] = []
    for (const [row, { value }] of view.range("copyState", {
      ...parkedCopiesRange(bucketId, after),
      expectedRows: max,
    })) {
      found.push({ key: keyOfParkedCopy(row), ...decodeParkedCopy(value) })
      if (found.length === max) break
    }
    return found
  },
)

/** The changes of a bucket's copies. */
export interface ChangedCopies {
  /** The revision of the state that the change was made from; 0 if there was none. */
  readonly revision: number
  readonly state: Omit<CopyState, "revision">
  /** Changes of the log that are done: the token has passed them. */
  readonly done: readonly CopyPosition[]
  /** The copy is undefined if the object is not parked any more. */
  readonly parked: readonly (readonly [key: ObjectKey, parked: ParkedCopy | undefined])[]
}

const isPast = (token: CopyPosition, { us, key }: CopyPosition): boolean =>
  us < token.us || (us === token.us && key <= token.key)

/**
 * Replaces the state of a bucket's target, and removes what it has passed from the log. Returns the new state; undefined if another
 * process has changed it, or the bucket is not copied any more: nothing changes then.
 */
export const changeCopies = command<[bucketId: BucketId, change: ChangedCopies], CopyState | undefined>({
  name: "ChangeCopies",
  grows: false,
  touches: (bucketId, { done, parked }) => [
    ["copyState", copyStateRowKey(bucketId)],
    ...parked.map(([key]) => ["copyState", parkedCopyRowKey(bucketId, key)] as const),
    ...done.map(position => ["copyLog", copyLogRowKey(bucketId, position)] as const),
  ],
  decide(view, _time, bucketId, { revision, state, done, parked }) {
    const nothing = { writes: [], result: undefined }
    const bucket = requireBucket(view, bucketId)
    const row = view.ifPresent("copyState", copyStateRowKey(bucketId))
    const before = row && decodeCopyState(row.value)
    if (!hasCopies(bucket) || (before?.revision ?? 0) !== revision) return nothing
    if (before !== undefined && before.target === state.target && !isPast(state.token, before.token))
      throw fail("invalidArgument", { message: "the token of copies went back" })
    if (!done.every(position => isPast(state.token, position)))
      throw fail("invalidArgument", { message: "changes are removed that the token has not passed" })
    const changed = { ...state, revision: revision + 1 }
    const writes: EntryWrite[] = [
      { family: "copyState", key: copyStateRowKey(bucketId), value: encodeCopyState(changed) },
      ...parkedWrites(view, bucketId, parked),
      ...doneWrites(view, bucketId, done),
    ]
    return { writes, result: changed }
  },
})

/** Leaves out objects that are not parked. A row that is new need not be read, as the state is written with it. */
const parkedWrites = (view: CommandView, bucketId: BucketId, parked: ChangedCopies["parked"]): readonly EntryWrite[] =>
  parked.flatMap(([key, one]): EntryWrite[] => {
    const rowKey = parkedCopyRowKey(bucketId, key)
    const isThere = view.ifPresent("copyState", rowKey) !== undefined
    if (one === undefined && !isThere) return []
    return [{ family: "copyState", key: rowKey, value: one && encodeParkedCopy(one) }]
  })

const doneWrites = (view: CommandView, bucketId: BucketId, done: readonly CopyPosition[]): readonly EntryWrite[] =>
  done.flatMap((position): EntryWrite[] => {
    const key = copyLogRowKey(bucketId, position)
    return view.ifPresent("copyLog", key) === undefined ? [] : [{ family: "copyLog", key, value: undefined }]
  })

/**
 * The bucket is filled again: what the target has, or this store, is not what it was. Parked objects are tried with the others.
 * `removesOthers`: copies of objects that this store does not have are removed. Only an operator may ask for that, as the target may have the
 * only copy of what this store has lost.
 */
export const restartCopies = command<[bucketId: BucketId, removesOthers: boolean], boolean>({
  name: "RestartCopies",
  grows: false,
  touches: bucketId => [["copyState", copyStateRowKey(bucketId)]],
  decide(view, { nowMs }, bucketId, removesOthers) {
    const row = view.ifPresent("copyState", copyStateRowKey(bucketId))
    if (row === undefined || !hasCopies(requireBucket(view, bucketId))) return { writes: [], result: false }
    const { revision, ...before } = decodeCopyState(row.value)
    const phase = { phase: "filling", place: "", fills: before.fills + 1, sinceMs: nowMs, removesOthers } as const
    const value = encodeCopyState({ ...before, ...phase, revision: revision + 1 })
    return { writes: [{ family: "copyState", key: copyStateRowKey(bucketId), value }], result: true }
  },
})

/** Pauses the copies of a bucket, also before anything was copied, or lets them go on. Returns false if there are none. */
export const pauseCopies = command<[bucketId: BucketId, isPaused: boolean], boolean>({
  name: "PauseCopies",
  grows: false,
  touches: bucketId => [
    ["buckets", bucketRowKey(bucketId)],
    ["copyState", copyStateRowKey(bucketId)],
  ],
  decide(view, { nowMs }, bucketId, isPaused) {
    const row = view.ifPresent("copyState", copyStateRowKey(bucketId))
    const setting = view.get("settings", settingRowKey(bucketId, "copies"))
    if (setting === undefined || !hasCopies(requireBucket(view, bucketId))) return { writes: [], result: false }
    const { id } = parseCopiesSetting(decodeSetting(setting.value).document)
    const before = row && decodeCopyState(row.value)
    // A copier that finds none of its target begins one, which is not paused.
    const state = before?.target === id ? before : beginningOfCopies(id, nowMs)
    const value = encodeCopyState({ ...state, isPaused, revision: (before?.revision ?? 0) + 1 })
    return { writes: [{ family: "copyState", key: copyStateRowKey(bucketId), value }], result: true }
  },
})

/** Rows of the log that the token has passed already: what was given up, and not removed with the token. */
export const readPassedCopies = query(
  "ReadPassedCopies",
  (view, bucketId: BucketId, token: CopyPosition): readonly CopyPosition[] => {
    const range = { ...copyLogUpTo(bucketId, token), expectedRows: COPY_ROWS_PER_COMMAND }
    const found: CopyPosition[] = []
    for (const [row] of view.range("copyLog", range)) {
      const { us, key } = parseCopyLogRowKey(row)
      found.push({ us, key })
      if (found.length === COPY_ROWS_PER_COMMAND) break
    }
    return found
  },
)

/** A bucket with rows of copies, though it is not copied, or is gone; undefined: there is none behind `after`. */
export const findLeftCopies = query("FindLeftCopies", (view, after: BucketId): BucketId | undefined => {
  let found: BucketId | undefined
  for (const family of ["copyLog", "copyState"] as const)
    for (let from = after; ;) {
      const id = firstBucketIn(view, family, from)
      if (id === undefined || (found !== undefined && id >= found)) break
      if (!isCopied(view, id)) {
        found = id
        break
      }
      from = id
    }
  return found
})

function firstBucketIn(view: RowView, family: "copyLog" | "copyState", after: BucketId): BucketId | undefined {
  const start = suffixRange(bucketRowKey(after)).end
  const first = firstOf(view.range(family, { start, end: AFTER_ALL, expectedRows: 1 }))
  return first && bucketOfCopyRow(first[0])
}

const AFTER_ALL = rowKeyOf("\xff")

const isCopied = (view: RowView, id: BucketId): boolean => {
  const row = view.get("buckets", bucketRowKey(id))
  return row !== undefined && hasCopies(bucketOfRow(row))
}

/** Removes some rows of copies of a bucket that is not copied any more. Returns whether there may be others. */
export const dropCopies = command<[bucketId: BucketId], boolean>({
  name: "DropCopies",
  grows: false,
  touches: bucketId => [["buckets", bucketRowKey(bucketId)]],
  decide(view, _time, bucketId) {
    if (isCopied(view, bucketId)) return { writes: [], result: false }
    const rows = (["copyLog", "copyState"] as const).flatMap(family => {
      const some: (readonly [typeof family, RowKey])[] = []
      const range = { ...suffixRange(bucketRowKey(bucketId)), expectedRows: COPY_ROWS_PER_COMMAND, presentOnly: true }
      for (const [row] of view.range(family, range)) {
        some.push([family, row])
        if (some.length === COPY_ROWS_PER_COMMAND) break
      }
      return some
    })
    return { writes: deletionsOf(view, rows), result: rows.length > 0 }
  },
})

/** The state with which the copies of a bucket in a target begin. */
export const beginningOfCopies = (target: string, nowMs: number): Omit<CopyState, "revision"> => ({
  target,
  phase: "filling",
  place: "",
  fills: 1,
  token: COPY_START,
  sinceMs: nowMs,
  isPaused: false,
  error: "",
  errorMs: 0,
  removesOthers: false,
})
