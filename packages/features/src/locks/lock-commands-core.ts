/**
 * Commands on locks, and the condition that a lock is held. Pure.
 *
 * Promises  A lock has one exclusive holder, or shared ones. Sessions get it in the order in which they asked, shared ones
 *           together. The token of each acquisition is greater than all earlier ones of the namespace. A fence holds exactly
 *           while the session that has got this token holds the lock.
 */
import { fail } from "@hayloft/base/failures.js"
import { FENCE_HEADER, type Fence, type LockMode } from "@hayloft/base/fence.js"
import type { AccountId, CoordPath, SessionId } from "@hayloft/base/ids.js"
import {
  coordRowKey,
  decodeLock,
  encodeLock,
  namespaceOf,
  namespaceRowKey,
  sessionRowKey,
  type LockHolder,
  type LockRecord,
} from "@hayloft/engine/format/coord-rows.js"
import { command, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"
import { CoordWrites } from "./coord-writes-core.js"
import { COORD_LIMITS } from "./limits.js"

interface LockOf {
  readonly account: AccountId
  readonly path: CoordPath
  readonly session: SessionId
  /** The principal that asks; undefined: an operator, or the store. */
  readonly by?: string | undefined
}

export interface Acquisition extends LockOf {
  readonly mode: LockMode
  readonly value: string
  /** Waits in line if the lock is not free. */
  readonly waits: boolean
}

export type AcquireOutcome =
  | { readonly kind: "acquired"; readonly mode: LockMode; readonly holder: LockHolder; readonly isNew: boolean }
  /** `before`: how many sessions wait that asked earlier. */
  | { readonly kind: "waiting"; readonly before: number }
  | { readonly kind: "held"; readonly lock: LockRecord }

/** `left`: the session neither holds the lock nor waits for it. */
export type LockStanding = Exclude<AcquireOutcome, { readonly kind: "held" }> | { readonly kind: "left" }

export function standingIn(lock: LockRecord | undefined, session: SessionId): LockStanding {
  const holder = lock?.holders.find(each => each.session === session)
  if (lock !== undefined && holder !== undefined) return { kind: "acquired", mode: lock.mode, holder, isNew: false }
  const before = lock?.waiting.findIndex(each => each.session === session) ?? -1
  return before < 0 ? { kind: "left" } : { kind: "waiting", before }
}

/** A lock that no session holds or waits for. */
export const FREE: LockRecord = { mode: "exclusive", holders: [], waiting: [] }

export function lockIn(view: Pick<RowView, "get">, account: AccountId, path: CoordPath): LockRecord | undefined {
  const row = view.get("coordLocks", coordRowKey(account, path))
  return row && decodeLock(row.value)
}

const touchesOf = ({ account, path, session }: LockOf): Touches => [
  ["coordSessions", sessionRowKey(account, session)],
  ["coordNamespaces", namespaceRowKey(account, namespaceOf(path))],
  ["coordLocks", coordRowKey(account, path)],
]

/** Returns true if a session may get the lock beside those that hold it. */
const isFreeFor = ({ mode, holders }: LockRecord, asked: LockMode): boolean =>
  holders.length === 0 || (mode === "shared" && asked === "shared" && holders.length < COORD_LIMITS.holdersMax)

/** Gives the lock to those first in line that can have it now. */
function granted(lock: LockRecord, path: CoordPath, writes: CoordWrites): LockRecord {
  let now = lock
  for (;;) {
    const [next, ...waiting] = now.waiting
    if (next === undefined || !isFreeFor(now, next.mode)) return now
    const token = writes.change(path, "acquired")
    const holder = { session: next.session, token, sinceMs: writes.nowMs, value: next.value }
    now = { mode: next.mode, holders: [...now.holders, holder], waiting }
  }
}

/** The lock without the session, and what the others get by that. */
export function withoutSession(lock: LockRecord, path: CoordPath, session: SessionId, writes: CoordWrites): LockRecord {
  const holders = lock.holders.filter(each => each.session !== session)
  const waiting = lock.waiting.filter(each => each.session !== session)
  if (holders.length < lock.holders.length) writes.change(path, "released")
  return granted({ ...lock, holders, waiting }, path, writes)
}

/** Writes the lock; a lock without holders and waiting sessions has no row. */
export function putLock(writes: CoordWrites, path: CoordPath, before: LockRecord | undefined, after: LockRecord): void {
  const isLeft = after.holders.length + after.waiting.length > 0
  if (before === undefined && !isLeft) return
  const added = Number(isLeft) - Number(before !== undefined)
  writes.countOnly(path, { locks: added })
  writes.put("coordLocks", path, isLeft ? encodeLock(after) : undefined)
}

/** Takes the lock, or a place in line; that renews the session, and a repeated request does not. Throws `noSuchSession`, `conflict`, `limitExceeded`. */
export const acquireLock = command<[acquisition: Acquisition], AcquireOutcome>({
  name: "AcquireLock",
  touches: touchesOf,
  decide(view, { nowMs }, { account, path, session, by, mode, value, waits }) {
    const writes = new CoordWrites(view, account, nowMs, by)
    writes.session(session)
    const before = lockIn(view, account, path)
    const lock = before ?? FREE
    const holder = lock.holders.find(each => each.session === session)
    if (holder !== undefined) {
      if (lock.mode !== mode || holder.value !== value)
        throw fail("conflict", {
          message: `The session holds the lock ${path} in another mode or with another value: release it first.`,
        })
      return { writes: [], result: { kind: "acquired", mode, holder, isNew: false } }
    }
    const place = lock.waiting.findIndex(each => each.session === session)
    if (place >= 0) {
      if (lock.waiting[place]?.mode !== mode)
        throw fail("conflict", { message: `The session waits for the lock ${path} in another mode: release it first.` })
      return { writes: [], result: { kind: "waiting", before: place } }
    }
    if (lock.waiting.length === 0 && isFreeFor(lock, mode)) {
      writes.hold(session, { kind: "lock", path })
      const token = writes.change(path, "acquired")
      const own = { session, token, sinceMs: nowMs, value }
      putLock(writes, path, before, { mode, holders: [...lock.holders, own], waiting: [] })
      return { writes: writes.finish(), result: { kind: "acquired", mode, holder: own, isNew: true } }
    }
    if (!waits) return { writes: [], result: { kind: "held", lock } }
    const { waitingMax } = COORD_LIMITS
    if (lock.waiting.length >= waitingMax)
      throw fail("limitExceeded", { message: `${waitingMax} sessions wait for the lock ${path}: try again later.` })
    writes.hold(session, { kind: "lock", path })
    putLock(writes, path, before, { ...lock, waiting: [...lock.waiting, { session, mode, sinceMs: nowMs, value }] })
    return { writes: writes.finish(), result: { kind: "waiting", before: lock.waiting.length } }
  },
})

/** A lock, or a place in line, to give up. */
export interface LockRelease extends LockOf {
  /** Only an acquisition with this token, and no place in line: a request that comes late takes no later one away. */
  readonly token?: number | undefined
}

/** `left`: the session waited for it. `absent`: it neither held the lock nor waited for it. */
export type ReleaseOutcome = "released" | "left" | "absent"

/**
 * Gives up the lock, or the place in line. With `unlessHeld`, for a request that has waited long enough, a lock that
 * the session has got meanwhile stays its own, and that is returned. Throws `noSuchSession`.
 */
export const releaseLock = command<[release: LockRelease, unlessHeld: boolean], ReleaseOutcome | LockHolder>({
  name: "ReleaseLock",
  grows: false,
  touches: touchesOf,
  decide(view, { nowMs }, { account, path, session, by, token }, unlessHeld) {
    const writes = new CoordWrites(view, account, nowMs, by)
    writes.session(session)
    const before = lockIn(view, account, path)
    const holder = before?.holders.find(each => each.session === session && (token ?? each.token) === each.token)
    if (holder !== undefined && unlessHeld) return { writes: [], result: holder }
    const waits = token === undefined && before?.waiting.some(each => each.session === session) === true
    if (before === undefined || (holder === undefined && !waits)) return { writes: [], result: "absent" }
    writes.letGo(session, { kind: "lock", path })
    putLock(writes, path, before, withoutSession(before, path, session, writes))
    return { writes: writes.finish(), result: holder === undefined ? "left" : "released" }
  },
})

/** Returns why a fence does not hold; undefined: it does. */
export function fenceFault(view: Pick<RowView, "get">, fence: Fence): string | undefined {
  const { account, path, mode, token } = fence
  const lock = lockIn(view, account, path)
  if (lock?.mode === mode && lock.holders.some(each => each.token === token)) return undefined
  const now = lock === undefined || lock.holders.length === 0 ? "it is free" : "another session holds it"
  return `the lock ${path} is not held any more with the token ${token}: ${now}`
}

/** A condition of a write. Throws `preconditionFailed`. */
export function requireFence(view: Pick<RowView, "get">, fence: Fence | undefined): void {
  const fault = fence && fenceFault(view, fence)
  if (fault === undefined) return
  throw fail("preconditionFailed", { condition: FENCE_HEADER, message: `The write was refused: ${fault}.` })
}
