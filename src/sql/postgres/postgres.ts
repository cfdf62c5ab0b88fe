/**
 * PostgreSQL as the database of the SQL engine: connects to the host that accepts writes, and brings the schema up to
 * this program's version.
 *
 * A URL may name several hosts (`postgres://user@a:5432,b:5432/name`), as libpq's do: the first that accepts writes is
 * used.
 */
import { DatabaseError } from "pg"
import { fail } from "../../base/failures.js"
import { ConnectionLost, type Database } from "../database.js"
import { MIGRATIONS, SCHEMA_VERSION } from "./schema.js"
import { PostgresSession } from "./session.js"

/** Nodes that start at the same time create the schema at the same time: one of them fails, and finds it then. */
const CREATION_TRIES = 5
const CONNECT_TIMEOUT_MS = 10_000

/** One URL for each host, in the order of the URL. Throws `invalidArgument`. */
function hostsOf(url: string): readonly string[] {
  const [, scheme, user = "", hosts = "", rest = ""] =
    /^(postgres(?:ql)?:\/\/)([^@/]*@)?([^/?#]*)(.*)$/s.exec(url) ?? []
  if (scheme === undefined)
    throw fail("invalidArgument", { message: "the database URL does not begin with postgres://" })
  return hosts.split(",").map(host => `${scheme}${user}${host}${rest}`)
}

const CREATE_VERSION_TABLE = `
CREATE SCHEMA IF NOT EXISTS hayloft;
CREATE TABLE IF NOT EXISTS hayloft.schema_version (
  one boolean PRIMARY KEY DEFAULT true CHECK (one), version integer NOT NULL
);
INSERT INTO hayloft.schema_version (version) VALUES (0) ON CONFLICT DO NOTHING`

export class Postgres implements Database {
  private readonly hosts: readonly string[]

  /** Throws `invalidArgument`. */
  constructor(url: string) {
    this.hosts = hostsOf(url)
  }

  async connect(): Promise<PostgresSession> {
    let last: unknown
    for (const connectionString of this.hosts) {
      try {
        const config = { connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, application_name: "hayloft" }
        const session = await PostgresSession.open(config)
        if (await session.acceptsWrites()) return session
        await session.close()
        last = new ConnectionLost("the database is a read-only replica")
      } catch (error) {
        last = error
      }
    }
    throw last
  }

  /** Creates the schema, or brings it to this program's version. Throws `conflict` if it is newer. */
  async migrate(): Promise<void> {
    const session = await this.connect()
    try {
      await createVersionTable(session)
      await session.script("BEGIN")
      const [[text] = []] = await session.script("SELECT version FROM hayloft.schema_version FOR UPDATE")
      const found = Number(text)
      if (found > SCHEMA_VERSION) {
        throw fail("conflict", { message: "a newer version of Hayloft has migrated the database: upgrade this node" })
      }
      for (const migration of MIGRATIONS.slice(found)) await session.script(migration)
      await session.script(`UPDATE hayloft.schema_version SET version = ${SCHEMA_VERSION}`)
      await session.script("COMMIT")
    } finally {
      await session.close()
    }
  }
}

async function createVersionTable(session: PostgresSession): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await session.script(CREATE_VERSION_TABLE)
      return
    } catch (error) {
      if (tries === CREATION_TRIES || !(error instanceof DatabaseError)) throw error
    }
  }
}
