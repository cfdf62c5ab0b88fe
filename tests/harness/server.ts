/**
 * A real server process on free loopback ports, for tests that use Hayloft from outside.
 *
 * Promises  `start` resolves when the admin port reports ready; `kill` is SIGKILL and `stop` is SIGTERM, each by
 *           pid and awaited; a restart keeps ports, keys and folders. No server outlives this process.
 */
import { spawn } from "node:child_process"
import type { ChildProcess, ChildProcessByStdio } from "node:child_process"
import type { Readable } from "node:stream"
import { setTimeout as later } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { Client } from "../../conformance/client.js"
import { exchange, parseEndpoint } from "../../conformance/raw-client.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { bindChild, run, runOk } from "./commands.js"
import type { CommandResult } from "./commands.js"
import { runningStore, usualEnvironment, type RunningStore } from "./cluster.js"
import { freePort } from "./free-port.js"
import { threadsOfRun, withThreads } from "./threads.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"

export const ROOT = fileURLToPath(new URL("../../../", import.meta.url))
export const HAYLOFT = `${ROOT}bin/hayloft`
const READY_TIMEOUT_MS = 120_000
const READY_POLL_MS = 25
/** Before the server has written anything: it does so once it is ready, and each look costs processor time. */
const SILENT_POLL_MS = 250
/** Long, because the last checkpoints of many devices are slow on a busy machine. */
const STOP_TIMEOUT_MS = 120_000
/** More than any test needs: a start on a busy machine logs hundreds of requests of those who wait for it. */
const OUTPUT_CHARACTERS_KEPT = 2 ** 20

/** The rests of jobs are shorter in a test than in a store of users. */
export const HURRIED_JOBS = { HAYLOFT_TEST_HASTE: "8" } as const

export interface ServerOptions {
  readonly folders: readonly string[]
  /** Additional arguments of `serve`. */
  readonly args?: readonly string[]
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string }
  readonly env?: Readonly<Record<string, string>>
  /** The checkout whose program runs, with a slash at the end; default: this one. */
  readonly root?: string
  /** The Node that runs the program, such as `NODE_24`, in a store of its own; default: the one that runs the tests. */
  readonly node?: string | undefined
  /** The server is called as MinIO's: folders and addresses are its arguments, and its root key is in `env`. */
  readonly isMinio?: boolean
  /** Front threads, under Node 24, in a store of its own; default: `TEST_THREADS` of the run, unless `root` or `node` is given. */
  readonly threads?: number
}

export const CREDENTIALS = { accessKey: "HAYLOFTTESTKEY000000", secretKey: "test/secret+with/signs0123456789abcdefgh" }
export const REGION = "us-east-1"

/** Tests use a store that runs already, with the folders that it has. */
export const isStoreGiven = (): boolean => runningStore() !== undefined

export interface BucketUsage {
  readonly objects: number
  readonly versions: number
  readonly bytes: number
  readonly uploads: number
}

function adminTokenOf({ code, stdout, stderr }: CommandResult): string {
  const token = /"HAYLOFT_ADMIN_TOKEN":"([^"]+)"/.exec(stdout)?.[1]
  if (code !== 0 || token === undefined) throw new Error(`hayloft env --admin: ${code} ${stderr}`)
  return token
}

/** The counters in the admin API's answer about a bucket. */
export function parseUsage(value: unknown): BucketUsage {
  const usage = typeof value === "object" && value !== null && "usage" in value ? value.usage : undefined
  const number = (name: string): number => {
    const entries: readonly (readonly [string, unknown])[] = Object.entries(usage ?? {})
    const found = entries.find(([key]) => key === name)?.[1]
    if (typeof found !== "number") throw new Error(`no ${name} in ${JSON.stringify(value)}`)
    return found
  }
  return {
    objects: number("objects"),
    versions: number("versions"),
    bytes: number("bytes"),
    uploads: number("uploads"),
  }
}

const OWN_ROOT_KEY = {
  HAYLOFT_ROOT_ACCESS_KEY: CREDENTIALS.accessKey,
  HAYLOFT_ROOT_SECRET_KEY: CREDENTIALS.secretKey,
}

/** The command and its arguments before those of the test. */
function startOf({ folders, isMinio }: ServerOptions, s3: string, admin: string): readonly string[] {
  if (isMinio === true) return ["server", ...folders, "--address", s3, "--console-address", admin]
  return ["serve", ...folders.flatMap(folder => ["--data", folder]), "--listen", s3, "--admin-listen", admin]
}

export class ServerProcess {
  private child: ChildProcess | undefined
  private output = ""

  private constructor(
    private readonly options: ServerOptions,
    readonly port: number,
    readonly adminPort: number,
  ) {}

  static async start(options: ServerOptions): Promise<ServerProcess> {
    const { root, node, threads, isMinio = false } = options
    const isOwn = root !== undefined || node !== undefined || threads !== undefined || isMinio
    const running = isOwn ? undefined : runningStore()
    if (running !== undefined) return ServerProcess.of(running, options)
    const env = { ...(root === undefined ? await usualEnvironment(options.folders) : {}), ...options.env }
    const server = new ServerProcess({ ...options, env }, await freePort(), await freePort())
    await server.launch()
    return server
  }

