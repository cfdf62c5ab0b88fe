/**
 * Database health: what a database says about itself, and how fast it answers a node, as a part of node reports
 * (`node-report.ts`).
 *
 * Positional arrays; null stands for unknown. Later releases append members. What a product does not have, or hides from
 * the role, is undefined.
 */
import { pick, type RecordReader } from "./pack.js"

/** The response times of one kind of statement, over the last minutes. */
export interface ResponseTimes {
  readonly count: number
  readonly medianMs: number
  /** 99 of 100 take no longer. */
  readonly slowMs: number
}

interface TableHealth {
  readonly name: string
  readonly liveRows: number
  /** Versions of rows that were replaced or deleted, and that vacuum has not removed yet. */
  readonly deadRows: number
  readonly bytes: number | undefined
  /** It is undefined if the table was never vacuumed, as far as the database knows. */
  readonly vacuumedSecondsAgo: number | undefined
}

/** Numbers are on the wire: append only. */
const HOLDER_KINDS = ["session", "prepared", "standby", "slot"] as const

/** It may still read rows that were replaced or deleted since it began, so that vacuum cannot remove them. */
export interface SnapshotHolder {
  readonly kind: (typeof HOLDER_KINDS)[number]
  /** The process id of a session, otherwise a name. */
  readonly name: string
  /** Who opened it: user and application. */
  readonly owner: string
  /** The time is undefined for sessions of others if the role lacks `pg_read_all_stats`. */
  readonly seconds: number | undefined
  /** Transactions that have begun since. */
  readonly transactions: number | undefined
}

export interface StandbyHealth {
  readonly name: string
  /** "streaming" when all is well. Undefined, as the next three, if the role may not see it. */
  readonly state: string | undefined
  /** "sync" and "quorum": commits wait for it. */
  readonly sync: string | undefined
  /** The bytes that the standby has not applied yet. */
  readonly lagBytes: number | undefined
  readonly lagSeconds: number | undefined
  /** For how long it has not been connected any more; undefined: it is. */
  readonly goneSeconds: number | undefined
}

/** A replication slot that is not in use. */
interface UnusedSlot {
  readonly name: string
  /** The bytes of WAL that the slot keeps. */
  readonly bytes: number | undefined
}

export interface DatabaseHealth {
  /** As the server describes itself. */
  readonly version: string | undefined
  readonly isInRecovery: boolean | undefined
  /** Settings that matter, as they are now, by name. */
  readonly settings: Readonly<Record<string, string>>
  /** Size of the database. */
  readonly bytes: number | undefined
  /** Transactions since the oldest one whose rows are not frozen yet. */
  readonly unfrozenTransactions: number | undefined
  readonly connectionsMax: number | undefined
  /** Further connections that the server, the database and the role still allow. */
  readonly connectionsLeft: number | undefined
  readonly tables: readonly TableHealth[] | undefined
  /** The oldest first; not all of them. */
  readonly holders: readonly SnapshotHolder[] | undefined
  readonly standbys: readonly StandbyHealth[] | undefined
  readonly unusedSlots: readonly UnusedSlot[] | undefined
}

/** The health of a database that says nothing about itself. */
export const UNKNOWN_HEALTH: DatabaseHealth = {
  ...{ version: undefined, isInRecovery: undefined, settings: {}, bytes: undefined, unfrozenTransactions: undefined },
  ...{ connectionsMax: undefined, connectionsLeft: undefined, tables: undefined, holders: undefined },
  ...{ standbys: undefined, unusedSlots: undefined },
}

/** The report of a node about the database. */
export interface ReportedDatabase {
  /** The times are undefined if there were no commits lately. */
  readonly commits: ResponseTimes | undefined
  readonly reads: ResponseTimes | undefined
  /** How far the clock of the node is ahead of the database's, and by how much that may be wrong. */
  readonly clock: { readonly aheadMs: number; readonly uncertainMs: number } | undefined
  /** The health is undefined if the node has not read it lately; one node reads it for all. */
  readonly health: DatabaseHealth | undefined
  readonly healthSecondsAgo: number
}

const orNull = <T, U>(value: T | undefined, pack: (value: T) => U): U | null =>
  value === undefined ? null : pack(value)

