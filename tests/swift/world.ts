/** Swift and S3 over one model, served on loopback, and a client of Swift for tests. */
import type { SwiftAccounts } from "../../src/access/index.js"
import type { AccountId } from "../../src/base/ids.js"
import type { SwiftAccount } from "../../src/format/swift-account.js"
import { must } from "../../src/base/assert.js"
import { createSwiftHandler } from "../../src/swift/index.js"
import { gunzipped } from "../../src/seams/compute/gunzip.js"
import { SimTelemetry } from "../../src/seams/telemetry/sim.js"
import { Client } from "../../conformance/client.js"
import { exchange, parseEndpoint, type Header, type RawResponse } from "../../conformance/raw-client.js"
import { handleModel, listenTo, OWNER, type Key, type Variations } from "../s3/over-model.js"

export type SwiftHeaders = Readonly<Record<string, string>>

export interface SwiftCall {
  readonly headers?: SwiftHeaders
  readonly body?: string | Uint8Array
}

/** A user of Swift who has signed in. */
export class SwiftUser {
  constructor(
    private readonly port: number,
    readonly token: string | undefined,
    /** `/v1/AUTH_…`. */
    readonly account: string,
  ) {}

  /** `path` below the account, or beginning with `/v1`, percent-encoded. */
  call(method: string, path: string, { headers = {}, body }: SwiftCall = {}): Promise<RawResponse> {
    const target = /^\/(?:v1|info|auth|healthcheck)/.test(path) ? path : `${this.account}${path}`
    return ask(
      this.port,
      method,
      target,
      { ...(this.token !== undefined && { "X-Auth-Token": this.token }), ...headers },
      body,
    )
  }
}

async function ask(
  port: number,
  method: string,
  target: string,
  headers: SwiftHeaders,
  body?: string | Uint8Array,
): Promise<RawResponse> {
  const bytes = body === undefined ? undefined : Buffer.from(body)
  const sent: Header[] = [["Host", `127.0.0.1:${port}`], ["Connection", "close"], ...Object.entries(headers)]
  const isSized = Object.keys(headers).some(name => /^(?:content-length|transfer-encoding)$/i.test(name))
  if (bytes !== undefined && !isSized) sent.push(["Content-Length", String(bytes.length)])
  if (bytes === undefined && (method === "PUT" || method === "POST") && !isSized) sent.push(["Content-Length", "0"])
  return exchange({ host: "127.0.0.1", port }, { method, target, headers: sent, ...(bytes && { body: [bytes] }) })
}

export interface SwiftWorld {
  /** Of Swift. */
  readonly port: number
  readonly s3: Client
  readonly anonymous: SwiftUser
  signIn(key: Key): Promise<SwiftUser>
  ask(method: string, target: string, headers?: SwiftHeaders): Promise<RawResponse>
  stop(): Promise<void>
}

export async function serveSwift(
  variations: Variations = {},
  keystone?: Parameters<typeof createSwiftHandler>[0]["keystone"],
): Promise<SwiftWorld> {
  const telemetry = new SimTelemetry()
  const { handler, settings } = handleModel(variations, telemetry)
  const swift = createSwiftHandler({
    ...settings,
    swiftAccounts: accountsInMemory(),
    allowSha1: false,
    gunzip: gunzipped,
    keystone,
    version: "test",
    prepare: async () => undefined,
  })
  const [s3, served] = [
    await listenTo(handler, { name: "s3", telemetry }),
    await listenTo(swift, { name: "swift", telemetry }),
  ]
  const { port } = served
  const asked = (method: string, target: string, headers: SwiftHeaders = {}) => ask(port, method, target, headers)
  const signIn = async ({ id, secret }: Key): Promise<SwiftUser> => {
    const answer = await asked("GET", "/auth/v1.0", { "X-Auth-User": id, "X-Auth-Key": secret })
    const url = new URL(must(answer.header("x-storage-url"), "signed in"))
    return new SwiftUser(port, answer.header("x-auth-token"), url.pathname)
  }
  const owner = await signIn(OWNER)
  return {
    port,
    s3: new Client(parseEndpoint(s3.endpoint), { accessKey: OWNER.id, secretKey: OWNER.secret }, "us-east-1"),
    anonymous: new SwiftUser(port, undefined, owner.account),
    signIn,
    ask: asked,
    stop: async () => {
      await Promise.all([s3.stop(), served.stop()])
    },
  }
}

function accountsInMemory(): SwiftAccounts {
  const known = new Map<AccountId, SwiftAccount>()
  const of = (id: AccountId): SwiftAccount => known.get(id) ?? { metadata: [], access: "" }
  return { of, change: async (id, change) => void known.set(id, change(of(id))) }
}
