/**
 * Rows of coordination: sessions of clients and what they hold, namespaces, small files, locks, and the changes of a
 * namespace in their order. See decision 84.
 *
 * Row keys: account id, 0x00, then the id of a session, a namespace, or a path. What a session holds: its id, 0x00, a
 * letter and the path. A change: its namespace, 0x00 and its number (8).
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { LOCK_MODES } from "@hayloft/base/fence.js"
import { parseCoordPath, parseSessionId, rowKeyOf } from "@hayloft/base/ids.js"
import type { AccountId, CoordPath, RowKey, SessionId } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { BYTES, NUMBER, oneOf, optional, parsed, record, rowsOf, TEXT, type ValueOf } from "./encoding/fields.js"
import { HEX } from "./encoding/id-fields.js"
import { packRecord } from "./encoding/pack.js"
import { accountRange, accountRowKey, u64TextOf } from "./row-key.js"

const SESSION = record("session", {
  /** A name that the client has chosen, for people. */
  name: TEXT,
  /** The ARN of the principal that began it. */
  principal: TEXT,
  createdMs: NUMBER,
  /** Its client counts on it for so long after a renewal. */
  leaseSeconds: NUMBER,
  /** It ends so long after its lease, at the earliest, unless it is renewed. 0: it is ending, see `isEnding`. */
  graceSeconds: NUMBER,
  /** Each renewal increases it. */
  beat: NUMBER,
  /** By the wall clock of the node that decided it. */
  renewedMs: NUMBER,
  /** How many locks, places in a line and files end with it. */
  held: NUMBER,
})
export type SessionRecord = ValueOf<typeof SESSION>
export const { encode: encodeSession, decode: decodeSession } = SESSION

/**
 * The end of a session has begun and takes more than one decision: it can be neither renewed nor used, and what it holds is
 * released. No client begins a session without a grace.
 */
export const isEnding = ({ graceSeconds }: Pick<SessionRecord, "graceSeconds">): boolean => graceSeconds === 0

/** The letters are on disk. `lock`: the session holds it, or waits for it. */
const HOLDING_LETTERS = { lock: "l", file: "f" } as const
type HoldingKind = keyof typeof HOLDING_LETTERS

export interface Holding {
  readonly kind: HoldingKind
  readonly path: CoordPath
}

/** The value of a row of what a session holds: its key says all. */
export const HOLDING_VALUE = packRecord(1, [])

const NAMESPACE = record("namespace", {
  createdMs: NUMBER,
  /** The number of its latest change. Numbers only grow: they are versions of files, and tokens of locks. */
  lastNumber: NUMBER,
  /** Changes up to this number are not kept any more. */
  forgottenNumber: NUMBER,
  /** Changes that are kept. */
  changes: NUMBER,
  files: NUMBER,
  /** Bytes of the contents of its files. */
  bytes: NUMBER,
  /** Locks that are held or waited for. */
  locks: NUMBER,
})
export type NamespaceRecord = ValueOf<typeof NAMESPACE>
export const { encode: encodeNamespace, decode: decodeNamespace } = NAMESPACE

const SESSION_ID = parsed(HEX, parseSessionId)

const FILE = record("small file", {
  /** The number of the change that wrote it. */
  version: NUMBER,
  createdMs: NUMBER,
  modifiedMs: NUMBER,
  /** The file ends with it; undefined: it stays. */
  session: optional(SESSION_ID),
  content: BYTES,
})
export type FileRecord = ValueOf<typeof FILE>
export const { encode: encodeFile, decode: decodeFile } = FILE

const HOLDERS = rowsOf({
  session: SESSION_ID,
  /** The number of the change by which it got the lock. */
  token: NUMBER,
  sinceMs: NUMBER,
  /** Text that the holder shows others: the address of a leader, perhaps. */
  value: TEXT,
})
export type LockHolder = ValueOf<typeof HOLDERS>[number]

const LOCK = record("lock", {
  /** The mode of all its holders. */
  mode: oneOf(LOCK_MODES),
  holders: HOLDERS,
  /** In the order in which they get it. */
  waiting: rowsOf({ session: SESSION_ID, mode: oneOf(LOCK_MODES), sinceMs: NUMBER, value: TEXT }),
})
export type LockRecord = ValueOf<typeof LOCK>
export const { encode: encodeLock, decode: decodeLock } = LOCK

/** Numbers are on disk: append only. */
const CHANGE_KINDS = ["written", "deleted", "acquired", "released"] as const
export type CoordChangeKind = (typeof CHANGE_KINDS)[number]

const COORD_CHANGE = record("change of a namespace", {
  /** `written` and `deleted`: a file; `acquired` and `released`: a lock. */
  kind: oneOf(CHANGE_KINDS),
  path: parsed(TEXT, parseCoordPath),
  atMs: NUMBER,
})
export type CoordChange = ValueOf<typeof COORD_CHANGE>
export const { encode: encodeCoordChange, decode: decodeCoordChange } = COORD_CHANGE

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
