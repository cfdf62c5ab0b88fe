/**
 * A PostgreSQL server on a loopback port as a child process, for `npm run dev -- --nodes` and for tests.
 *
 * Promises  It never runs as root: a root process starts it as the user `postgres`, or else `nobody`. `stop` with
 *           "immediate" leaves it as a crash does; `start` recovers it, on the same port. A Ctrl-C in the terminal does
 *           not reach it: its caller stops it after the processes that use it.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process"
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs"
import { chown, mkdir } from "node:fs/promises"
import { connect, Socket } from "node:net"
import { userInfo } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { promisify } from "node:util"
import { NEVER } from "@hayloft/base/never.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

const READY_TIMEOUT_MS = 120_000
const READY_POLL_MS = 20
const COMMAND_TIMEOUT_MS = 120_000
const OUTPUT_CHARACTERS_KEPT = 20_000
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024
/** Debian keeps the server's programs here, one folder for each major version. */
const DEBIAN_VERSIONS = "/usr/lib/postgresql"
const DATABASE = "hayloft"
/** How the files of a server are made. */
export const INITDB = [
  "--username",
  "hayloft",
  "--auth",
  "trust",
  "--encoding",
  "UTF8",
  "--locale",
  "C",
  "--no-sync",
  "--no-instructions",
] as const

/** How it ends: sessions are cut and data is written (SIGINT), or nothing is written, as in a crash (SIGQUIT). */
const SIGNALS = { fast: "SIGINT", immediate: "SIGQUIT", kill: "SIGKILL" } as const

/** The folder of the newest server's programs; undefined if PostgreSQL is not installed. */
export function findPostgres(): string | undefined {
  const versions = existsSync(DEBIAN_VERSIONS) ? readdirSync(DEBIAN_VERSIONS) : []
  const newest = versions.sort((a, b) => Number(b) - Number(a)).map(version => join(DEBIAN_VERSIONS, version, "bin"))
  const inPath = (process.env["PATH"] ?? "").split(delimiter)
  return [...newest.slice(0, 1), ...inPath].find(folder => isProgram(join(folder, "initdb")))
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** The user that runs the server: ourselves, unless we are root. */
export function serverUser(): User {
  const own = userInfo()
  if (own.uid !== 0) return { name: own.username, uid: own.uid, gid: own.gid }
  const lines = readFileSync("/etc/passwd", "utf8").split("\n")
  for (const name of ["postgres", "nobody"]) {
    const [, , uid, gid] = lines.find(line => line.startsWith(`${name}:`))?.split(":") ?? []
    if (uid !== undefined && gid !== undefined) return { name, uid: Number(uid), gid: Number(gid) }
  }
  throw new Error("neither a user postgres nor nobody: PostgreSQL must not run as root")
}

interface PostgresPlace {
  /** With everything that it writes. */
  readonly folder: string
  readonly port: number
  /** Settings by name, as in `postgresql.conf`. */
  readonly settings?: Readonly<Record<string, string>>
  /** Called with each child process, so that none outlives this process. */
  readonly onSpawn: (child: ChildProcess) => void
}

export class PostgresProcess {
  private readonly programs: string
  private readonly user: User
  private child: ChildProcess | undefined
  private output = ""

  constructor(
    protected readonly place: PostgresPlace,
    private readonly clock: Clock,
  ) {
    const programs = findPostgres()
    if (programs === undefined) throw new Error("PostgreSQL is not installed")
    this.programs = programs
    this.user = serverUser()
  }

  get folder(): string {
    return this.place.folder
  }

  get port(): number {
    return this.place.port
  }

  /** The process id of the server's first process, while it runs. */
  get pid(): number {
    return this.child?.pid ?? 0
  }

  protected get data(): string {
    return join(this.folder, "data")
  }

  get url(): string {
    return this.urlOf(DATABASE)
  }

  urlOf(database: string): string {
    return `postgres://hayloft@127.0.0.1:${this.port}/${database}`
  }

  /** The latest output of the server, for messages. */
  get log(): string {
    return this.output
  }

  /** Makes the folder, for the user that runs the server. */
  async makeFolder(): Promise<void> {
    const { uid, gid, name } = this.user
    await mkdir(this.folder, { recursive: true })
    await chown(this.folder, uid, gid)
    try {
      await this.runAs("initdb", ["--version"])
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EACCES")) throw error
      throw new Error(`the user ${name}, who runs PostgreSQL, may not enter ${dirname(this.folder)}`, { cause: error })
    }
  }

  /** Starts the server in its folder, which is empty or from an earlier run. */
  async open(): Promise<void> {
    await this.makeFolder()
    if (!existsSync(this.data)) await this.makeData()
    await this.start()
    const has = await this.sql(`SELECT 1 FROM pg_database WHERE datname = '${DATABASE}'`)
    if (has === "") await this.sql(`CREATE DATABASE ${DATABASE}`)
  }

  /** Makes the files of a new server. */
  protected async makeData(): Promise<void> {
    await this.runAs("initdb", ["--pgdata", this.data, ...INITDB])
  }

  /** Runs one of PostgreSQL's programs as the server's user; returns its standard output. */
  protected async runAs(program: string, args: readonly string[]): Promise<string> {
    const { uid, gid } = this.user
    const limits = { timeout: COMMAND_TIMEOUT_MS, killSignal: "SIGKILL", maxBuffer: OUTPUT_BYTES_MAX } as const
    // The user may not be allowed to read the current folder.
    const options = { uid, gid, cwd: this.folder, ...limits }
    const running = promisify(execFile)(join(this.programs, program), [...args], options)
    this.place.onSpawn(running.child)
    return (await running).stdout
  }

  /** Starts it (again) and waits until it accepts connections. */
  async start(): Promise<void> {
    const settings = {
      listen_addresses: "127.0.0.1",
      port: String(this.port),
      unix_socket_directories: "",
      ...this.place.settings,
    }
    const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const { uid, gid } = this.user
    const child = spawn(join(this.programs, "postgres"), ["-D", this.data, ...args], {
      uid,
      gid,
      cwd: this.folder,
      // In a process group of its own.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    })
    this.place.onSpawn(child)
    const keep = (chunk: string) => (this.output = (this.output + chunk).slice(-OUTPUT_CHARACTERS_KEPT))
    child.stdout.setEncoding("utf8").on("data", keep)
    child.stderr.setEncoding("utf8").on("data", keep)
    this.child = child
    const deadline = this.clock.monotonicMs() + READY_TIMEOUT_MS
    while (!(await this.isReady())) {
      if (child.exitCode !== null || this.clock.monotonicMs() > deadline) {
        throw new Error(`PostgreSQL did not start (${child.exitCode}):\n${this.output}`)
      }
      await this.clock.sleep(READY_POLL_MS, NEVER)
    }
  }

  private async isReady(): Promise<boolean> {
    if (!(await accepts(this.port))) return false
    return this.runAs("pg_isready", ["-h", "127.0.0.1", "-p", String(this.port), "-q"]).then(
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
