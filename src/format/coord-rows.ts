/**
 * Rows of coordination: sessions of clients and what they hold, namespaces, small files, locks, and the changes of a
 * namespace in their order. See decision 84.
 *
 * Row keys: account id, 0x00, then the id of a session, a namespace, or a path. What a session holds: its id, 0x00, a
 * letter and the path. A change: its namespace, 0x00 and its number (8).
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { must } from "../base/assert.js"
import { LOCK_MODES, type LockMode } from "../base/fence.js"
import { parseCoordPath, parseSessionId, rowKeyOf } from "../base/ids.js"
import type { AccountId, CoordPath, RowKey, SessionId } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import { packRecord, pick, RecordReader } from "./pack.js"
import { accountRange, accountRowKey, u64TextOf } from "./row-key.js"

export interface SessionRecord {
  /** A name that the client has chosen, for people. */
  readonly name: string
  /** The ARN of the principal that began it. */
  readonly principal: string
  readonly createdMs: number
  /** Its client counts on it for so long after a renewal. */
  readonly leaseSeconds: number
  /** It ends so long after its lease, at the earliest, unless it is renewed. 0: it is ending, see `isEnding`. */
  readonly graceSeconds: number
  /** Each renewal increases it. */
  readonly beat: number
  /** By the wall clock of the node that decided it. */
  readonly renewedMs: number
  /** How many locks, places in a line and files end with it. */
  readonly held: number
}

/**
 * The end of a session has begun and takes more than one decision: it can be neither renewed nor used, and what it holds is
 * released. No client begins a session without a grace.
 */
export const isEnding = ({ graceSeconds }: Pick<SessionRecord, "graceSeconds">): boolean => graceSeconds === 0

export const encodeSession = (session: SessionRecord): Uint8Array =>
  packRecord(1, [
    ...[session.name, session.principal, session.createdMs, session.leaseSeconds, session.graceSeconds],
    ...[session.beat, session.renewedMs, session.held],
  ])

export function decodeSession(value: Uint8Array): SessionRecord {
  const row = RecordReader.open("session", value, 1)
  return {
    ...{ name: row.text(), principal: row.text(), createdMs: row.number(), leaseSeconds: row.number() },
    ...{ graceSeconds: row.number(), beat: row.number(), renewedMs: row.number(), held: row.number() },
  }
}

/** The letters are on disk. `lock`: the session holds it, or waits for it. */
const HOLDING_LETTERS = { lock: "l", file: "f" } as const
type HoldingKind = keyof typeof HOLDING_LETTERS

export interface Holding {
  readonly kind: HoldingKind
  readonly path: CoordPath
}

/** The value of a row of what a session holds: its key says all. */
export const HOLDING_VALUE = packRecord(1, [])

export interface NamespaceRecord {
  readonly createdMs: number
  /** The number of its latest change. Numbers only grow: they are versions of files, and tokens of locks. */
  readonly lastNumber: number
  /** Changes up to this number are not kept any more. */
  readonly forgottenNumber: number
  /** Changes that are kept. */
  readonly changes: number
  readonly files: number
  /** Bytes of the contents of its files. */
  readonly bytes: number
  /** Locks that are held or waited for. */
  readonly locks: number
}

export const encodeNamespace = (namespace: NamespaceRecord): Uint8Array =>
  packRecord(1, [
    ...[namespace.createdMs, namespace.lastNumber, namespace.forgottenNumber, namespace.changes],
    ...[namespace.files, namespace.bytes, namespace.locks],
  ])

export function decodeNamespace(value: Uint8Array): NamespaceRecord {
  const row = RecordReader.open("namespace", value, 1)
  return {
    ...{ createdMs: row.number(), lastNumber: row.number(), forgottenNumber: row.number(), changes: row.number() },
    ...{ files: row.number(), bytes: row.number(), locks: row.number() },
  }
}

export interface FileRecord {
  /** The number of the change that wrote it. */
  readonly version: number
  readonly createdMs: number
  readonly modifiedMs: number
  /** The file ends with it; undefined: it stays. */
  readonly session: SessionId | undefined
  readonly content: Uint8Array
}

const packId = (id: SessionId): Uint8Array => must(bytesOfHex(id), "ids are hex")
const readId = (row: RecordReader): SessionId => parseSessionId(hexOf(row.bytes()))

export const encodeFile = ({ version, createdMs, modifiedMs, session, content }: FileRecord): Uint8Array =>
  packRecord(1, [version, createdMs, modifiedMs, session === undefined ? null : packId(session), content])

