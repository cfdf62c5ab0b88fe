/**
 * The writes of a decision about locks, files and sessions: changes with their numbers, the namespaces that have them, and
 * the holdings of sessions. Pure.
 *
 * Every change of a namespace reads and writes the namespace's row, so that changes have one order, and so that what is
 * absent stays absent until the decision is committed. Everything that a session gets writes the row of the session, so
 * that a session which ends leaves nothing behind.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { AccountId, CoordPath, RowKey, SessionId } from "@hayloft/base/ids.js"
import { COMMAND_ROWS_MAX, ENTRY_BYTES_MAX, KIB } from "@hayloft/base/limits.js"
import {
  coordChangeRange,
  coordChangeRowKey,
  coordRowKey,
  decodeNamespace,
  decodeSession,
  encodeCoordChange,
  encodeNamespace,
  encodeSession,
  HOLDING_VALUE,
  holdingRowKey,
  isEnding,
  namespaceOf,
  namespaceRowKey,
  numberOfCoordChange,
  sessionRowKey,
  type CoordChangeKind,
  type Holding,
  type NamespaceRecord,
  type SessionRecord,
} from "@hayloft/engine/format/coord-rows.js"
import { entryBytes, type EntryWrite } from "@hayloft/engine/format/device/entry.js"
import type { CommandView } from "@hayloft/engine/metadata/index.js"
import { COORD_LIMITS } from "./limits.js"

interface OpenNamespace {
  record: NamespaceRecord
  /** Changes that this decision adds. */
  added: number
}

/** Counts of a namespace that a decision changes. */
type Counted = Partial<Record<"files" | "bytes" | "locks", number>>

const LIMIT_OF: Readonly<Record<keyof Counted, number>> = {
  files: COORD_LIMITS.filesMax,
  bytes: COORD_LIMITS.bytesMax,
  locks: COORD_LIMITS.locksMax,
}

/** The row of the session, and that of a namespace that the next writes open. */
const ROWS_TO_SPARE = 4
/** A row that `finish` adds: of a session with its name and principal, of a namespace, or of a change that is forgotten. */
const FINISHED_ROW_BYTES_MAX = KIB

export class CoordWrites {
  private readonly rows: EntryWrite[] = []
  private readonly namespaces = new Map<string, OpenNamespace>()
  private readonly sessions = new Map<SessionId, SessionRecord>()

  constructor(
    private readonly view: CommandView,
    readonly account: AccountId,
    readonly nowMs: number,
    /** The principal that asks, which uses only sessions of its own; undefined: an operator, or the store. */
    private readonly by?: string,
  ) {}

  /** The session, which this decision renews. Throws `noSuchSession`, `accessForbidden`. */
  session(id: SessionId): SessionRecord {
    const known = this.sessions.get(id)
    if (known !== undefined) return known
    const before = this.sessionIn(id)
    if (before === undefined || isEnding(before))
      throw fail("noSuchSession", { message: `The session ${id} does not exist: it has ended.` })
    if (this.by !== undefined && before.principal !== this.by)
      throw fail("accessForbidden", { message: `Another principal has begun the session ${id}.` })
    const session = { ...before, beat: before.beat + 1, renewedMs: this.nowMs }
    this.sessions.set(id, session)
    return session
  }

  /** From now on this ends with the session. Throws `limitExceeded`. */
  hold(id: SessionId, holding: Holding): void {
    const session = this.session(id)
    const { heldMax } = COORD_LIMITS
    if (session.held >= heldMax)
      throw fail("limitExceeded", {
        message: `A session may hold ${heldMax} locks and files, those it waits for included.`,
      })
    this.sessions.set(id, { ...session, held: session.held + 1 })
    const key = holdingRowKey(this.account, id, holding)
    this.view.get("coordHoldings", key)
    this.rows.push({ family: "coordHoldings", key, value: HOLDING_VALUE })
  }

  /** This ends with the session no more. It renews no session: others may delete its files. */
  letGo(id: SessionId, holding: Holding): void {
    const key = holdingRowKey(this.account, id, holding)
    const session = this.sessions.get(id) ?? this.sessionIn(id)
    if (session === undefined || this.view.ifPresent("coordHoldings", key) === undefined) return
    this.sessions.set(id, { ...session, held: session.held - 1 })
    this.remove("coordHoldings", key)
  }

