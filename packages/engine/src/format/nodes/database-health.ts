/**
 * Database health: what a database says about itself, and how fast it answers a node, as a part of node reports
 * (`node-report.ts`).
 *
 * Positional arrays; null stands for unknown. Later releases append members. What a product does not have, or hides from
 * the role, is undefined.
 */
import {
  FLAG,
  listOf,
  mapped,
  NUMBER,
  oneOf,
  optional,
  pairOf,
  row,
  rowsOf,
  TEXT,
  type ValueOf,
} from "../encoding/fields.js"

/** The response times of one kind of statement, over the last minutes. */
const TIMES = row({
  count: NUMBER,
  medianMs: NUMBER,
  /** 99 of 100 take no longer. */
  slowMs: NUMBER,
})
export type ResponseTimes = ValueOf<typeof TIMES>

const TABLES = rowsOf({
  name: TEXT,
  liveRows: NUMBER,
  /** Versions of rows that were replaced or deleted, and that vacuum has not removed yet. */
  deadRows: NUMBER,
  bytes: optional(NUMBER),
  /** It is undefined if the table was never vacuumed, as far as the database knows. */
  vacuumedSecondsAgo: optional(NUMBER),
})

/** Numbers are on the wire: append only. */
const HOLDER_KINDS = ["session", "prepared", "standby", "slot"] as const

/** They may still read rows that were replaced or deleted since they began, so that vacuum cannot remove them. */
const HOLDERS = rowsOf({
  kind: oneOf(HOLDER_KINDS),
  /** The process id of a session, otherwise a name. */
  name: TEXT,
  /** The user and the application that opened it. */
  owner: TEXT,
  /** The time is undefined for sessions of others if the role lacks `pg_read_all_stats`. */
  seconds: optional(NUMBER),
  /** Transactions that have begun since. */
  transactions: optional(NUMBER),
})
export type SnapshotHolder = ValueOf<typeof HOLDERS>[number]

const STANDBYS = rowsOf({
  name: TEXT,
  /** "streaming" when all is well. Undefined, as the next three, if the role may not see it. */
  state: optional(TEXT),
  /** "sync" and "quorum": commits wait for it. */
  sync: optional(TEXT),
  /** The bytes that the standby has not applied yet. */
  lagBytes: optional(NUMBER),
  lagSeconds: optional(NUMBER),
  /** For how long it has not been connected any more; undefined: it is. */
  goneSeconds: optional(NUMBER),
})
export type StandbyHealth = ValueOf<typeof STANDBYS>[number]

/** Replication slots that are not in use. */
const UNUSED_SLOTS = rowsOf({
  name: TEXT,
  /** The bytes of WAL that the slot keeps. */
  bytes: optional(NUMBER),
})

const SETTINGS = mapped(
  listOf(pairOf(TEXT, TEXT)),
  (pairs): Readonly<Record<string, string>> => Object.fromEntries(pairs),
  settings => Object.entries(settings),
)

const HEALTH = row({
  /** The version text by which the server describes itself. */
  version: optional(TEXT),
  isInRecovery: optional(FLAG),
  /** Settings that matter, as they are now, by name. */
  settings: SETTINGS,
  /** Size of the database. */
  bytes: optional(NUMBER),
  /** Transactions since the oldest one whose rows are not frozen yet. */
  unfrozenTransactions: optional(NUMBER),
  connectionsMax: optional(NUMBER),
  /** Further connections that the server, the database and the role still allow. */
  connectionsLeft: optional(NUMBER),
  tables: optional(TABLES),
  /** The oldest first; not all of them. */
  holders: optional(HOLDERS),
  standbys: optional(STANDBYS),
  unusedSlots: optional(UNUSED_SLOTS),
})
export type DatabaseHealth = ValueOf<typeof HEALTH>

/** The health of a database that says nothing about itself. */
export const UNKNOWN_HEALTH: DatabaseHealth = {
  version: undefined,
  isInRecovery: undefined,
  settings: {},
  bytes: undefined,
  unfrozenTransactions: undefined,
  connectionsMax: undefined,
  connectionsLeft: undefined,
  tables: undefined,
  holders: undefined,
  standbys: undefined,
  unusedSlots: undefined,
}

/** The report of a node about the database. */
export const REPORTED_DATABASE = row({
  /** The times are undefined if there were no commits lately. */
  commits: optional(TIMES),
  reads: optional(TIMES),
  /** How far the clock of the node is ahead of the database's, and by how much that may be wrong. */
  clock: optional(row({ aheadMs: NUMBER, uncertainMs: NUMBER })),
  /** The health is undefined if the node has not read it lately; one node reads it for all. */
  health: optional(HEALTH),
  healthSecondsAgo: NUMBER,
})
export type ReportedDatabase = ValueOf<typeof REPORTED_DATABASE>