export function decodeFile(value: Uint8Array): FileRecord {
  const row = RecordReader.open("small file", value, 1)
  return {
    ...{ version: row.number(), createdMs: row.number(), modifiedMs: row.number() },
    ...{ session: row.optional(() => readId(row)), content: row.bytes() },
  }
}

export interface LockHolder {
  readonly session: SessionId
  /** The number of the change by which it got the lock. */
  readonly token: number
  readonly sinceMs: number
  /** Text that the holder shows others: the address of a leader, perhaps. */
  readonly value: string
}

interface LockWaiter {
  readonly session: SessionId
  readonly mode: LockMode
  readonly sinceMs: number
  readonly value: string
}

export interface LockRecord {
  /** The mode of all its holders. */
  readonly mode: LockMode
  readonly holders: readonly LockHolder[]
  /** In the order in which they get it. */
  readonly waiting: readonly LockWaiter[]
}

export const encodeLock = ({ mode, holders, waiting }: LockRecord): Uint8Array =>
  packRecord(1, [
    LOCK_MODES.indexOf(mode),
    holders.map(({ session, token, sinceMs, value }) => [packId(session), token, sinceMs, value]),
    waiting.map(({ session, mode: asked, sinceMs, value }) => [
      ...[packId(session), LOCK_MODES.indexOf(asked), sinceMs, value],
    ]),
  ])

const readMode = (row: RecordReader): LockMode => pick(LOCK_MODES, row.number(), "mode")

export function decodeLock(value: Uint8Array): LockRecord {
  const row = RecordReader.open("lock", value, 1)
  return {
    mode: readMode(row),
    holders: row.rows(each => ({
      ...{ session: readId(each), token: each.number(), sinceMs: each.number(), value: each.text() },
    })),
    waiting: row.rows(each => ({
      ...{ session: readId(each), mode: readMode(each), sinceMs: each.number(), value: each.text() },
    })),
  }
}

/** Numbers are on disk: append only. */
const CHANGE_KINDS = ["written", "deleted", "acquired", "released"] as const
export type CoordChangeKind = (typeof CHANGE_KINDS)[number]

export interface CoordChange {
  /** `written` and `deleted`: a file; `acquired` and `released`: a lock. */
  readonly kind: CoordChangeKind
  readonly path: CoordPath
  readonly atMs: number
}

export const encodeCoordChange = ({ kind, path, atMs }: CoordChange): Uint8Array =>
  packRecord(1, [CHANGE_KINDS.indexOf(kind), path, atMs])

export function decodeCoordChange(value: Uint8Array): CoordChange {
  const row = RecordReader.open("change of a namespace", value, 1)
  return {
    kind: pick(CHANGE_KINDS, row.number(), "kind of change"),
    path: parseCoordPath(row.text()),
    atMs: row.number(),
  }
}

export const sessionRowKey = (account: AccountId, id: SessionId): RowKey => accountRowKey(account, id)
export const namespaceRowKey = (account: AccountId, namespace: string): RowKey => accountRowKey(account, namespace)
/** The row key of a file or a lock. */
export const coordRowKey = (account: AccountId, path: CoordPath): RowKey => accountRowKey(account, path)

export const holdingRowKey = (account: AccountId, session: SessionId, { kind, path }: Holding): RowKey =>
  accountRowKey(account, session, HOLDING_LETTERS[kind] + path)

/** Everything that a session holds. */
export const holdingRange = (account: AccountId, session: SessionId): KeyRange => accountRange(account, session)

/** The holding that a row key of one session names. */
export function parseHoldingRowKey(account: AccountId, session: SessionId, key: RowKey): Holding {
  const at = account.length + session.length + 2
  return { kind: key[at] === HOLDING_LETTERS.file ? "file" : "lock", path: parseCoordPath(key.slice(at + 1)) }
}

export const coordChangeRowKey = (account: AccountId, namespace: string, number: number): RowKey =>
  rowKeyOf(`${accountRange(account, namespace).start}${u64TextOf(BigInt(number))}`)

/** The changes of a namespace after a number. */
export const coordChangeRange = (account: AccountId, namespace: string, after: number): KeyRange => ({
  start: coordChangeRowKey(account, namespace, after + 1),
  end: accountRange(account, namespace).end,
})

/** The number of a change, from its row key: the last 8 bytes. */
export const numberOfCoordChange = (key: RowKey): number =>
  Number(Buffer.from(key.slice(-8), "latin1").readBigUInt64BE())

/** The namespace of a path: its first name. */
export const namespaceOf = (path: CoordPath): string => path.slice(0, path.indexOf("/"))
