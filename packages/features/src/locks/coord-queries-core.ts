/** Queries of sessions, locks, files and changes. Pure. */
import { afterPrefix } from "@hayloft/base/bytes.js"
import { must } from "@hayloft/base/assert.js"
import type { Fence } from "@hayloft/base/fence.js"
import { parseCoordPath, parseSessionId, rowKeyOf, rowKeyAfter } from "@hayloft/base/ids.js"
import type { AccountId, CoordPath, RowKey, SessionId } from "@hayloft/base/ids.js"
import {
  coordChangeRange,
  decodeCoordChange,
  decodeFile,
  decodeLock,
  decodeNamespace,
  decodeSession,
  isEnding,
  namespaceRowKey,
  numberOfCoordChange,
  sessionRowKey,
  type CoordChange,
  type FileRecord,
  type LockRecord,
  type NamespaceRecord,
  type SessionRecord,
} from "@hayloft/engine/format/coord-rows.js"
import { accountRange, accountRowKey, parseAccountRowKey } from "@hayloft/engine/format/row-key.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { query } from "@hayloft/engine/metadata/index.js"
import { fileIn } from "./file-commands-core.js"
import { COORD_LIMITS } from "./limits.js"
import { fenceFault, lockIn } from "./lock-commands-core.js"

interface Page<T> {
  readonly found: readonly T[]
  /** The place where the next page begins; undefined on the last page. */
  readonly after: string | undefined
}

interface ShownSession {
  readonly id: SessionId
  readonly session: SessionRecord
}

/** Returns undefined if the session has ended. */
export const readSession = query(
  "ReadSession",
  (view, account: AccountId, id: SessionId): SessionRecord | undefined => {
    const row = view.get("coordSessions", sessionRowKey(account, id))
    const session = row && decodeSession(row.value)
    return session && isEnding(session) ? undefined : session
  },
)

/** Sessions of an account in the order of their ids. */
export const listSessions = query(
  "ListSessions",
  (view, account: AccountId, after: SessionId | undefined, max: number): Page<ShownSession> => {
    const all = accountRange(account)
    const start = after === undefined ? all.start : rowKeyAfter(sessionRowKey(account, after))
    const found: ShownSession[] = []
    for (const [key, row] of view.range("coordSessions", { start, end: all.end, expectedRows: max + 1 })) {
      if (found.length === max) return { found, after: found.at(-1)?.id }
      found.push({ id: parseSessionId(parseAccountRowKey(key).rest), session: decodeSession(row.value) })
    }
    return { found, after: undefined }
  },
)

/** Counts the sessions of an account, up to one more than it may have. */
export const countSessions = query("CountSessions", (view, account: AccountId): number => {
  const { sessionsMax } = COORD_LIMITS
  let count = 0
  for (const _ of view.range("coordSessions", { ...accountRange(account), expectedRows: sessionsMax + 1 })) {
    count += 1
    if (count > sessionsMax) break
  }
  return count
})

/** How a session was renewed last. */
export interface SessionBeat {
  readonly account: AccountId
  readonly id: SessionId
  readonly beat: number
  /** It ends after so long without a renewal. */
  readonly silenceMs: number
}

interface BeatsPage {
  readonly beats: readonly SessionBeat[]
  readonly next: RowKey | undefined
}

/** A page of the sessions of all accounts. */
export const readBeats = query("ReadBeats", (view, start: RowKey): BeatsPage => {
  const beats: SessionBeat[] = []
  const { pageMax } = COORD_LIMITS
  for (const [key, row] of view.range("coordSessions", { start, end: rowKeyOf("\xff"), expectedRows: pageMax + 1 })) {
    if (beats.length === pageMax) return { beats, next: key }
    const { account, rest } = parseAccountRowKey(key)
    const { beat, leaseSeconds, graceSeconds } = decodeSession(row.value)
    beats.push({ account, id: parseSessionId(rest), beat, silenceMs: 1_000 * (leaseSeconds + graceSeconds) })
  }
  return { beats, next: undefined }
})

interface ShownNamespace {
  readonly name: string
  readonly namespace: NamespaceRecord
}

/** Namespaces of an account in the order of their names. */
export const listNamespaces = query(
  "ListNamespaces",
  (view, account: AccountId, after: string | undefined, max: number): Page<ShownNamespace> => {
    const all = accountRange(account)
    const start = after === undefined ? all.start : rowKeyAfter(namespaceRowKey(account, after))
    const found: ShownNamespace[] = []
    for (const [key, row] of view.range("coordNamespaces", { start, end: all.end, expectedRows: max + 1 })) {
      if (found.length === max) return { found, after: found.at(-1)?.name }
      found.push({ name: parseAccountRowKey(key).rest, namespace: decodeNamespace(row.value) })
    }
    return { found, after: undefined }
  },
)