export const packDatabase = ({ commits, reads, clock, health, healthSecondsAgo }: ReportedDatabase) => [
  orNull(commits, packTimes),
  orNull(reads, packTimes),
  orNull(clock, ({ aheadMs, uncertainMs }) => [aheadMs, uncertainMs]),
  orNull(health, packHealth),
  healthSecondsAgo,
]

const packTimes = ({ count, medianMs, slowMs }: ResponseTimes) => [count, medianMs, slowMs]

const packHealth = (health: DatabaseHealth): readonly unknown[] => [
  health.version ?? null,
  orNull(health.isInRecovery, value => (value ? 1 : 0)),
  Object.entries(health.settings),
  ...[health.bytes ?? null, health.unfrozenTransactions ?? null],
  ...[health.connectionsMax ?? null, health.connectionsLeft ?? null],
  orNull(health.tables, tables =>
    tables.map(({ name, liveRows, deadRows, bytes, vacuumedSecondsAgo }) => [
      ...[name, liveRows, deadRows, bytes ?? null, vacuumedSecondsAgo ?? null],
    ]),
  ),
  orNull(health.holders, holders =>
    holders.map(({ kind, name, owner, seconds, transactions }) => [
      ...[HOLDER_KINDS.indexOf(kind), name, owner, seconds ?? null, transactions ?? null],
    ]),
  ),
  orNull(health.standbys, standbys =>
    standbys.map(({ name, state, sync, lagBytes, lagSeconds, goneSeconds }) => [
      ...[name, state ?? null, sync ?? null, lagBytes ?? null, lagSeconds ?? null, goneSeconds ?? null],
    ]),
  ),
  orNull(health.unusedSlots, slots => slots.map(({ name, bytes }) => [name, bytes ?? null])),
]

const optionalNumber = (row: RecordReader): number | undefined => row.optional(() => row.number())
const optionalText = (row: RecordReader): string | undefined => row.optional(() => row.text())

/** Throws `corruptRecord`, as does everything here. */
export const readDatabase = (row: RecordReader): ReportedDatabase => ({
  commits: row.optional(() => readTimes(row.row())),
  reads: row.optional(() => readTimes(row.row())),
  clock: row.optional(() => readClock(row.row())),
  health: row.optional(() => readHealth(row.row())),
  healthSecondsAgo: row.number(),
})

const readTimes = (row: RecordReader): ResponseTimes => ({
  ...{ count: row.number(), medianMs: row.number(), slowMs: row.number() },
})

const readClock = (row: RecordReader): ReportedDatabase["clock"] => ({
  ...{ aheadMs: row.number(), uncertainMs: row.number() },
})

function readHealth(row: RecordReader): DatabaseHealth {
  return {
    version: optionalText(row),
    isInRecovery: row.optional(() => row.number() !== 0),
    settings: Object.fromEntries(row.rows(setting => [setting.text(), setting.text()] as const)),
    ...{ bytes: optionalNumber(row), unfrozenTransactions: optionalNumber(row) },
    ...{ connectionsMax: optionalNumber(row), connectionsLeft: optionalNumber(row) },
    tables: row.optional(() =>
      row.rows(table => ({
        ...{ name: table.text(), liveRows: table.number(), deadRows: table.number() },
        ...{ bytes: optionalNumber(table), vacuumedSecondsAgo: optionalNumber(table) },
      })),
    ),
    holders: row.optional(() =>
      row.rows(holder => ({
        ...{ kind: pick(HOLDER_KINDS, holder.number(), "snapshot holder"), name: holder.text() },
        ...{ owner: holder.text(), seconds: optionalNumber(holder), transactions: optionalNumber(holder) },
      })),
    ),
    standbys: row.optional(() =>
      row.rows(standby => ({
        ...{ name: standby.text(), state: optionalText(standby), sync: optionalText(standby) },
        ...{ lagBytes: optionalNumber(standby), lagSeconds: optionalNumber(standby) },
        goneSeconds: optionalNumber(standby),
      })),
    ),
    unusedSlots: row.optional(() => row.rows(slot => ({ name: slot.text(), bytes: optionalNumber(slot) }))),
  }
}
