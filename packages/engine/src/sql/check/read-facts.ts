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

/** The number of the server's process; undefined if the server does not say. */
async function askProcess(session: PostgresSession): Promise<number | undefined> {
  const answer = await askOne(session, PROCESS)
  return answer === undefined || answer === "null" || Number.isNaN(Number(answer)) ? undefined : Number(answer)
}

/** `other` is a second session with the same server. */
export async function readServerFacts(session: PostgresSession, other: PostgresSession): Promise<ServerFacts> {
  const settings = new Map<string, string>()
  for (const name of SETTING_NAMES) {
    const value = await askOne(session, `SHOW ${name}`)
    if (value !== undefined) settings.set(name, value)
  }
  const health = await session.health()
  return {
    version: health.version ?? "unknown",
    protection: session.protection,
    pooler: await readPooler(session, other),
    settings,
    standbys: health.standbys,
    connectionsLeft: health.connectionsLeft,
    inactiveSlots: health.unusedSlots?.length,
    oldestTransactionSeconds: health.holders && Math.max(0, ...health.holders.map(({ seconds = 0 }) => seconds)),
  }
}

const PROCESS = "SELECT pg_backend_pid()"

/**
 * A pooler announces a process that is not the server's. In transaction mode another client's transaction takes over
 * the server's connection, and the next statement runs in another process.
 */
async function readPooler(session: PostgresSession, other: PostgresSession): Promise<Pooler | undefined> {
  const before = await askProcess(session)
  if (before === undefined || session.announcedProcess === undefined) return undefined
  if ((await ask(other, "BEGIN")) === undefined) return undefined
  const ofOther = await askProcess(other)
  const after = await askProcess(session)
  await ask(other, "COMMIT")
  if (ofOther === before || after !== before) return "transaction"
  return session.announcedProcess === before ? "none" : "session"
}