  /** Notes a change, and returns its number. Throws `limitExceeded`, if it is limited. */
  change(path: CoordPath, kind: CoordChangeKind, counted: Counted = {}, isLimited = true): number {
    const open = this.open(path)
    this.count(open, counted, isLimited)
    const number = Math.max(open.record.lastNumber + 1, this.nowMs)
    open.record = { ...open.record, lastNumber: number }
    open.added += 1
    const key = coordChangeRowKey(this.account, namespaceOf(path), number)
    this.rows.push({ family: "coordChanges", key, value: encodeCoordChange({ kind, path, atMs: this.nowMs }) })
    return number
  }

  /** Counts what no one who follows the namespace is told of: a lock that is waited for. Throws `limitExceeded`. */
  countOnly(path: CoordPath, counted: Counted): void {
    this.count(this.open(path), counted)
  }

  /** Writes the row of a file or a lock, or deletes one that was read. */
  put(family: Extract<Family, "coordFiles" | "coordLocks">, path: CoordPath, value: Uint8Array | undefined): void {
    this.rows.push({ family, key: coordRowKey(this.account, path), value })
  }

  remove(family: Family, key: RowKey): void {
    this.rows.push({ family, key, value: undefined })
  }

  /** Ends the decision with the session still there: the next one goes on with its end. */
  leaveEnding(id: SessionId, session: SessionRecord): void {
    this.sessions.set(id, { ...session, graceSeconds: 0 })
  }

  /** Returns true if so many more rows and bytes, with the rows of `finish`, are within the limits of a command. */
  hasRoomFor(rows: number, bytes: number): boolean {
    const namespaces = [...this.namespaces.values()]
    // Each added change may make the namespace forget an old one.
    const atEnd = namespaces.reduce((sum, { added }) => sum + added + 1, this.sessions.size + ROWS_TO_SPARE)
    return (
      this.rows.length + atEnd + rows <= COMMAND_ROWS_MAX &&
      entryBytes(this.rows) + atEnd * FINISHED_ROW_BYTES_MAX + bytes <= ENTRY_BYTES_MAX
    )
  }

  /** All writes of the decision. Call it once, at the end. */
  finish(): EntryWrite[] {
    for (const [id, session] of this.sessions)
      this.rows.push({ family: "coordSessions", key: sessionRowKey(this.account, id), value: encodeSession(session) })
    for (const [name, { record, added }] of this.namespaces) {
      const value = encodeNamespace(this.trimmed(name, record, added))
      this.rows.push({ family: "coordNamespaces", key: namespaceRowKey(this.account, name), value })
    }
    return this.rows
  }

  private sessionIn(id: SessionId): SessionRecord | undefined {
    const row = this.view.ifPresent("coordSessions", sessionRowKey(this.account, id))
    return row && decodeSession(row.value)
  }

  private open(path: CoordPath): OpenNamespace {
    const name = namespaceOf(path)
    const known = this.namespaces.get(name)
    if (known !== undefined) return known
    const row = this.view.get("coordNamespaces", namespaceRowKey(this.account, name))
    const { nowMs: createdMs } = this
    const fresh = { createdMs, lastNumber: 0, forgottenNumber: 0, changes: 0, files: 0, bytes: 0, locks: 0 }
    const open = { record: row === undefined ? fresh : decodeNamespace(row.value), added: 0 }
    this.namespaces.set(name, open)
    return open
  }

  private count(open: OpenNamespace, counted: Counted, isLimited = true): void {
    for (const name of ["files", "bytes", "locks"] as const) {
      const added = counted[name] ?? 0
      const next = open.record[name] + added
      if (isLimited && added > 0 && next > LIMIT_OF[name])
        throw fail("limitExceeded", { message: `The namespace would have more than ${LIMIT_OF[name]} ${name}.` })
      open.record = { ...open.record, [name]: next }
    }
  }

  /** Forgets as many of the oldest changes as are too many. */
  private trimmed(name: string, record: NamespaceRecord, added: number): NamespaceRecord {
    let { changes, forgottenNumber } = record
    const excess = changes + added - COORD_LIMITS.changesMax
    if (excess > 0) {
      const range = {
        ...coordChangeRange(this.account, name, forgottenNumber),
        expectedRows: excess,
        presentOnly: true,
      }
      let left = excess
      for (const [key] of this.view.range("coordChanges", range)) {
        if (left === 0) break
        left -= 1
        changes -= 1
        forgottenNumber = numberOfCoordChange(key)
        this.remove("coordChanges", key)
      }
    }
    return { ...record, changes: changes + added, forgottenNumber }
  }
}