/** Returns undefined if no session holds the lock or waits for it. */
export const readLock = query("ReadLock", (view, account: AccountId, path: CoordPath): LockRecord | undefined =>
  lockIn(view, account, path),
)

/** Returns why the fence does not hold; undefined: it does. */
export const readFence = query("ReadFence", (view, fence: Fence): string | undefined => fenceFault(view, fence))

export const readFile = query("ReadSmallFile", (view, account: AccountId, path: CoordPath): FileRecord | undefined =>
  fileIn(view, account, path),
)

/** Rows below a prefix, which ends with a slash, after a path. */
function rangeBelow(account: AccountId, prefix: string, after: CoordPath | undefined): KeyRange {
  const stem = accountRowKey(account, prefix)
  const start = after === undefined || after < prefix ? stem : rowKeyAfter(accountRowKey(account, after))
  return { start, end: rowKeyOf(must(afterPrefix(stem), "a prefix is never 0xFF only")) }
}

interface ShownLock {
  readonly path: CoordPath
  readonly lock: LockRecord
}

/** Locks below a prefix that are held or waited for, in the order of their paths. */
export const listLocks = query(
  "ListLocks",
  (view, account: AccountId, prefix: string, after: CoordPath | undefined, max: number): Page<ShownLock> => {
    const found: ShownLock[] = []
    for (const [key, row] of view.range("coordLocks", {
      ...rangeBelow(account, prefix, after),
      expectedRows: max + 1,
    })) {
      if (found.length === max) return { found, after: found.at(-1)?.path }
      found.push({ path: parseCoordPath(parseAccountRowKey(key).rest), lock: decodeLock(row.value) })
    }
    return { found, after: undefined }
  },
)

/** A file without its content. */
export interface ShownFile extends Omit<FileRecord, "content"> {
  readonly path: CoordPath
  readonly bytes: number
}

/** Files below a prefix in the order of their paths. */
export const listFiles = query(
  "ListSmallFiles",
  (view, account: AccountId, prefix: string, after: CoordPath | undefined, max: number): Page<ShownFile> => {
    const found: ShownFile[] = []
    for (const [key, row] of view.range("coordFiles", {
      ...rangeBelow(account, prefix, after),
      expectedRows: max + 1,
    })) {
      if (found.length === max) return { found, after: found.at(-1)?.path }
      const { content, ...file } = decodeFile(row.value)
      found.push({ ...file, path: parseCoordPath(parseAccountRowKey(key).rest), bytes: content.length })
    }
    return { found, after: undefined }
  },
)

interface NumberedChange extends CoordChange {
  readonly number: number
}

export interface ChangesAfter {
  /** Not those of other prefixes. */
  readonly changes: readonly NumberedChange[]
  /** The number up to which the answer has them. */
  readonly upTo: number
  /** There may be more. */
  readonly isMore: boolean
}

/**
 * Changes below a prefix of a namespace after a number, oldest first. Undefined: some of them are not kept any more, or
 * the number is one that the namespace has not reached.
 */
export const readChanges = query(
  "ReadCoordChanges",
  (view, account: AccountId, namespace: string, prefix: string, after: number): ChangesAfter | undefined => {
    const row = view.get("coordNamespaces", namespaceRowKey(account, namespace))
    const record = row && decodeNamespace(row.value)
    if (record === undefined) return after === 0 ? { changes: [], upTo: 0, isMore: false } : undefined
    const { lastNumber, forgottenNumber } = record
    if (after < forgottenNumber || after > lastNumber) return undefined
    const changes: NumberedChange[] = []
    let [rows, upTo] = [0, after]
    const range = { ...coordChangeRange(account, namespace, after), expectedRows: COORD_LIMITS.pageMax }
    for (const [key, value] of view.range("coordChanges", range)) {
      if (rows === COORD_LIMITS.pageMax) return { changes, upTo, isMore: true }
      rows += 1
      upTo = numberOfCoordChange(key)
      const change = decodeCoordChange(value.value)
      if (isBelow(change.path, prefix)) changes.push({ ...change, number: upTo })
    }
    return { changes, upTo: lastNumber, isMore: false }
  },
)

/** A prefix that does not end with a slash is one path. */
const isBelow = (path: string, prefix: string): boolean =>
  prefix === "" || prefix.endsWith("/") ? path.startsWith(prefix) : path === prefix

/** The last number of each namespace; 0: it has none yet. */
export const readLastNumbers = query("ReadLastNumbers", (view, rows: readonly RowKey[]): readonly number[] =>
  rows.map(key => {
    const row = view.get("coordNamespaces", key)
    return row === undefined ? 0 : decodeNamespace(row.value).lastNumber
  }),
)
