/**
 * Commands on sessions. Pure.
 *
 * Promises  A session ends with all that it holds: its locks go to those first in line, its places in line are given up, its
 *           files are deleted. That is one decision, or several if one cannot write so much: then nothing renews or uses the
 *           session after the first, and whichever process finds it there goes on.
 */
import { fail } from "@hayloft/base/failures.js"
import type { AccountId, CoordPath, SessionId } from "@hayloft/base/ids.js"
import {
  coordRowKey,
  decodeFile,
  decodeLock,
  decodeSession,
  encodeSession,
  holdingRange,
  parseHoldingRowKey,
  sessionRowKey,
  type LockRecord,
  type SessionRecord,
} from "@hayloft/engine/format/coord-rows.js"
import { command, type Touches } from "@hayloft/engine/metadata/index.js"
import { CoordWrites } from "./coord-writes-core.js"
import { removeFile } from "./file-commands-core.js"
import { COORD_LIMITS } from "./limits.js"
import { FREE, putLock, withoutSession } from "./lock-commands-core.js"

export interface SessionOf {
  readonly account: AccountId
  readonly id: SessionId
  /** The principal that asks; undefined: an operator, or the store. */
  readonly by?: string | undefined
}

const touchesOf = ({ account, id }: SessionOf): Touches => [["coordSessions", sessionRowKey(account, id)]]

type NewSession = Pick<SessionRecord, "name" | "principal" | "leaseSeconds" | "graceSeconds">

/** Begins a session, whose id is new. */
export const createSession = command<[of: SessionOf, session: NewSession], SessionRecord>({
  name: "CreateSession",
  touches: touchesOf,
  decide(view, { nowMs }, { account, id }, session) {
    const key = sessionRowKey(account, id)
    if (view.get("coordSessions", key) !== undefined) throw fail("conflict", { message: `The session ${id} exists.` })
    const record = { ...session, createdMs: nowMs, renewedMs: nowMs, beat: 1, held: 0 }
    return { writes: [{ family: "coordSessions", key, value: encodeSession(record) }], result: record }
  },
})

/** Throws `noSuchSession`. */
export const renewSession = command<[of: SessionOf], SessionRecord>({
  name: "RenewSession",
  grows: false,
  touches: touchesOf,
  decide(view, { nowMs }, { account, id, by }) {
    const writes = new CoordWrites(view, account, nowMs, by)
    const result = writes.session(id)
    return { writes: writes.finish(), result }
  },
})

/** The paths of what has ended with a session, and whether that is all. */
interface EndedSession {
  readonly paths: readonly CoordPath[]
  readonly isOver: boolean
}

/** A row of a change, besides its path. */
const CHANGE_BYTES_MAX = 256
/** Rows that the end of one holding writes or deletes at most, besides those of sessions that get a lock. */
const ROWS_OF_HOLDING = 4

/** Returns true if the decision can also release this lock, which may give it to all who wait. */
const canRelease = (writes: CoordWrites, { waiting }: LockRecord, path: CoordPath, lockBytes: number): boolean => {
  const changes = waiting.length + 1
  return writes.hasRoomFor(
    ROWS_OF_HOLDING + 2 * changes,
    lockBytes + 2 * changes * (CHANGE_BYTES_MAX + 2 * path.length),
  )
}

/**
 * Ends the session, or begins to; undefined: it does not end. `onlyAt`: not if it was renewed since it had this beat;
 * undefined: in any case. Repeat it until it `isOver`.
 */
export const endSession = command<[of: SessionOf, onlyAt: number | undefined], EndedSession | undefined>({
  name: "EndSession",
  grows: false,
  touches: touchesOf,
  decide(view, { nowMs }, { account, id }, onlyAt) {
    const key = sessionRowKey(account, id)
    const row = view.ifPresent("coordSessions", key)
    const session = row && decodeSession(row.value)
    if (session === undefined || (onlyAt !== undefined && session.beat !== onlyAt))
      return { writes: [], result: undefined }
    const writes = new CoordWrites(view, account, nowMs)
    // Everything that the session gets writes its row, which this decision writes too.
    const paths: CoordPath[] = []
    const range = { ...holdingRange(account, id), expectedRows: COORD_LIMITS.heldMax, presentOnly: true }
    for (const [held] of view.range("coordHoldings", range)) {
      const { kind, path } = parseHoldingRowKey(account, id, held)
      const lock = kind === "lock" ? view.ifPresent("coordLocks", coordRowKey(account, path)) : undefined
      const before = lock && decodeLock(lock.value)
      if (paths.length > 0 && !canRelease(writes, before ?? FREE, path, lock?.value.length ?? 0)) {
        writes.leaveEnding(id, { ...session, held: session.held - paths.length })
        return { writes: writes.finish(), result: { paths, isOver: false } }
      }
      writes.remove("coordHoldings", held)
      paths.push(path)
      if (before !== undefined) putLock(writes, path, before, withoutSession(before, path, id, writes))
      if (kind === "file") {
        const found = view.ifPresent("coordFiles", coordRowKey(account, path))
        const file = found && decodeFile(found.value)
        if (file?.session === id) removeFile(writes, path, file)
      }
    }
    writes.remove("coordSessions", key)
    return { writes: writes.finish(), result: { paths, isOver: true } }
  },
})
