/**
 * A temporary store as a child process, on free ports: for the bench, for `npm run dev` and for tests.
 *
 * Promises  `stop` ends the process (SIGTERM, later SIGKILL) and waits for it, `crash` kills it; the caller removes the data
 *           folders.
 * Limits    `START_MS_MAX` to become ready, `STOP_MS_MAX` to drain.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { assert } from "@hayloft/base/assert.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { parseRuntimeFile, RUNTIME_FILE_NAME, type RuntimeFile } from "./credentials.js"
import { HttpCaller } from "./http-caller.js"
import { Unreachable } from "./remote.js"
import { signedCall, type S3Access } from "./signed-call.js"

const START_MS_MAX = 60_000
const STOP_MS_MAX = 30_000
const POLL_MS = 50
/** Characters of the output of the process that are kept: more than any test needs. */
const OUTPUT_CHARACTERS_MAX = 2 ** 20

const ANY_PORT = "127.0.0.1:0"
/** A store accepts signatures of any region unless told otherwise. */
const ANY_REGION = "us-east-1"

/** Relative to dist/packages/client/src/. */
export const HAYLOFT_COMMAND = fileURLToPath(new URL("../../../../bin/hayloft", import.meta.url))

interface StoreProcessOptions {
  readonly dataFolders: readonly string[]
  /** Default: any free ports of the loopback address. */
  readonly listen?: string
  readonly adminListen?: string
  /** Further arguments of `serve`. */
  readonly args?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** The program that Node runs. Default: `bin/hayloft` of this checkout. */
  readonly command?: string
  /** The path of Node. Default: the one that runs the caller. */
  readonly node?: string
  /** Show its output instead of keeping it. */
  readonly inheritOutput?: boolean
  /** Called with each line of its output, which is kept too. */
  readonly onLine?: (line: string) => void
}

export const ROOT_KEY = { accessKeyId: "AKIALOCALPROCESS", secretAccessKey: "local-process-secret" } as const

export class StoreProcess {
  #output = ""
  readonly exited: Promise<number | null>

