/** A PostgreSQL database as a store opens it. Messages never show its password. */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, type Incarnation, type StoreId } from "@hayloft/base/ids.js"
import { CONTROL_ROW_KEY, decodeControlRow, type ControlRow, type ConversionRow } from "../format/nodes/cluster-rows.js"
import { clusterRowIn, conversionIn } from "./before-incarnation.js"
import { ConnectionLost, OutcomeUnknown, TryAgain, type Database, type Session } from "./database.js"
import type { SqlSeams } from "./incarnation.js"
import { Postgres } from "./postgres/postgres.js"
import { maskedUrl, withoutPasswords } from "./postgres/url.js"
import type { AttestedMark } from "./seen-core.js"
import { SqlMetadata } from "./sql-metadata.js"

export class StoreDatabase {
  private constructor(
    private readonly url: string,
    private readonly database: Database,
  ) {}

  /**
   * Connects, and brings the schema up to date. Throws `databaseUnreachable`, `invalidConfig` if the database refuses
   * the schema, `conflict` if the schema is newer than this program.
   */
  static async open(url: string): Promise<StoreDatabase> {
    const opened = new StoreDatabase(url, new Postgres(url))
    await opened.explained(() => opened.database.migrate())
    return opened
  }

  /** The store's database, simulated or real, whose schema is up to date. `url` is shown in messages. */
  static over(database: Database, url: string): StoreDatabase {
    return new StoreDatabase(url, database)
  }

  storeId(): Promise<StoreId | undefined> {
    return this.inSession(session => session.storeId())
  }

  claim(storeId: StoreId): Promise<StoreId> {
    return this.inSession(session => session.claim(storeId))
  }

  /** The store's control record, also before any incarnation has begun; undefined: there is none. */
  async control(): Promise<ControlRow | undefined> {
    const value = await this.inSession(session => clusterRowIn(session, CONTROL_ROW_KEY))
    return value && decodeControlRow(value)
  }

  /** Returns where the metadata of a converted store is, also before any incarnation has begun. */
  conversion(): Promise<ConversionRow | undefined> {
    return this.inSession(conversionIn)
  }

  /** The highest one that has begun, or was skipped. */
  highestIncarnation(): Promise<Incarnation> {
    return this.inSession(async session => parseIncarnation((await session.incarnations()).highest))
  }

  /** Commits of incarnations that begin from now on have later timestamps than this one. */
  skipTimestamps(upToUs: number): Promise<void> {
    return this.inSession(session => session.skipTimestamps(upToUs))
  }

  /** Incarnations that begin from now on have higher numbers than this one. */
  skipIncarnations(upTo: number): Promise<void> {
    return this.inSession(session => session.skipIncarnations(upTo))
  }

  /**
   * `marks`: what devices of the node attest of the database. `moves`: the process moves the store to the database or
   * away; any other one is refused with `metadataElsewhere` unless the database keeps the metadata.
   */
  open(
    seams: Omit<SqlSeams, "database">,
    node: string,
    marks: readonly AttestedMark[] = [],
    moves?: boolean,
  ): Promise<SqlMetadata> {
    return this.explained(() => SqlMetadata.open({ ...seams, database: this.database, node, marks, moves }))
  }

  private inSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.explained(async () => {
      const session = await this.database.connect()
      try {
        return await work(session)
      } finally {
        await session.close()
      }
    })
  }

  private async explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (isFailure(error)) throw error
      const reason = withoutPasswords(this.url, error instanceof Error ? error.message : String(error))
      if (error instanceof ConnectionLost) {
        throw fail("databaseUnreachable", { message: `${maskedUrl(this.url)} cannot be reached: ${reason}` }, error)
      }
      if (error instanceof OutcomeUnknown || error instanceof TryAgain) {
        const message = `${maskedUrl(this.url)} has not confirmed a statement: ${reason}; start again`
        throw fail("databaseUnreachable", { message }, error)
      }
      throw fail("invalidConfig", { message: `${maskedUrl(this.url)} refuses Hayloft's schema: ${reason}` }, error)
    }
  }
}
