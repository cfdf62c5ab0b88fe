/**
 * A store for measurements: a separate process with a bucket, in folders below the bench's.
 */
import { createHash } from "node:crypto"
import { mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { z } from "zod"
import { must } from "@hayloft/base/assert.js"
import { AdminClient, type AdminAccess } from "@hayloft/client/admin-client.js"
import { RawConnection } from "@hayloft/client/load/raw-connection.js"
import { RequestForge } from "@hayloft/client/load/request-forge.js"
import { S3Client } from "@hayloft/client/s3-client.js"
import type { S3Access } from "@hayloft/client/signed-call.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { unsealRootCredentials } from "@hayloft/cli/credentials.js"
import type { Bench } from "./bench.js"
import { cpuSecondsOf } from "./process-usage.js"
import { Unmeasured } from "./row.js"

export const BUCKET = "bench"
/** Loaded into the server's process, seen from dist/bench/. */
const PROBES = {
  loop: fileURLToPath(new URL("../../bench/loop-probe.cjs", import.meta.url)),
  coverage: fileURLToPath(new URL("../../bench/coverage-probe.cjs", import.meta.url)),
} as const
const SEALS = Buffer.from(
  "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>" +
    "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
)
const ERROR_LINE = /^\S+Z error /
const ERROR_LINES_MAX = 5
const PROBE_MS_MAX = 60_000
/** Background work has ended once polls at this interval find processor usage below this bound. */
const QUIET_LOOK_MS = 200
const QUIET_SHARE = 0.05
const QUIET_LOOKS_MAX = 5

const LATE = z.object({ p99Ms: z.number(), maxMs: z.number() })
export type Late = z.output<typeof LATE>

export interface OwnStoreOptions {
  readonly name: string
  readonly folders: number
  /** A probe in its process: for the delay of the event loop (cheap), or for function calls (expensive). */
  readonly probe?: keyof typeof PROBES
  /** Further arguments of `serve`. */
  readonly args?: readonly string[]
  /** The server's program. Default: that of this checkout. */
  readonly command?: string
  /** The path of Node. Default: the one that runs the bench. */
  readonly node?: string
  readonly environment?: Readonly<Record<string, string>>
}

interface Running {
  readonly process: StoreProcess
  readonly access: S3Access
  readonly client: S3Client
  readonly forge: RequestForge
}

export class OwnStore {
  private running: Running | undefined
  private known: { readonly process: StoreProcess; readonly access: AdminAccess } | undefined
  private folders: readonly string[]
  private readonly root: string

  private constructor(
    private readonly bench: Bench,
    private readonly options: OwnStoreOptions,
  ) {
    this.root = join(bench.workFolder, options.name)
    this.folders = Array.from({ length: options.folders }, (_, i) => join(this.root, `disk${i + 1}`))
  }

  static async open(bench: Bench, options: OwnStoreOptions): Promise<OwnStore> {
    const store = new OwnStore(bench, options)
    for (const folder of store.folders) await mkdir(folder, { recursive: true })
    await store.start()
    await store.client.createBucket(BUCKET)
    return store
  }

  /** Two stores, the second of which knows the first as the remote store `far`. */
  static async openPair(bench: Bench, name: string): Promise<{ readonly far: OwnStore; readonly near: OwnStore }> {
    const far = await OwnStore.open(bench, { name: `${name}-far`, folders: 1 })
    try {
      const { endpoint, region, accessKeyId, secretAccessKey } = far.access
      const file = join(bench.workFolder, `${name}.json`)
      await writeFile(file, JSON.stringify({ far: { endpoint, region, accessKeyId, secretAccessKey } }))
      const args = ["--remotes", file]
      return { far, near: await OwnStore.open(bench, { name: `${name}-near`, folders: 1, args }) }
    } catch (error) {
      await far.close()
      throw error
    }
  }

  /** A bucket whose objects are encrypted, with SSE-S3. */
  async createSealedBucket(bucket: string): Promise<void> {
    await this.client.createBucket(bucket)
    const connection = new RawConnection(this.forge.endpoint, this.bench.signal)
    try {
      const md5 = createHash("md5").update(SEALS).digest("base64")
      const headers = [["content-md5", md5]] as const
      const request = { method: "PUT", bucket, query: [["encryption", ""]], headers, body: SEALS } as const
      const { status, errorText } = await connection.ask(this.forge.forge(request))
      if (status !== 200) throw new Error(`the bucket cannot be encrypted: ${status} ${errorText}`)
    } finally {
      connection.close()
    }
  }

  /** `args`: further ones of `serve`, for this start only. */
  async start(args: readonly string[] = []): Promise<void> {
    await this.adopt(this.spawn(undefined, args))
  }

  /** Starts a process without waiting; `adopt` makes it the store. */
  spawn(listen?: string, further: readonly string[] = []): StoreProcess {
    const { probe, command, node, environment = {}, args = [] } = this.options
    const probed =
      probe === undefined ? {} : { NODE_OPTIONS: `--require ${PROBES[probe]}`, BENCH_PROBE_FILE: this.probeFile }
    const options = {
      dataFolders: this.folders,
      args: ["--log-level", "warn", ...args, ...further],
      environment: { ...environment, ...probed },
      ...(command === undefined ? {} : { command }),
      ...(node === undefined ? {} : { node }),
    }
    return StoreProcess.spawn(listen === undefined ? options : { ...options, listen }, this.bench.clock)
  }

  /** Waits until it is ready. */
  async adopt(process: StoreProcess): Promise<void> {
    try {
      const access = await process.access()
      const { clock, signal } = this.bench
      const client = new S3Client(access, clock, signal, { md5: false })
      this.running = { process, access, client, forge: new RequestForge(access, clock) }
    } catch (error) {
      await process.stop()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.end(process => process.stop())
  }

  private async end(how: (process: StoreProcess) => Promise<unknown>): Promise<void> {
    if (this.running === undefined) return
    const { client, process } = this.running
    client.close()
    await how(process)
    this.tellErrors()
    this.running = undefined
  }

  /** Errors in its log, to explain why a row failed. */
  private tellErrors(): void {
    const lines = this.running?.process.output.split("\n") ?? []
    for (const line of lines.filter(each => ERROR_LINE.test(each)).slice(-ERROR_LINES_MAX)) this.bench.say(line)
  }

  async kill(): Promise<void> {
    await this.end(process => process.crash())
  }

  /** Continues without its first folders. */
  async lose(count: number): Promise<void> {
    await this.stop()
    for (const folder of this.folders.slice(0, count)) await rm(folder, { recursive: true })
    this.folders = this.folders.slice(count)
    await this.start()
    await this.admin(admin => admin.post("/v1/repair/pause", {}))
  }

  /** Ends it without a drain, and removes everything that it wrote. */
  async close(): Promise<void> {
    await this.kill()
    await rm(this.root, { recursive: true, force: true })
  }

  private get now(): Running {
    return must(this.running, "the store runs")
  }

  get pid(): number {
    return this.now.process.pid
  }

  get access(): S3Access {
    return this.now.access
  }

  get client(): S3Client {
    return this.now.client
  }

  get forge(): RequestForge {
    return this.now.forge
  }

  cpuSeconds(): Promise<number> {
    return cpuSecondsOf(this.pid)
  }

  /** Waits for the end of background work that earlier requests caused, for a second at most. */
  async quiet(): Promise<void> {
    const { clock, signal } = this.bench
    for (let look = 0; look < QUIET_LOOKS_MAX; look += 1) {
      const before = await this.cpuSeconds()
      await clock.sleep(QUIET_LOOK_MS, signal)
      if ((await this.cpuSeconds()) - before <= (QUIET_LOOK_MS / 1000) * QUIET_SHARE) return
    }
  }

  async admin<T>(use: (admin: AdminClient) => Promise<T>): Promise<T> {
    const admin = new AdminClient(await this.adminAccess(), this.bench.signal)
    try {
      return await use(admin)
    } finally {
      admin.close()
    }
  }

  /** Returns where the admin port of the process is, and what it demands: read once, since waits ask it again and again. */
  private async adminAccess(): Promise<AdminAccess> {
    const { process } = this.now
    if (this.known?.process !== process) {
      const { adminEndpoint: endpoint } = await process.ready()
      const { adminToken: token } = await unsealRootCredentials(this.folders, undefined)
      this.known = { process, access: { endpoint, token } }
    }
    return this.known.access
  }

  get dataFolders(): readonly string[] {
    return this.folders
  }

  async adminEndpoint(): Promise<string> {
    return (await this.now.process.ready()).adminEndpoint
  }

  private get probeFile(): string {
    return join(this.root, "probe.json")
  }

  /** The delay of its event loop during `work`. */
  async lateDuring(work: () => Promise<unknown>): Promise<Late> {
    await this.late()
    await work()
    return this.late()
  }

  private async late(): Promise<Late> {
    return LATE.parse(await this.probed())
  }

  /** Returns the report of the probe, which then starts the next one. */
  async probed(): Promise<unknown> {
    const { clock, signal } = this.bench
    await rm(this.probeFile, { force: true })
    this.now.process.kill("SIGUSR2")
    const endMs = clock.monotonicMs() + PROBE_MS_MAX
    while (clock.monotonicMs() < endMs) {
      const text = await readFile(this.probeFile, "utf8").catch(() => undefined)
      if (text !== undefined) return JSON.parse(text)
      await clock.sleep(5, signal)
    }
    throw new Unmeasured("the store's process did not answer SIGUSR2")
  }
}