  private constructor(
    private readonly child: ChildProcess,
    private readonly clock: Clock,
    readonly dataFolders: readonly string[],
    /** The runtime facts of a process without a data folder; undefined if it has one. */
    private readonly known: RuntimeFile | undefined,
  ) {
    this.exited = new Promise(resolve => {
      child.on("exit", code => resolve(code))
      child.on("error", () => resolve(null))
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString("utf8")).slice(-OUTPUT_CHARACTERS_MAX)
      })
    }
  }

  /** Starts `hayloft serve` and waits until it is ready. Throws with its output if it does not become ready. */
  static async start(options: StoreProcessOptions, clock: Clock): Promise<StoreProcess> {
    const store = StoreProcess.spawn(options, clock)
    try {
      await store.ready()
      return store
    } catch (error) {
      await store.stop()
      throw error
    }
  }

  /** Starts without waiting. */
  static spawn(options: StoreProcessOptions, clock: Clock): StoreProcess {
    const folders = options.dataFolders.flatMap(folder => ["--data", folder])
    const ports = ["--listen", options.listen ?? ANY_PORT, "--admin-listen", options.adminListen ?? ANY_PORT]
    const environment = {
      ...cleanEnvironment(),
      HAYLOFT_ROOT_ACCESS_KEY: ROOT_KEY.accessKeyId,
      HAYLOFT_ROOT_SECRET_KEY: ROOT_KEY.secretAccessKey,
      ...options.environment,
    }
    const { node = process.execPath, command = HAYLOFT_COMMAND, args = [] } = options
    const child = spawn(node, [command, "serve", ...folders, ...ports, ...args], {
      env: environment,
      stdio: options.inheritOutput === true ? ["ignore", "inherit", "inherit"] : ["ignore", "pipe", "pipe"],
    })
    const { onLine } = options
    for (const input of [child.stdout, child.stderr]) {
      if (onLine !== undefined && input !== null) createInterface({ input }).on("line", onLine)
    }
    return new StoreProcess(child, clock, options.dataFolders, knownRuntime(options, child.pid ?? 0))
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get output(): string {
    return this.#output
  }

  /** Waits for the runtime file of this process, then for readiness. */
  async ready(): Promise<RuntimeFile> {
    const deadlineMs = this.clock.monotonicMs() + START_MS_MAX
    const signal = new AbortController().signal
    while (this.child.exitCode === null && this.child.signalCode === null) {
      const runtime = await this.#runtime()
      if (runtime !== undefined && (await isReady(runtime.adminEndpoint))) return runtime
      if (this.clock.monotonicMs() > deadlineMs) throw this.#lost(`is not ready after ${START_MS_MAX / 1000} s`)
      await this.clock.sleep(POLL_MS, signal)
    }
    throw this.#lost(`ended with code ${this.child.exitCode ?? "none"}`)
  }

  #lost(what: string): Unreachable {
    return new Unreachable(`the store in ${this.dataFolders.join(", ")}`, `it ${what}:\n${this.#output}`)
  }

  async access(): Promise<S3Access> {
    const { endpoint, region } = await this.ready()
    return { endpoint, region, ...ROOT_KEY }
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** Ends it at once (SIGKILL). */
  async crash(): Promise<void> {
    this.kill("SIGKILL")
    await this.exited
  }

  /** Drains and ends; resolves with the exit code. */
  async stop(): Promise<number | null> {
    this.kill("SIGTERM")
    const over = new AbortController()
    const late = this.clock.sleep(STOP_MS_MAX, over.signal).then(() => {
      if (!over.signal.aborted) this.kill("SIGKILL")
    })
    const code = await this.exited
    over.abort()
    await late
    return code
  }

  async #runtime(): Promise<RuntimeFile | undefined> {
    if (this.known !== undefined) return this.known
    for (const folder of this.dataFolders) {
      const runtime = parseRuntimeFile(await readFile(join(folder, RUNTIME_FILE_NAME), "utf8").catch(() => ""))
      if (runtime?.pid === this.pid) return runtime
    }
    return undefined
  }
}

/** A process without data folders must have been given its ports. */
function knownRuntime(options: StoreProcessOptions, pid: number): RuntimeFile | undefined {
  const { dataFolders, listen, adminListen } = options
  if (dataFolders.length > 0 || listen === undefined || adminListen === undefined) return undefined
  return { endpoint: `http://${listen}`, adminEndpoint: `http://${adminListen}`, region: ANY_REGION, pid }
}

/** The caller's environment could override its arguments. */
function cleanEnvironment(): Record<string, string | undefined> {
  const own = /^(HAYLOFT|AWS)_|^UV_THREADPOOL_SIZE$|^NODE_TEST/
  // Whatever the machine is.
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name))),
    HAYLOFT_THREADS: "0",
  }
}

async function isReady(adminEndpoint: string): Promise<boolean> {
  const url = new URL(adminEndpoint)
  const caller = new HttpCaller(url, 1)
  try {
    const signal = new AbortController().signal
    const rawHeaders = ["host", url.host]
    const answer = await caller.call({ method: "GET", rawTarget: "/health/ready", rawHeaders, body: undefined, signal })
    await answer.document()
    return answer.status === 200
  } catch {
    return false
  } finally {
    caller.close()
  }
}

/** Creates a bucket with object lock. */
export async function createLockedBucket(access: S3Access, bucket: string, clock: Clock): Promise<void> {
  const url = new URL(access.endpoint)
  const caller = new HttpCaller(url, 1)
  const headers = [["x-amz-bucket-object-lock-enabled", "true"]] as const
  const { rawHeaders, ...call } = signedCall(access, url.host, { method: "PUT", bucket, headers }, clock.wallMs())
  const signal = new AbortController().signal
  const body = Buffer.alloc(0)
  try {
    const { status } = await caller.call({ ...call, rawHeaders: [...rawHeaders, "content-length", "0"], body, signal })
    assert(status === 200, "a bucket with object lock is created")
  } finally {
    caller.close()
  }
}
