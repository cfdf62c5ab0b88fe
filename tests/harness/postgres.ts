/**
 * A real PostgreSQL server in a temporary folder, for tests of everything that keeps its metadata in one.
 *
 * Promises  No server outlives this process. The rest as `PostgresProcess` (packages/client/src/testing-postgres.ts).
 */
import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { findPostgres, INITDB, PostgresProcess, serverUser } from "@hayloft/client/testing-postgres.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { bindChild } from "./commands.js"
import { quietParent } from "./folders.js"
import { freePort } from "./free-port.js"

/** The reason why tests that need PostgreSQL are skipped; false: they run. */
export const noPostgres: string | false = findPostgres() === undefined && "PostgreSQL is not installed"

/** With their owners, also as root: the server runs as another user then. */
const copyFiles = (from: string, to: string) => promisify(execFile)("cp", ["-a", from, to])

/** Relative to dist/tests/harness/. */
const CACHE = fileURLToPath(new URL("../../../.cache/postgres/", import.meta.url))

type Settings = Readonly<Record<string, string>>

export class PostgresServer extends PostgresProcess {
  private constructor(folder: string, port: number, settings: Settings) {
    super({ folder, port, settings, onSpawn: bindChild }, new RealClock())
  }

  private static async make(
    prefix: string,
    settings: Settings,
    begin: (server: PostgresServer) => Promise<void>,
  ): Promise<PostgresServer> {
    const server = new PostgresServer(await mkdtemp(join(quietParent(), prefix)), await freePort(), settings)
    try {
      await begin(server)
    } catch (error) {
      await server.dispose()
      throw error
    }
    return server
  }

  /** A new, empty server. */
  static create(settings: Settings = {}): Promise<PostgresServer> {
    return PostgresServer.make("hayloft-postgres-", settings, server => server.open())
  }

  /** Made once on this machine, and copied from then on: making them costs ten times as much. */
  protected override async makeData(): Promise<void> {
    const { name } = serverUser()
    const kind = [await this.runAs("initdb", ["--version"]), name, ...INITDB].join(" ")
    const made = join(CACHE, createHash("sha256").update(kind).digest("hex").slice(0, 16))
    if (existsSync(made)) {
      await copyFiles(made, this.data)
      return
    }
    await super.makeData()
    await mkdir(CACHE, { recursive: true })
    const own = await mkdtemp(join(CACHE, "new-"))
    await copyFiles(this.data, join(own, "data"))
    // Another test may have been first.
    await rename(join(own, "data"), made).catch(() => undefined)
    await rm(own, { recursive: true, force: true })
  }

  /** A standby that follows this server, asynchronously. */
  standby(): Promise<PostgresServer> {
    const primary = ["-h", "127.0.0.1", "-p", String(this.port), "-U", "hayloft"]
    const copy = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    return PostgresServer.make("hayloft-standby-", this.place.settings ?? {}, async server => {
      await server.makeFolder()
      await server.runAs("pg_basebackup", [...primary, "-D", server.data, ...copy])
      await server.start()
    })
  }

  /** Stops it, copies all its files, and starts it again. */
  async save(): Promise<void> {
    await this.stop("fast")
    await rm(this.saved, { recursive: true, force: true })
    await copyFiles(this.data, this.saved)
    await this.start()
  }

  /** Puts it back to the moment of `save`. */
  async restore(): Promise<void> {
    await this.stop("immediate")
    await rm(this.data, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    await copyFiles(this.saved, this.data)
    await this.start()
  }

  private get saved(): string {
    return `${this.data}.saved`
  }

  /** Ends it and removes its folder. */
  async dispose(): Promise<void> {
    await this.stop("immediate")
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** A new database server for the work, removed after it. */
export async function withPostgres<T>(
  work: (postgres: PostgresServer) => Promise<T>,
  settings: Settings = {},
): Promise<T> {
  const postgres = await PostgresServer.create(settings)
  try {
    return await work(postgres)
  } finally {
    await postgres.dispose()
  }
}