  /** Returns the process of a store that runs already; TLS is served by a gateway of its own. */
  private static async of(store: RunningStore, options: ServerOptions): Promise<ServerProcess> {
    const { folders, port, adminPort } = store
    const env = { ...options.env, ...store.env }
    if (!options.tls) return new ServerProcess({ ...options, folders, env }, port, adminPort)
    const args = [...(options.args ?? []), "--node", `gateway-${process.pid}`, "--zone", "a"]
    const gateway = new ServerProcess({ ...options, folders: [], env, args }, await freePort(), await freePort())
    await gateway.launch()
    return gateway
  }

  get endpoint(): string {
    return `${this.options.tls ? "https" : "http"}://127.0.0.1:${this.port}`
  }

  get adminEndpoint(): string {
    return `http://127.0.0.1:${this.adminPort}`
  }

  /** A raw client of the root account. */
  client(credentials = CREDENTIALS): Client {
    return new Client(parseEndpoint(this.endpoint, this.options.tls?.ca), credentials, REGION)
  }

  /** The output of all launches so far. */
  get log(): string {
    return this.output
  }

  /** The pid of the last launched process. */
  get pid(): number {
    const pid = this.child?.pid
    if (pid === undefined) throw new Error("the server was not launched")
    return pid
  }

  /** Resolves with the exit code once the process has ended. */
  get exited(): Promise<number | null> {
    const { child } = this
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child?.exitCode ?? null)
    return new Promise(resolve => void child.once("exit", code => resolve(code)))
  }

  private get program(): string {
    return `${this.options.root ?? ROOT}bin/hayloft`
  }

  private get env(): Record<string, string> {
    return {
      ...(this.options.isMinio === true ? {} : OWN_ROOT_KEY),
      ...this.options.env,
    }
  }

  /** Starts the process (again) and waits until it is ready. `args` and `more` variables: for this start. */
  async launch(args = this.options.args ?? [], more: Readonly<Record<string, string>> = {}): Promise<void> {
    const { tls, root, node, threads } = this.options
    const start = startOf(this.options, `127.0.0.1:${this.port}`, `127.0.0.1:${this.adminPort}`)
    const secure = tls ? ["--tls-cert", tls.cert, "--tls-key", tls.key] : []
    const isOther = root !== undefined || node !== undefined
    const front = threads ?? (isOther ? 0 : threadsOfRun(args, this.env))
    const threaded = front === 0 ? undefined : withThreads(front)
    const program = node ?? threaded?.node ?? process.execPath
    const child = spawn(program, [this.program, ...start, ...secure, ...args], {
      env: { ...process.env, ...this.env, ...more, ...threaded?.env },
      stdio: ["ignore", "pipe", "pipe"],
    })
    bindChild(child)
    child.stdout.setEncoding("utf8").on("data", chunk => this.keep(String(chunk)))
    child.stderr.setEncoding("utf8").on("data", chunk => this.keep(String(chunk)))
    this.child = child
    await this.waitReady(child)
  }

  /** A text is cut once it is twice as long, since a cut copies it: one for each line took a tenth of a test's time. */
  private keep(chunk: string): void {
    this.output += chunk
    if (this.output.length > 2 * OUTPUT_CHARACTERS_KEPT) this.output = this.output.slice(-OUTPUT_CHARACTERS_KEPT)
  }

  private async waitReady(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + READY_TIMEOUT_MS
    const written = new Promise(resolve => child.stdout?.once("data", resolve))
    while (performance.now() < deadline) {
      await Promise.race([written, later(SILENT_POLL_MS)])
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`the server ended with ${child.exitCode ?? child.signalCode}:\n${this.output}`)
      }
      const ready = await this.admin("GET", "/health/ready").catch(() => undefined)
      if (ready?.status === 200) return
      await later(READY_POLL_MS)
    }
    child.kill("SIGKILL")
    throw new Error(`the server was not ready within ${READY_TIMEOUT_MS} ms:\n${this.output}`)
  }

  admin(method: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<RawResponse> {
    const list = [["Host", `127.0.0.1:${this.adminPort}`], ...Object.entries(headers)] as const
    return exchange(
      { host: "127.0.0.1", port: this.adminPort },
      {
        method,
        target: path,
        headers: list.map(([name = "", value = ""]) => [name, value]),
      },
    )
  }

  /** Runs `hayloft ...` against this server: in this process, unless the program is of another checkout or needs a process. */
  async hayloft(args: readonly string[]): Promise<CommandResult> {
    const env = this.commandEnvironment()
    // Loaded on demand: the whole command line takes a moment.
    const { needsProcess, hayloftHere } = await import("./command-here.js")
    if (this.options.root === undefined && !needsProcess(args)) return hayloftHere(args, env)
    return run(process.execPath, [this.program, ...args], { env })
  }

  /** Runs commands with the modules of the program of another checkout, in this process. */
  async hayloftOfRoot(): Promise<(args: readonly string[]) => Promise<CommandResult>> {
    const { hayloftOf } = await import("./command-here.js")
    const runIn = await hayloftOf(this.options.root ?? ROOT)
    return args => runIn(args, this.commandEnvironment())
  }

  /** The same command while it runs: who starts it ends it. */
  startHayloft(args: readonly string[]): ChildProcessByStdio<null, Readable, null> {
    const env = this.commandEnvironment()
    return spawn(process.execPath, [this.program, ...args], { env, stdio: ["ignore", "pipe", "inherit"] })
  }

  private commandEnvironment(): NodeJS.ProcessEnv {
    return {
      ...this.env,
      HAYLOFT_DATA: this.options.folders.join(","),
      AWS_ENDPOINT_URL: this.endpoint,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKey,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretKey,
      AWS_REGION: REGION,
    }
  }

  private token: string | undefined

  /** The store's own token of the admin API. */
  async adminToken(): Promise<string> {
    return (this.token ??= await this.readToken())
  }

  private async readToken(): Promise<string> {
    // Another checkout may have folders of another form.
    if (this.options.root !== undefined) return adminTokenOf(await this.hayloft(["env", "--admin", "--json"]))
    // Loaded on demand, and half of what the whole command line is: most tests run no command.
    const { unsealRootCredentials } = await import("@hayloft/cli/credentials.js")
    const [keyFile, nextKeyFile] = [this.env["HAYLOFT_MASTER_KEY_FILE"], this.env["HAYLOFT_NEXT_MASTER_KEY_FILE"]]
    return (await unsealRootCredentials(this.options.folders, keyFile, nextKeyFile)).adminToken
  }

  private async adminText(path: string, method = "GET", expected = 200): Promise<string> {
    const { status, text } = await this.admin(method, path, { Authorization: `Bearer ${await this.adminToken()}` })
    if (status !== expected) throw new Error(`${method} ${path}: ${status} ${text}`)
    return text
  }

  /** Returns the admin API's answer to a path below `/v1`, requested with the store's own token. */
  async report(path: string): Promise<unknown> {
    return JSON.parse(await this.adminText(path))
  }

  metrics(): Promise<string> {
    return this.adminText("/metrics")
  }

  /** Makes a backup of the metadata that has all that is stored now: a rescue takes small objects from it. */
  async backUp(): Promise<void> {
    await this.adminText("/v1/backup", "POST", 202)
    await until("the backup is complete", async () => /"isOrdered":false/.test(await this.adminText("/v1/backup")))
  }

  /** Counters of a bucket, as the admin API reports them. */
  async usage(bucket: string): Promise<BucketUsage> {
    return parseUsage(await this.report(`/v1/buckets/${bucket}`))
  }

  private async end(signal: NodeJS.Signals, timeoutMs: number): Promise<number | null> {
    const child = this.child
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const ended = new Promise<number | null>(resolve => void child.once("exit", code => resolve(code)))
    child.kill(signal)
    const late = new AbortController()
    const code = await Promise.race([
      ended,
      later(timeoutMs, "late" as const, { signal: late.signal }).catch(() => null),
    ])
    late.abort()
    if (code !== "late") return code
    child.kill("SIGKILL")
    await ended
    throw new Error(`the server did not end within ${timeoutMs} ms of ${signal}:\n${this.output}`)
  }

  /** kill -9, and waits until the process is gone. A store that ran before goes on. */
  async kill(): Promise<void> {
    await this.end("SIGKILL", STOP_TIMEOUT_MS)
  }

  /** Requests the process to end; returns its exit code. */
  stop(): Promise<number | null> {
    return this.end("SIGTERM", STOP_TIMEOUT_MS)
  }
}

/** Starts a server, runs the work, and ends the server. */
export async function withServer<T>(options: ServerOptions, work: (server: ServerProcess) => Promise<T>): Promise<T> {
  const server = await ServerProcess.start(options)
  try {
    return await work(server)
  } finally {
    await server.kill()
  }
}

/**
 * A self-signed certificate for 127.0.0.1, localhost and buckets below it (Node rejects *.localhost), created by
 * openssl in `folder`.
 */
export async function selfSigned(
  openssl: string,
  folder: string,
  buckets: readonly string[] = [],
): Promise<{ cert: string; key: string; ca: string }> {
  const [key, cert] = [`${folder}/key.pem`, `${folder}/cert.pem`]
  const hosts = ["localhost", ...buckets.map(bucket => `${bucket}.localhost`)].map(host => `DNS:${host}`)
  const names = `subjectAltName=${hosts.join(",")},IP:127.0.0.1`
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
  await runOk(openssl, [
    "req",
    "-x509",
    ...kind,
    "-subj",
    "/CN=localhost",
    "-addext",
    names,
    "-keyout",
    key,
    "-out",
    cert,
  ])
  return { cert, key, ca: cert }
}
