/**
 * Commands on sessions. Pure.
 *
 * Promises  A session ends in one decision, with all that it holds: its locks go to those first in line, its places in
 *           line are given up, its files are deleted.
 */
import { fail } from "../base/failures.js"
import type { AccountId, CoordPath, SessionId } from "../base/ids.js"
import {
  coordRowKey,
  decodeFile,
  decodeLock,
  decodeSession,
  encodeSession,
  holdingRange,
  parseHoldingRowKey,
  sessionRowKey,
  type SessionRecord,
} from "../format/coord-rows.js"
import { command, type Touches } from "../metadata/index.js"
import { CoordWrites } from "./coord-writes-core.js"
import { removeFile } from "./file-commands-core.js"
import { COORD_LIMITS } from "./limits.js"
import { putLock, withoutSession } from "./lock-commands-core.js"

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

/**
 * Ends the session; returns the paths of what has ended with it, or undefined if it did not end. `onlyAt`: not if it was
 * renewed since it had this beat; undefined: in any case.
 */
export const endSession = command<[of: SessionOf, onlyAt: number | undefined], readonly CoordPath[] | undefined>({
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
      writes.remove("coordHoldings", held)
      paths.push(path)
      if (kind === "lock") {
        const lock = view.ifPresent("coordLocks", coordRowKey(account, path))
        const before = lock && decodeLock(lock.value)
        if (before !== undefined) putLock(writes, path, before, withoutSession(before, path, id, writes))
      } else {
        const found = view.ifPresent("coordFiles", coordRowKey(account, path))
        const file = found && decodeFile(found.value)
        if (file?.session === id) removeFile(writes, path, file)
      }
    }
    writes.remove("coordSessions", key)
    return { writes: writes.finish(), result: paths }
  },
})
