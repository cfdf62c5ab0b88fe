/**
 * Scratch schemas: where a check makes its runs, beside whatever the database contains.
 *
 * Promises  Each check has one of its own, whose name tells when it was made by the database's clock. It is removed at
 *           the end of the check; a later check removes those that a killed one has left.
 */
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { PostgresSession } from "../postgres/session.js"
import { parseSchemaName, type SchemaName } from "../postgres/schema.js"

const NAME = /^hayloft_check_(\d{1,12})_[0-9a-f]{8}$/
const OLD_SECONDS = 3_600
const LOCK_TIMEOUT = "10s"

async function nowSeconds(session: PostgresSession): Promise<number> {
  const [[text] = []] = await session.script("SELECT floor(extract(epoch FROM now()))::bigint")
  return Number(text)
}

export async function newScratchName(session: PostgresSession, random: Random): Promise<SchemaName> {
  const id = Buffer.from(random.bytes(4)).toString("hex")
  return parseSchemaName(`hayloft_check_${await nowSeconds(session)}_${id}`)
}

/** Schemas that checks have left which began more than an hour ago. */
export async function findLeftovers(session: PostgresSession): Promise<readonly SchemaName[]> {
  const now = await nowSeconds(session)
  const rows = await session.script(
    "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'hayloft!_check!_%' ESCAPE '!'",
  )
  return rows.flatMap(([name = ""]) => {
    const [, beganSeconds] = NAME.exec(name) ?? []
    return beganSeconds !== undefined && Number(beganSeconds) < now - OLD_SECONDS ? [parseSchemaName(name)] : []
  })
}

/** Throws what the server reports. */
export async function dropScratch(session: PostgresSession, schema: SchemaName): Promise<void> {
  // Commits of cut connections may still hold locks. It need not be durable: a leftover is found later.
  const settings = `SET LOCAL lock_timeout = '${LOCK_TIMEOUT}'; SET LOCAL synchronous_commit = off;`
  await session.script(`BEGIN; ${settings} DROP SCHEMA IF EXISTS ${schema} CASCADE; COMMIT`)
}
