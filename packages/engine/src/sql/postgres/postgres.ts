/**
 * PostgreSQL as the database of the SQL engine: connects to the host that accepts writes, and brings the schema up to
 * this program's version.
 *
 * A URL may name several hosts (`postgres://user@a:5432,b:5432/name`), as libpq's do: the first that says that it accepts
 * writes is used.
 */
import { DatabaseError } from "pg"
import { fail } from "@hayloft/base/failures.js"
import { ConnectionLost, type Database } from "../database.js"
import { HAYLOFT_SCHEMA, migrationsOf, SCHEMA_VERSION, versionTableOf, type SchemaName } from "./schema.js"
import { PostgresSession } from "./session.js"
import { statementsOf, type Statements } from "./statements.js"
import { hostsOf } from "./url.js"

/** Nodes that start at the same time create the schema at the same time: one of them fails, and finds it then. */
const CREATION_TRIES = 5
const CONNECT_TIMEOUT_MS = 10_000
/** Then the connection counts as lost: the server may have vanished without a word. */
const STATEMENT_TIMEOUT_MS = 30_000

interface PostgresSettings {
  readonly schema?: SchemaName
  readonly statements?: Statements
}

/** Connects to the one host of a URL, whether or not it accepts writes. Throws `ConnectionLost`. */
export function connectTo(connectionString: string, statements: Statements): Promise<PostgresSession> {
  const config = {
    connectionString,
    application_name: "hayloft",
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS,
  }
  return PostgresSession.open(config, statements)
}

export class Postgres implements Database {
  private readonly hosts: readonly string[]
  private readonly schema: SchemaName
  private readonly statements: Statements

  /** Throws `invalidArgument`. */
  constructor(url: string, { schema = HAYLOFT_SCHEMA, statements = statementsOf(schema) }: PostgresSettings = {}) {
    this.hosts = hostsOf(url).map(host => host.url)
    this.schema = schema
    this.statements = statements
  }

  /** Asks all hosts at once: one that is switched off answers nothing, and must not delay the others. */
  async connect(): Promise<PostgresSession> {
    const asked = this.hosts.map(host => this.connectToWrite(host))
    try {
      const first = await Promise.any(asked)
      const closeOther = (session: PostgresSession) => (session === first ? undefined : session.close())
      for (const other of asked) other.then(closeOther, () => undefined)
      return first
    } catch (error) {
      throw error instanceof AggregateError ? error.errors.at(-1) : error
    }
  }

  private async connectToWrite(host: string): Promise<PostgresSession> {
    const session = await connectTo(host, this.statements)
    if (await session.acceptsWrites()) return session
    await session.close()
    throw new ConnectionLost("the database is a read-only replica")
  }

  async migrate(): Promise<void> {
    const session = await this.connect()
    try {
      await this.createVersionTable(session)
      await session.script("BEGIN")
      const [[text] = []] = await session.script(`SELECT version FROM ${this.schema}.schema_version FOR UPDATE`)
      const found = Number(text)
      await this.checkNeighbour(session, found)
      for (const migration of migrationsOf(this.schema).slice(found)) await session.script(migration)
      const version = Math.max(found, SCHEMA_VERSION)
      await session.script(`UPDATE ${this.schema}.schema_version SET version = ${version}`)
      await session.script("COMMIT")
    } finally {
      await session.close()
    }
  }

  /** Throws `conflict` unless this program may use, or migrate, a schema of this version while others use it. */
  private async checkNeighbour(session: PostgresSession, found: number): Promise<void> {
    if (found > SCHEMA_VERSION + 1) {
      throw fail("conflict", { message: "a newer version of Hayloft has migrated the database: upgrade this node" })
    }
    if (found === 0 || found >= SCHEMA_VERSION - 1) return
    const [[node] = []] = await session.script(`SELECT node FROM ${this.schema}.incarnations WHERE NOT ended LIMIT 1`)
    if (node === undefined) return
    throw fail("conflict", {
      message: `node ${node} runs a version of Hayloft that is too old for the schema of this one: upgrade all nodes one release at a time, or stop all of them first`,
    })
  }

  private async createVersionTable(session: PostgresSession): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await session.script(versionTableOf(this.schema))
        return
      } catch (error) {
        if (tries === CREATION_TRIES || !(error instanceof DatabaseError)) throw error
      }
    }
  }
}
