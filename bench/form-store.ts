/**
 * A store for every form of request (`request-forms.ts`), with a bucket of its owner, and one that a policy shares
 * with another account.
 *
 * It may run the build of another checkout. Requests and accounts are created the same way for each: by this
 * checkout's clients over the network, and by the server's own command line.
 */
import { createHash } from "node:crypto"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import { TEST_CERTIFICATES } from "@hayloft/protocols/http/testing-certificates.js"
import { runProcess } from "@hayloft/cli/testing-process.js"
import { RawConnection, type RawOptions, type RawRequest } from "@hayloft/client/load/raw-connection.js"
import { runLoad } from "@hayloft/client/load/raw-load.js"
import { RequestForge } from "@hayloft/client/load/request-forge.js"
import type { Bench } from "./bench.js"
import { OwnStore, type OwnStoreOptions } from "./own-store.js"

/** The bucket that a policy shares with the other account. */
export const SHARED_BUCKET = "shared"
const FILL_CONNECTIONS = 16
const OTHER_ACCOUNT = "other"
const CERTIFICATE = TEST_CERTIFICATES.first

const ACCOUNT = z.object({ number: z.string() })
const KEY = z.object({ accessKeyId: z.string(), secretAccessKey: z.string() })

/** A store of S3, which may be another program: all that plain forms of request need. */
export type PlainStore = Pick<FormStore, "forge" | "otherForge" | "fill">

interface Sent extends RawOptions {
  readonly endpoint: URL
  readonly requests: readonly RawRequest[]
}

/** Sends each once, in any order; throws if one is refused. */
export async function sendAll({ clock, signal }: Bench, { requests, ...to }: Sent): Promise<void> {
  const waiting = requests.values()
  const next = () => {
    const { value: request } = waiting.next()
    return request === undefined ? undefined : { request, bytes: 0 }
  }
  const plan = { ...to, connections: FILL_CONNECTIONS, next, errorsInARowMax: 1 }
  const { firstError } = await runLoad(plan, clock, signal)
  if (firstError !== undefined) throw new Error(`preparing a store failed: ${firstError}`)
}

export interface FormStoreOptions extends Omit<OwnStoreOptions, "command"> {
  /** The folder of the checkout whose build runs; it must be built. */
  readonly checkout: string
  /** The server's program. Default: `bin/hayloft` of the checkout. */
  readonly command?: string
}

export class FormStore {
  private otherKey: z.output<typeof KEY> | undefined
  private readonly filled = new Set<string>()
  private speaksTls = false

  private constructor(
    private readonly bench: Bench,
    private readonly options: FormStoreOptions,
    readonly store: OwnStore,
  ) {}

  static async open(bench: Bench, options: FormStoreOptions): Promise<FormStore> {
    const { checkout, command = join(checkout, "bin/hayloft") } = options
    return new FormStore(bench, options, await OwnStore.open(bench, { ...options, command }))
  }

  close(): Promise<void> {
    return this.store.close()
  }

  get forge(): RequestForge {
    return this.store.forge
  }

  /** Signs with the key of the other account, which the first call creates together with the shared bucket. */
  async otherForge(): Promise<RequestForge> {
    const key = (this.otherKey ??= await this.share())
    return new RequestForge({ ...this.store.access, ...key }, this.bench.clock)
  }

  /** How load and connections reach it. */
  get trust(): RawOptions {
    return this.isSecure ? { trust: { pem: CERTIFICATE.cert, isOwnStore: false } } : {}
  }

  get isSecure(): boolean {
    return this.speaksTls
  }

  /** Restarts the server with TLS, or without, unless it already runs that way. */
  async speak(isSecure: boolean): Promise<void> {
    if (isSecure === this.isSecure) return
    await this.store.stop()
    await this.store.start(isSecure ? await this.tlsArguments() : [])
    const { protocol } = this.forge.endpoint
    if (protocol !== (isSecure ? "https:" : "http:")) throw new Error(`the server restarted with ${protocol}`)
    this.speaksTls = isSecure
  }

  private async tlsArguments(): Promise<readonly string[]> {
    const at = (name: string): string => join(this.bench.workFolder, `${this.options.name}-${name}.pem`)
    await writeFile(at("cert"), CERTIFICATE.cert)
    await writeFile(at("key"), CERTIFICATE.key)
    return ["--tls-cert", at("cert"), "--tls-key", at("key")]
  }

  /** Sends the requests at the first call with this name; throws if one is refused. */
  async fill(name: string, requests: () => readonly RawRequest[]): Promise<void> {
    if (this.filled.has(name)) return
    await this.sendAll(requests())
    this.filled.add(name)
  }

  /** Sends each once, in any order; throws if one is refused. */
  sendAll(requests: readonly RawRequest[]): Promise<void> {
    return sendAll(this.bench, { ...this.trust, endpoint: this.forge.endpoint, requests })
  }

  /** Sends them one after the other over one new connection; throws if one is refused. */
  async sendInTurn(requests: readonly RawRequest[]): Promise<void> {
    const connection = new RawConnection(this.forge.endpoint, this.bench.signal, this.trust)
    try {
      for (const request of requests) {
        const { status, errorText } = await connection.ask(request)
        if (status >= 300) throw new Error(`a request was answered with ${status}: ${errorText}`)
      }
    } finally {
      connection.close()
    }
  }

  private async share(): Promise<z.output<typeof KEY>> {
    const { client, forge } = this.store
    await client.createBucket(SHARED_BUCKET)
    const { number } = ACCOUNT.parse(await this.command("account", "create", OTHER_ACCOUNT, "--id", OTHER_ACCOUNT))
    const key = KEY.parse(await this.command("key", "create", "--account", OTHER_ACCOUNT))
    const Statement = [
      {
        Effect: "Allow",
        Principal: { AWS: `arn:aws:iam::${number}:root` },
        Action: ["s3:GetObject", "s3:PutObject"],
        Resource: `arn:aws:s3:::${SHARED_BUCKET}/*`,
      },
    ]
    const body = Buffer.from(JSON.stringify({ Version: "2012-10-17", Statement }))
    const headers = [["content-md5", createHash("md5").update(body).digest("base64")]] as const
    const query = [["policy", ""]] as const
    await this.sendInTurn([forge.forge({ method: "PUT", bucket: SHARED_BUCKET, query, headers, body })])
    return key
  }

  /** An answer of the server's own command line. */
  private async command(...words: readonly string[]): Promise<unknown> {
    const [folder = ""] = this.store.dataFolders
    const program = join(this.options.checkout, "bin/hayloft")
    const { code, out, error } = await runProcess(process.execPath, [program, ...words, "--json", "--data", folder])
    if (code !== 0) throw new Error(`hayloft ${words.join(" ")}: ${error}`)
    return JSON.parse(out.toString("utf8"))
  }
}
