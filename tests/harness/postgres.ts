/**
 * A real PostgreSQL server on a loopback port, for tests of everything that keeps its metadata in one.
 *
 * Promises  It never runs as root: a root process starts it as the user `postgres`, or else `nobody`. `stop` with
 *           "immediate" leaves it as a crash does; `start` recovers it, on the same port. No server outlives this process.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { chown, mkdtemp, rm } from "node:fs/promises"
import { connect, Socket } from "node:net"
import { userInfo } from "node:os"
import { join } from "node:path"
import { setTimeout as later } from "node:timers/promises"
import { bindChild, findProgram, runOk } from "./commands.js"
import { quietParent } from "./folders.js"
import { freePort } from "./free-port.js"

const READY_TIMEOUT_MS = 120_000
const READY_POLL_MS = 20
const OUTPUT_CHARACTERS_KEPT = 20_000
/** Debian keeps the server's programs here, one folder for each major version. */
const DEBIAN_VERSIONS = "/usr/lib/postgresql"

/** How it ends: sessions are cut and data is written (SIGINT), or nothing is written, as in a crash (SIGQUIT). */
const SIGNALS = { fast: "SIGINT", immediate: "SIGQUIT", kill: "SIGKILL" } as const

/** The folder of the newest server's programs; undefined if PostgreSQL is not installed. */
export function findPostgres(): string | undefined {
  const versions = existsSync(DEBIAN_VERSIONS) ? readdirSync(DEBIAN_VERSIONS) : []
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0]
  const debian = newest === undefined ? undefined : join(DEBIAN_VERSIONS, newest, "bin")
  if (debian !== undefined && existsSync(join(debian, "initdb"))) return debian
  return findProgram("initdb")?.slice(0, -"/initdb".length)
}

/** Why tests that need PostgreSQL are skipped; false: they run. */
export const noPostgres: string | false = findPostgres() === undefined && "PostgreSQL is not installed"

interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** The user that runs the server: ourselves, unless we are root. */
function serverUser(): User {
  const own = userInfo()
  if (own.uid !== 0) return { name: own.username, uid: own.uid, gid: own.gid }
  const lines = readFileSync("/etc/passwd", "utf8").split("\n")
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = lines.find(line => line.startsWith(`${name}:`))?.split(":") ?? []
    if (uid !== undefined && gid !== undefined) return { name, uid: Number(uid), gid: Number(gid) }
  }
  throw new Error("neither a user postgres nor nobody: PostgreSQL must not run as root")
}

export class PostgresServer {
  private child: ChildProcess | undefined
  private output = ""

  private constructor(
    private readonly programs: string,
    /** With everything that it writes. */
    readonly folder: string,
    private readonly user: User,
    readonly port: number,
    /** Settings by name, as in `postgresql.conf`. */
    private readonly settings: Readonly<Record<string, string>>,
  ) {}

  /** A new, empty server. */
  static async create(settings: Readonly<Record<string, string>> = {}): Promise<PostgresServer> {
    const programs = findPostgres()
    if (programs === undefined) throw new Error("PostgreSQL is not installed")
    const user = serverUser()
    const folder = await mkdtemp(join(quietParent(), "hayloft-postgres-"))
    await chown(folder, user.uid, user.gid)
    const server = new PostgresServer(programs, folder, user, await freePort(), settings)
    try {
      const data = ["--pgdata", server.data, "--username", "hayloft", "--auth", "trust", "--encoding", "UTF8"]
      await server.runAs("initdb", [...data, "--locale", "C", "--no-sync", "--no-instructions"])
      await server.start()
      await server.sql("CREATE DATABASE hayloft")
    } catch (error) {
      await server.dispose()
      throw error
    }
    return server
  }

