/**
 * Reads what PostgreSQL says about itself, from views that every role may read. A role without `pg_read_all_stats` sees
 * less of other sessions and of standbys; other products lack some views. A statement without an answer leaves its
 * facts undefined.
 *
 * Limits    `ROWS_MAX` standbys and slots, `HOLDERS_MAX` holders of snapshots.
 */
import type { DatabaseHealth, SnapshotHolder } from "../../format/nodes/database-health.js"

const ROWS_MAX = 64
const HOLDERS_MAX = 5

type Rows = readonly (readonly string[])[]

/** Runs a statement and returns its rows; undefined if the server refuses it. No value is null. */
type AskServer = (statement: string) => Promise<Rows | undefined>

const SETTINGS = [
  "fsync",
  "full_page_writes",
  "synchronous_commit",
  "synchronous_standby_names",
  "autovacuum",
  "max_connections",
  "superuser_reserved_connections",
  "reserved_connections",
  "max_slot_wal_keep_size",
]

const READ_SETTINGS = `SELECT name, coalesce(setting, '') FROM pg_catalog.pg_settings WHERE name IN ('${SETTINGS.join("', '")}')`

/**
 * Sessions of this database that hold back vacuum, and what holds it back for all of them. Vacuum itself does not: the
 * server's own workers have no user.
 */
const READ_HOLDERS = `
SELECT kind, name, owner, coalesce(seconds::text, ''), coalesce(transactions::text, '') FROM (
  SELECT 'session' AS kind, a.pid::text AS name, concat_ws(', ', a.usename, nullif(a.application_name, '')) AS owner,
    extract(epoch FROM clock_timestamp() - a.xact_start) AS seconds,
    greatest(age(a.backend_xid), age(a.backend_xmin)) AS transactions
  FROM pg_catalog.pg_stat_activity a
  WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL
    AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.pid = a.pid)
  UNION ALL
  SELECT 'prepared', p.gid, p.owner::text, extract(epoch FROM clock_timestamp() - p.prepared), age(p.transaction)
  FROM pg_catalog.pg_prepared_xacts p WHERE p.database = current_database()
  UNION ALL
  SELECT 'standby', r.application_name, coalesce(r.usename::text, ''), NULL, age(r.backend_xmin)
  FROM pg_catalog.pg_stat_replication r WHERE r.backend_xmin IS NOT NULL
  UNION ALL
  SELECT 'slot', s.slot_name::text, '', NULL, age(s.xmin)
  FROM pg_catalog.pg_replication_slots s WHERE s.xmin IS NOT NULL
) holders ORDER BY transactions DESC NULLS LAST, seconds DESC NULLS LAST LIMIT ${HOLDERS_MAX}`

const READ_STANDBYS = `
SELECT application_name, coalesce(state, ''), coalesce(sync_state, ''),
  coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::text, ''), coalesce(extract(epoch FROM replay_lag)::text, '')
FROM pg_catalog.pg_stat_replication WHERE state IS DISTINCT FROM 'backup' ORDER BY application_name LIMIT ${ROWS_MAX}`

const READ_UNUSED_SLOTS = `
SELECT slot_name, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::text, '')
FROM pg_catalog.pg_replication_slots WHERE NOT active ORDER BY slot_name LIMIT ${ROWS_MAX}`

const READ_USED = "SELECT sum(numbackends)::text FROM pg_catalog.pg_stat_database"
/** Limits of the database and of the role, and what counts for each. -1: there is none. */
const READ_LIMITS = `
SELECT d.datconnlimit::text, s.numbackends::text
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_stat_database s ON s.datid = d.oid WHERE d.datname = current_database()
UNION ALL
SELECT r.rolconnlimit::text, (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.usename = r.rolname)::text
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`

const numberOf = (text: string | undefined): number | undefined =>
  text === undefined || text === "" || Number.isNaN(Number(text)) ? undefined : Number(text)
/** A standby may go on between two values of one row. */
const lagOf = (text: string | undefined): number | undefined => {
  const lag = numberOf(text)
  return lag === undefined ? undefined : Math.max(0, lag)
}
const textOf = (text: string | undefined): string | undefined => (text === "" ? undefined : text)

/** `readTables`: the statement about the store's tables. */
export async function readHealth(ask: AskServer, readTables: string): Promise<DatabaseHealth> {
  const one = async (statement: string): Promise<string | undefined> => (await ask(statement))?.[0]?.[0]
  const settings: Readonly<Record<string, string>> = Object.fromEntries(
    ((await ask(READ_SETTINGS)) ?? []).map(([name = "", value = ""]) => [name, value] as const),
  )
  const recovery = await one("SELECT pg_is_in_recovery()::text")
  const age = "SELECT age(datfrozenxid)::text FROM pg_catalog.pg_database WHERE datname = current_database()"
  return {
    version: await one("SELECT version()"),
    isInRecovery: recovery === undefined ? undefined : recovery === "true",
    settings,
    connectionsMax: numberOf(settings["max_connections"]),
    connectionsLeft: await readConnectionsLeft(ask, settings),
    holders: (await ask(READ_HOLDERS))?.map(holderOf),
    tables: (await ask(readTables))?.map(([name = "", live, dead, bytes, vacuumed]) => ({
      name,
      liveRows: numberOf(live) ?? 0,
      deadRows: numberOf(dead) ?? 0,
      bytes: numberOf(bytes),
      vacuumedSecondsAgo: numberOf(vacuumed),
    })),
    standbys: (await ask(READ_STANDBYS))?.map(([name = "", state, sync, bytes, seconds]) => ({
      name,
      state: textOf(state),
      sync: textOf(sync),
      lagBytes: lagOf(bytes),
      lagSeconds: lagOf(seconds),
      goneSeconds: undefined,
    })),
    unusedSlots: (await ask(READ_UNUSED_SLOTS))?.map(([name = "", bytes]) => ({ name, bytes: numberOf(bytes) })),
    unfrozenTransactions: numberOf(await one(age)),
    bytes: numberOf(await one("SELECT pg_database_size(current_database())::text")),
  }
}

function holderOf([kind, name = "", owner = "", seconds, transactions]: readonly string[]): SnapshotHolder {
  const known = { name, owner, seconds: numberOf(seconds), transactions: numberOf(transactions) }
  return { kind: kind === "prepared" || kind === "standby" || kind === "slot" ? kind : "session", ...known }
}

/** Returns how many connections are left, by the lowest limit of the server, the database and the role. */
async function readConnectionsLeft(
  ask: AskServer,
  settings: Readonly<Record<string, string>>,
): Promise<number | undefined> {
  const max = numberOf(settings["max_connections"])
  const used = numberOf((await ask(READ_USED))?.[0]?.[0])
  if (used === undefined || max === undefined) return undefined
  const settingOf = (name: string): number => numberOf(settings[name]) ?? 0
  const reserved = settingOf("superuser_reserved_connections") + settingOf("reserved_connections")
  const limits = (await ask(READ_LIMITS)) ?? []
  const left = limits.flatMap(([most, now]) => (Number(most) >= 0 ? [Number(most) - Number(now)] : []))
  return Math.max(0, Math.min(max - reserved - used, ...left))
}
