/** Empty databases for tests, copies of one whose schema is current. */
import { PostgresServer } from "../harness/postgres.js"
import { Postgres } from "@hayloft/engine/sql/index.js"

export class Databases {
  private made = 0

  private constructor(readonly server: PostgresServer) {}

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<Databases> {
    const server = await PostgresServer.create({ fsync: "off", max_connections: "200", ...settings })
    try {
      await new Postgres(server.url).migrate()
    } catch (error) {
      await server.dispose()
      throw error
    }
    return new Databases(server)
  }

  /** The URL of a new database. */
  async create(): Promise<string> {
    this.made += 1
    const name = `store_${this.made}`
    await this.server.sql(`CREATE DATABASE ${name} TEMPLATE hayloft`)
    return this.server.urlOf(name)
  }

  stop(): Promise<void> {
    return this.server.dispose()
  }
}
