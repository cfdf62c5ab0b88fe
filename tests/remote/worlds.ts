/** Two stores, of which one has buckets whose objects are in the other, and what is between them: a proxy that can misbehave. */
import http from "node:http"
import type { AddressInfo } from "node:net"
import { chmodSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createHash } from "node:crypto"
import { Client, type Call } from "../../conformance/client.js"
import { parseEndpoint, type RawResponse } from "../../conformance/raw-client.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"

/**
 * Decides what the proxy does with a request. If it returns undefined, the proxy passes the request on, and the
 * response back.
 */
export type Misbehaviour = (
  request: http.IncomingMessage,
  response: http.ServerResponse,
) => "handled" | Change | undefined

/** The changes that the proxy makes to a response. */
export interface Change {
  readonly headers?: Readonly<Record<string, string>>
  /** Ends the connection after so many bytes of the body. */
  readonly cutAfterBytes?: number
}

/** Passes requests on to the remote store, counts them, and misbehaves as a test wants it. */
export class Proxy {
  readonly requests: string[] = []
  misbehave: Misbehaviour = () => undefined
  private readonly server: http.Server
  private readonly agent = new http.Agent({ keepAlive: true })

  private constructor(private target: URL) {
    this.server = http.createServer((request, response) => this.handle(request, response))
  }

  static async start(target: string): Promise<Proxy> {
    const proxy = new Proxy(new URL(target))
    await new Promise<void>(resolve => proxy.server.listen(0, "127.0.0.1", resolve))
    return proxy
  }

  /** From now on, requests are passed on to another store. */
  aim(target: string): void {
    this.target = new URL(target)
  }

  get endpoint(): string {
    const address: AddressInfo | string | null = this.server.address()
    if (address === null || typeof address === "string") throw new Error("the proxy does not listen")
    return `http://127.0.0.1:${address.port}`
  }

  /** Requests since the last call. */
  taken(): readonly string[] {
    return this.requests.splice(0)
  }

  /** Refuses connections until `resume`. */
  async pause(): Promise<number> {
    const { port } = new URL(this.endpoint)
    this.server.closeAllConnections()
    await new Promise(resolve => this.server.close(resolve))
    return Number(port)
  }

  async resume(port: number): Promise<void> {
    await new Promise<void>(resolve => this.server.listen(port, "127.0.0.1", resolve))
  }

  async close(): Promise<void> {
    this.agent.destroy()
    this.server.closeAllConnections()
    await new Promise(resolve => this.server.close(resolve))
  }

  private handle(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.requests.push(`${request.method ?? ""} ${request.url ?? ""}`)
    const change = this.misbehave(request, response)
    if (change !== "handled") this.pass(request, response, change)
  }

  /** Passes a request on, perhaps one that was held. */
  pass(request: http.IncomingMessage, response: http.ServerResponse, change?: Change): void {
    const { hostname, port } = this.target
    const options = { hostname, port, method: request.method, path: request.url, agent: this.agent }
    // The signature is of the address that the client knows.
    const passed = http.request({ ...options, headers: request.rawHeaders }, answer => {
      response.writeHead(answer.statusCode ?? 500, { ...answer.headers, ...change?.headers })
      let sent = 0
      answer.on("data", (chunk: Buffer) => {
        sent += chunk.length
        const isCut = change?.cutAfterBytes !== undefined && sent > change.cutAfterBytes
        response.write(
          chunk.subarray(0, isCut ? Math.max(0, chunk.length - (sent - (change.cutAfterBytes ?? 0))) : undefined),
        )
        if (isCut) response.destroy()
      })
      answer.on("end", () => response.end())
    })
    passed.on("error", () => response.destroy())
    request.on("error", () => passed.destroy())
    request.pipe(passed)
  }
}

export const md5Of = (text: string) => ({ "Content-MD5": createHash("md5").update(text).digest("base64") })

export interface RemoteOptions {
  /** One of the remote stores of a world. */
  readonly store?: string
  readonly bucket?: string
  readonly freshness?: string
  readonly writes?: string
  readonly prefix?: string
  readonly more?: string
}

/** The document of the setting. */
export const remoteDocument = ({
  store = "far",
  bucket = "data",
  freshness,
  writes,
  prefix,
  more = "",
}: RemoteOptions = {}): string =>
  `<RemoteConfiguration><Store>${store}</Store><Bucket>${bucket}</Bucket>` +
  (prefix === undefined ? "" : `<Prefix>${prefix}</Prefix>`) +
  (freshness === undefined ? "" : `<Freshness>${freshness}</Freshness>`) +
  (writes === undefined ? "" : `<Writes>${writes}</Writes>`) +
  `${more}</RemoteConfiguration>`

export class RemoteWorld {
  private constructor(
    readonly far: ServerProcess,
    readonly near: ServerProcess,
    readonly proxy: Proxy,
    readonly folder: string,
  ) {}

  /** `others`: endpoints of further remote stores, by their names. */
  static async start(
    folder: string,
    args: readonly string[] = [],
    others: Readonly<Record<string, string>> = {},
  ): Promise<RemoteWorld> {
    const far = await ServerProcess.start({ folders: [join(folder, "far")] })
    const proxy = await Proxy.start(far.endpoint)
    const file = join(folder, "remotes.json")
    const key = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
    const stores = Object.entries({ far: proxy.endpoint, ...others })
    const named = stores.map(([name, endpoint]) => [name, { endpoint, region: REGION, ...key }] as const)
    writeFileSync(file, JSON.stringify(Object.fromEntries(named)))
    chmodSync(file, 0o600)
    const near = await ServerProcess.start({ folders: [join(folder, "near")], args: ["--remotes", file, ...args] })
    const world = new RemoteWorld(far, near, proxy, folder)
    await world.at("far", "PUT", { bucket: "data" })
    return world
  }

  async stop(): Promise<void> {
    await this.near.kill()
    await this.far.kill()
    await this.proxy.close()
  }

  clientOf(where: "far" | "near"): Client {
    return new Client(parseEndpoint(this[where].endpoint), CREDENTIALS, REGION)
  }

  /** A request that must succeed, or fail with this status. */
  async at(where: "far" | "near", method: string, call: Call, status?: number): Promise<RawResponse> {
    const answer = await this.clientOf(where).call(method, call)
    const isExpected = status === undefined ? answer.status < 300 : answer.status === status
    if (!isExpected)
      throw new Error(`${method} ${call.bucket ?? ""}/${call.key ?? ""}: ${answer.status} ${answer.body.toString()}`)
    return answer
  }

  /** Makes a bucket of the near store remote. */
  async remote(bucket: string, options: RemoteOptions = {}): Promise<void> {
    await this.at("near", "PUT", { bucket })
    await this.setRemote(bucket, options)
  }

  async setRemote(bucket: string, options: RemoteOptions, status?: number): Promise<RawResponse> {
    const body = remoteDocument(options)
    return this.at("near", "PUT", { bucket, query: "remote", body, headers: md5Of(body) }, status)
  }
}
