/** A store of one process whose metadata moves to a database and back, and everything that clients can see in it. */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { execFile } from "node:child_process"
import http from "node:http"
import { rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import * as STORE_SCHEMAS from "@hayloft/admin/store/store-schemas.js"
import { AdminClient, S3Client } from "@hayloft/client/index.js"
import { HttpCaller } from "@hayloft/client/http-caller.js"
import { signedCall, type OutgoingRequest } from "@hayloft/client/signed-call.js"
import { HAYLOFT_COMMAND, ROOT_KEY, StoreProcess } from "@hayloft/client/testing-store-process.js"
import { unsealRootCredentials } from "@hayloft/cli/credentials.js"
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { dataFolders } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"

const CLOCK = new RealClock()
const NEVER = new AbortController().signal
const CONVERSION_MS_MAX = 150_000
const LOOK_MS = 150
const OUTPUT_SHOWN = 6_000
/** Nodes wait so many times less for each other than in a store of users. */
const ENVIRONMENT = { HAYLOFT_TEST_HASTE: "4" }
const NODE = ["--node", "first", "--zone", "a", "--node-listen", "127.0.0.1:0"]

/** The queries that the store is asked besides bodies; `bucket` and `key` are filled in. */
const BUCKET_QUERIES = ["", "versions", "uploads", "acl", "policy", "versioning", "tagging", "cors", "lifecycle"]
const KEY_QUERIES = ["", "tagging"]
/** With every size; some have tags, some were written again, some were deleted. */
const OBJECTS_EACH = 8

interface Reply {
  readonly status: number
  readonly text: string
}

type Ask = (request: OutgoingRequest, body?: Buffer) => Promise<Reply>

export class MovableStore {
  process: StoreProcess | undefined
  /** Otherwise the key is in the data folders. */
  usesKeyFile = true
  /** Variables of its processes. */
  environment: Readonly<Record<string, string>> = {}
  /** Called with each line of output. */
  onLine: (line: string) => void = () => undefined
  /** It stays the same. */
  private token: string | undefined

  private constructor(
    readonly folders: readonly string[],
    private readonly keyFile: string,
    private readonly ports: { readonly s3: string; readonly admin: string },
    private readonly args: readonly string[],
    private readonly node: string | undefined,
  ) {}

  /** `args`: further ones of every `serve`; `node`: the program of Node.js that runs it, if not that of the tests. */
  static async create(
    folder: string,
    disks: number,
    args: readonly string[] = [],
    node?: string,
  ): Promise<MovableStore> {
    const keyFile = join(folder, "master.key")
    await writeFile(keyFile, randomBytes(32).toString("hex"), { mode: 0o600 })
    const ports = { s3: `127.0.0.1:${await freePort()}`, admin: `127.0.0.1:${await freePort()}` }
    return new MovableStore(dataFolders(folder, disks), keyFile, ports, args, node)
  }

  get name(): string {
    return "the store"
  }

  get access() {
    return { endpoint: `http://${this.ports.s3}`, region: REGION_DEFAULT, ...ROOT_KEY }
  }

  client(): S3Client {
    return new S3Client(this.access, CLOCK, NEVER, { attemptsMax: 10 })
  }

  private get keyArgs(): readonly string[] {
    return this.usesKeyFile ? ["--master-key-file", this.keyFile] : []
  }

  /** A node without devices. */
  async spawnGateway(url: string, name?: string): Promise<StoreProcess> {
    const gateway = await this.beginGateway(url, name)
    await gateway.ready()
    return gateway
  }

  /** It need not become ready. */
  async beginGateway(url: string, name = "gateway"): Promise<StoreProcess> {
    const args = ["--cluster", url, "--node", name, "--zone", "a", "--node-listen", "127.0.0.1:0"]
    const listen = { listen: `127.0.0.1:${await freePort()}`, adminListen: `127.0.0.1:${await freePort()}` }
    const environment = ENVIRONMENT
    return StoreProcess.spawn({ dataFolders: [], args: [...args, ...this.keyArgs], environment, ...listen }, CLOCK)
  }

  /** The stopped store keeps its key in a file from now on. */
  async moveKeyOut(): Promise<void> {
    await rm(this.keyFile)
    const folders = this.folders.flatMap(folder => ["--data", folder])
    await promisify(execFile)(process.execPath, [HAYLOFT_COMMAND, "key", "move-out", this.keyFile, ...folders])
  }

  /** A process of it, which need not become ready. Without a URL the devices have to have the metadata. */
  spawn(url: string | undefined): StoreProcess {
    const cluster = url === undefined ? [] : ["--cluster", url, ...NODE]
    const args = [...this.keyArgs, "--log-level", "debug", ...this.args, ...cluster]
    const listen = { listen: this.ports.s3, adminListen: this.ports.admin }
    const onLine = (line: string): void => this.onLine(line)
    const { folders, node } = this
    const environment = { ...ENVIRONMENT, ...this.environment }
    const own = { dataFolders: folders, args, environment, onLine, ...(node !== undefined && { node }) }
    return StoreProcess.spawn({ ...own, ...listen }, CLOCK)
  }

  async start(url?: string): Promise<void> {
    const process = this.spawn(url)
    this.process = process
    try {
      await process.ready()
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** The message with which a process ends that must not start. */
  async refusal(url?: string): Promise<string> {
    const process = this.spawn(url)
    const started = await process.ready().then(
      () => true,
      () => false,
    )
    await process.stop()
    assert.ok(!started, process.output)
    return process.output
  }

  async stop(): Promise<void> {
    await this.process?.stop()
    this.process = undefined
  }

  async kill(): Promise<void> {
    this.process?.kill("SIGKILL")
    await this.process?.exited
    this.process = undefined
  }

  async admin<T>(work: (client: AdminClient) => Promise<T>): Promise<T> {
    // Reading it is more work than most requests: a control record has the layout.
    this.token ??= (await unsealRootCredentials(this.folders, this.usesKeyFile ? this.keyFile : undefined)).adminToken
    const client = new AdminClient({ endpoint: `http://${this.ports.admin}`, token: this.token }, NEVER)
    try {
      return await work(client)
    } finally {
      client.close()
    }
  }

  async beginInit(url: string, nodeListen = "127.0.0.1:0"): Promise<void> {
    const settings = { node: "first", zone: "a", nodeListen }
    await this.admin(client => client.post("/v1/cluster/init", { databaseUrl: url, ...settings }))
  }

  async beginLeave(lockedBuckets: readonly string[] = []): Promise<void> {
    const body = lockedBuckets.length === 0 ? {} : { lockedBuckets }
    await this.admin(client => client.post("/v1/cluster/leave", body))
  }

  /** How the conversion ended. Throws with the output of the process if it does not end. */
  async conversion(): Promise<string> {
    const untilMs = CLOCK.monotonicMs() + CONVERSION_MS_MAX
    const { process } = this
    for (;;) {
      if (this.process !== process) return "the process has ended"
      if (CLOCK.monotonicMs() > untilMs)
        throw new Error(`the conversion does not end:\n${this.process?.output.slice(-OUTPUT_SHOWN) ?? ""}`)
      const found = await this.admin(client => client.get("/v1/cluster/conversion")).catch(() => undefined)
      const report = found === undefined ? undefined : STORE_SCHEMAS.CONVERSION.parse(found)
      if (report?.state === "done") return "done"
      if (report?.state === "failed" || report?.state === "none") return `${report.state}: ${report.progress}`
      await CLOCK.sleep(LOOK_MS, NEVER)
    }
  }

  /** An upload that does not end: a move waits five seconds for it. Returns what cuts it off. */
  async beginUpload(bucket: string): Promise<() => void> {
    const url = new URL(this.access.endpoint)
    const { rawHeaders, method, rawTarget } = signedCall(
      this.access,
      url.host,
      { method: "PUT", bucket, key: "slow" },
      Date.now(),
    )
    const headers = [...rawHeaders, "content-length", "1000000", "expect", "100-continue"]
    const request = http.request({ host: url.hostname, port: url.port, method, path: rawTarget, headers })
    request.on("error", () => undefined)
    await new Promise<void>(resolve => {
      request.once("continue", resolve)
      request.flushHeaders()
    })
    request.write(Buffer.alloc(100_000))
    return () => void request.destroy()
  }

  /** One signed request, not repeated. `endpoint`: of another node. */
  ask(request: OutgoingRequest, body?: Buffer, endpoint?: string): Promise<Reply> {
    return this.onOneConnection(ask => ask(request, body), endpoint)
  }

  /** Many of them. The process stays the same meanwhile. */
  async onOneConnection<T>(work: (ask: Ask) => Promise<T>, endpoint = this.access.endpoint): Promise<T> {
    const url = new URL(endpoint)
    const caller = new HttpCaller(url, 1)
    const ask: Ask = async (request, body) => {
      const { rawHeaders, ...call } = signedCall(this.access, url.host, request, Date.now())
      const md5 = (bytes: Buffer): string => createHash("md5").update(bytes).digest("base64")
      const length = body === undefined ? [] : ["content-length", String(body.length), "content-md5", md5(body)]
      const answer = await caller.call({ ...call, rawHeaders: [...rawHeaders, ...length], body, signal: NEVER })
      return { status: answer.status, text: (await answer.document()).toString("latin1") }
    }
    try {
      return await work(ask)
    } finally {
      caller.close()
    }
  }

  /** Everything in these buckets that is not different at each request: listings, bodies, versions, settings, keys. */
  content(buckets: readonly string[]): Promise<readonly string[]> {
    return this.onOneConnection(ask => this.contentBy(ask, buckets))
  }

  private async contentBy(ask: Ask, buckets: readonly string[]): Promise<readonly string[]> {
    const lines: string[] = []
    const note = async (name: string, request: OutgoingRequest): Promise<string> => {
      const { status, text } = await ask(request)
      const seen = text.replaceAll(/<(RequestId|HostId)>[^<]*<\/\1>/g, "")
      const shown = seen.length > 400 ? createHash("sha256").update(seen).digest("hex") : seen
      lines.push(`${name}: ${status} ${shown}`)
      return text
    }
    await note("buckets", { method: "GET" })
    for (const bucket of buckets) {
      for (const query of BUCKET_QUERIES)
        await note(`${bucket}?${query}`, { method: "GET", bucket, query: namesOf(query) })
      const { text } = await ask({ method: "GET", bucket, query: [["versions", ""]] })
      for (const [, key = "", version = ""] of text.matchAll(/<Key>([^<]*)<\/Key><VersionId>([^<]*)<\/VersionId>/g)) {
        for (const query of KEY_QUERIES) {
          const named = [...namesOf(query), ["versionId", version] as const]
          await note(`${bucket}/${key} ${version}?${query}`, { method: "GET", bucket, key, query: named })
        }
      }
    }
    const keys = await this.admin(client => client.get("/v1/keys"))
    // When a key was last used changes with each request.
    const text = JSON.stringify(keys, (name, value: unknown) => (name === "lastUse" ? undefined : value))
    return [...lines, `keys ${text}`]
  }
}

const namesOf = (query: string): readonly (readonly [string, string])[] => (query === "" ? [] : [[query, ""]])

const xml = (text: string): Buffer => Buffer.from(text)

/** Objects, versions, delete markers, multipart uploads, settings, policies and keys; two buckets. */
export const fill = (store: MovableStore): Promise<readonly string[]> =>
  store.onOneConnection(ask => fillBy(store, ask))

async function fillBy(store: MovableStore, ask: Ask): Promise<readonly string[]> {
  const put = async (request: Omit<OutgoingRequest, "method">, body: Buffer, method = "PUT"): Promise<string> => {
    const { status, text } = await ask({ method, ...request }, body)
    assert.ok(status < 300, `${JSON.stringify(request)}: ${status} ${text}`)
    return text
  }
  for (const bucket of ["plain", "versioned"]) await put({ bucket }, Buffer.alloc(0))
  const versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
  await put({ bucket: "versioned", query: [["versioning", ""]] }, xml(versioning))
  const tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"
  for (const bucket of ["plain", "versioned"]) {
    await put({ bucket, query: [["tagging", ""]] }, xml(tags))
    for (let n = 0; n < OBJECTS_EACH; n += 1) {
      const sizes = [0, 10, 3_000, 5_000, 70_000]
      const body = Buffer.alloc(sizes[n % sizes.length] ?? 0, `${bucket} ${n};`)
      const headers = [["x-amz-meta-number", String(n)]] as const
      await put({ bucket, key: `folder ${n % 4}/object ${n}`, headers }, body)
      if (n % 5 === 0) await put({ bucket, key: `folder ${n % 4}/object ${n}`, query: [["tagging", ""]] }, xml(tags))
      if (n % 3 === 0) await put({ bucket, key: `folder ${n % 4}/object ${n}` }, Buffer.from(`again ${n}`))
      if (n % 7 === 0) await ask({ method: "DELETE", bucket, key: `folder ${n % 4}/object ${n}` })
    }
    const begun = await put({ bucket, key: "parts", query: [["uploads", ""]] }, Buffer.alloc(0), "POST")
    const uploadId = /<UploadId>([^<]*)</.exec(begun)?.[1] ?? ""
    await put(
      {
        bucket,
        key: "parts",
        query: [
          ["partNumber", "1"],
          ["uploadId", uploadId],
        ],
      },
      Buffer.alloc(20_000, "p"),
    )
  }
  const policy = {
    Version: "2012-10-17",
    Statement: [{ Effect: "Deny", Principal: "*", Action: "s3:DeleteBucket", Resource: "arn:aws:s3:::plain" }],
  }
  await put({ bucket: "plain", query: [["policy", ""]] }, xml(JSON.stringify(policy)))
  await store.admin(client => client.post("/v1/keys", { description: "a second key" }))
  return ["plain", "versioned"]
}
