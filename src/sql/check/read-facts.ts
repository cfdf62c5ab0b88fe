/**
 * Reads what a server says about itself. A question that a product or a role has no answer to stays unanswered; only a
 * lost connection ends the reading.
 */
import { DatabaseError } from "pg"
import type { PostgresSession } from "../postgres/session.js"
import type { Pooler, ServerFacts } from "./findings-core.js"
import { SETTING_NAMES } from "./settings-core.js"

type Rows = readonly (readonly string[])[]

/** The rows; undefined if the server refuses the statement. */
async function ask(session: PostgresSession, text: string): Promise<Rows | undefined> {
  try {
    return await session.script(text)
  } catch (error) {
    if (!(error instanceof DatabaseError) || !session.isOpen) throw error
    return undefined
  }
}

async function askOne(session: PostgresSession, text: string): Promise<string | undefined> {
  return (await ask(session, text))?.[0]?.[0]
}

/** A number; undefined if the server does not say. */
async function askNumber(session: PostgresSession, text: string): Promise<number | undefined> {
  const answer = await askOne(session, text)
  return answer === undefined || answer === "null" || Number.isNaN(Number(answer)) ? undefined : Number(answer)
}

/** `other` is a second session with the same server. */
export async function readServerFacts(session: PostgresSession, other: PostgresSession): Promise<ServerFacts> {
  const settings = new Map<string, string>()
  for (const name of SETTING_NAMES) {
    const value = await askOne(session, `SHOW ${name}`)
    if (value !== undefined) settings.set(name, value)
  }
  return {
    version: (await askOne(session, "SELECT version()")) ?? "unknown",
    protection: session.protection,
    pooler: await readPooler(session, other),
    settings,
    standbys: await readStandbys(session),
    connectionsLeft: await readConnectionsLeft(session, settings),
    inactiveSlots: await askNumber(session, "SELECT count(*) FROM pg_replication_slots WHERE NOT active"),
    oldestTransactionSeconds: await askNumber(session, OLDEST_TRANSACTION),
  }
}

/** The role sees the transactions of others only with pg_monitor. */
const OLDEST_TRANSACTION = `
SELECT coalesce(extract(epoch FROM now() - min(began)), 0) FROM (
  SELECT xact_start AS began FROM pg_stat_activity WHERE xact_start IS NOT NULL
  UNION ALL SELECT prepared FROM pg_prepared_xacts
) t`

const PROCESS = "SELECT pg_backend_pid()"

/**
 * A pooler announces a process that is not the server's. In transaction mode another client's transaction takes over
 * the server's connection, and the next statement runs in another process.
 */
async function readPooler(session: PostgresSession, other: PostgresSession): Promise<Pooler | undefined> {
  const before = await askNumber(session, PROCESS)
  if (before === undefined || session.announcedProcess === undefined) return undefined
  if ((await ask(other, "BEGIN")) === undefined) return undefined
  const ofOther = await askNumber(other, PROCESS)
  const after = await askNumber(session, PROCESS)
  await ask(other, "COMMIT")
  if (ofOther === before || after !== before) return "transaction"
  return session.announcedProcess === before ? "none" : "session"
}

async function readStandbys(session: PostgresSession): Promise<ServerFacts["standbys"]> {
  const rows = await ask(session, "SELECT application_name, coalesce(sync_state, '') FROM pg_stat_replication")
  return rows?.map(([name = "", sync = ""]) => ({ name, sync: sync === "" ? undefined : sync }))
}

/** The smallest of what the server, the database and the role still allow. */
async function readConnectionsLeft(
  session: PostgresSession,
  settings: ReadonlyMap<string, string>,
): Promise<number | undefined> {
  const settingOf = (name: string): number => Number(settings.get(name) ?? "0")
  const used = await askNumber(session, "SELECT sum(numbackends) FROM pg_stat_database")
  if (used === undefined || !settings.has("max_connections")) return undefined
  const reserved = settingOf("superuser_reserved_connections") + settingOf("reserved_connections")
  const limits = await ask(
    session,
    `SELECT d.datconnlimit, s.numbackends FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid
      WHERE d.datname = current_database()
    UNION ALL SELECT r.rolconnlimit, (SELECT count(*) FROM pg_stat_activity a WHERE a.usename = r.rolname)
      FROM pg_roles r WHERE r.rolname = current_user`,
  )
  const left = (limits ?? []).flatMap(([most, now]) => (Number(most) >= 0 ? [Number(most) - Number(now)] : []))
  return Math.max(0, Math.min(settingOf("max_connections") - reserved - used, ...left))
}