  /** A standby that follows this server, asynchronously. */
  async standby(): Promise<PostgresServer> {
    const { programs, user, settings } = this
    const folder = await mkdtemp(join(quietParent(), "hayloft-standby-"))
    await chown(folder, user.uid, user.gid)
    const standby = new PostgresServer(programs, folder, user, await freePort(), settings)
    try {
      const primary = ["-h", "127.0.0.1", "-p", String(this.port), "-U", "hayloft"]
      const copy = ["-D", standby.data, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
      await standby.runAs("pg_basebackup", [...primary, ...copy])
      await standby.start()
    } catch (error) {
      await standby.dispose()
      throw error
    }
    return standby
  }

  private get data(): string {
    return join(this.folder, "data")
  }

  get url(): string {
    return this.urlOf("hayloft")
  }

  urlOf(database: string): string {
    return `postgres://hayloft@127.0.0.1:${this.port}/${database}`
  }

  /** The output of the server, for messages of failing tests. */
  get log(): string {
    return this.output
  }

  private runAs(program: string, args: readonly string[]): Promise<string> {
    const { uid, gid } = this.user
    const path = join(this.programs, program)
    // The user may not be allowed to read the current folder.
    return runOk(path, args, { uid, gid, cwd: this.folder })
  }

  /** Starts it (again) and waits until it accepts connections. */
  async start(): Promise<void> {
    const settings = {
      listen_addresses: "127.0.0.1",
      port: String(this.port),
      unix_socket_directories: "",
      ...this.settings,
    }
    const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const { uid, gid } = this.user
    const child = spawn(join(this.programs, "postgres"), ["-D", this.data, ...args], {
      ...{ uid, gid, cwd: this.folder },
      stdio: ["ignore", "pipe", "pipe"],
    })
    bindChild(child)
    const keep = (chunk: string) => (this.output = (this.output + chunk).slice(-OUTPUT_CHARACTERS_KEPT))
    child.stdout.setEncoding("utf8").on("data", keep)
    child.stderr.setEncoding("utf8").on("data", keep)
    this.child = child
    const deadline = performance.now() + READY_TIMEOUT_MS
    while (!(await this.isReady())) {
      if (child.exitCode !== null || performance.now() > deadline) {
        throw new Error(`PostgreSQL did not start (${child.exitCode}):\n${this.output}`)
      }
      await later(READY_POLL_MS)
    }
  }

  private async isReady(): Promise<boolean> {
    if (!(await accepts(this.port))) return false
    const { uid, gid } = this.user
    const args = ["-h", "127.0.0.1", "-p", String(this.port), "-q"]
    return runOk(join(this.programs, "pg_isready"), args, { uid, gid, cwd: this.folder }).then(
      () => true,
      () => false,
    )
  }

  /** Runs SQL as its superuser; returns the rows as lines, columns separated by a tab. */
  sql(text: string, database = "postgres"): Promise<string> {
    const address = ["-h", "127.0.0.1", "-p", String(this.port), "-U", "hayloft", "-d", database]
    return this.runAs("psql", [...address, "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", text])
  }

  async stop(how: keyof typeof SIGNALS = "fast"): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(resolve => child.once("exit", resolve))
    child.kill(SIGNALS[how])
    await ended
  }

  /** This process may end without stopping it; the server then ends too, and its folder stays. */
  unref(): void {
    this.child?.unref()
    for (const pipe of [this.child?.stdout, this.child?.stderr]) if (pipe instanceof Socket) pipe.unref()
  }

  /** Ends it and removes its folder. */
  async dispose(): Promise<void> {
    await this.stop("immediate")
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, "127.0.0.1")
    const end = (isOpen: boolean) => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once("connect", () => end(true)).once("error", () => end(false))
  })
}

/** A new database server for the work, removed after it. */
export async function withPostgres<T>(
  work: (postgres: PostgresServer) => Promise<T>,
  settings: Readonly<Record<string, string>> = {},
): Promise<T> {
  const postgres = await PostgresServer.create(settings)
  try {
    return await work(postgres)
  } finally {
    await postgres.dispose()
  }
}
