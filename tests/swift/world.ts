/** Swift and S3 over one model, served on loopback, and a client of Swift for tests. */
import assert from "node:assert/strict"
import type { SwiftAccounts } from "@hayloft/access/index.js"
import type { Account } from "@hayloft/access/contract.js"
import { parseAccountId, type AccountId } from "@hayloft/base/ids.js"
import { NO_USAGE, type QuotaLimits } from "@hayloft/engine/format/objects/usage.js"
import type { QuotaTarget } from "@hayloft/features/quotas/index.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import type { SwiftAccount } from "@hayloft/engine/format/swift/swift-account.js"
import { must } from "@hayloft/base/assert.js"
import { filtered, type Filter } from "@hayloft/protocols/http/index.js"
import { createSwiftHandler, NO_REALMS } from "@hayloft/protocols/swift/index.js"
import { Bunzip } from "@hayloft/server/machine/bunzip.js"
import { gunzipped } from "@hayloft/base/seams/compute/decompress.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Client } from "../../conformance/client.js"
import { exchange, parseEndpoint, type Header, type RawResponse } from "../../conformance/raw-client.js"
import { handleModel, listenTo, OWNER, type Key, type Variations } from "../s3/over-model.js"

type SwiftSettings = Parameters<typeof createSwiftHandler>[0]
type QuotaState = NonNullable<Awaited<ReturnType<SwiftSettings["quotas"]["show"]>>>
const bunzip = new Bunzip()

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
  const sent: Header[] = [["Connection", "close"], ...Object.entries({ Host: `127.0.0.1:${port}`, ...headers })]
  const isSized = Object.keys(headers).some(name => /^(?:content-length|transfer-encoding)$/i.test(name))
  if (bytes !== undefined && !isSized) sent.push(["Content-Length", String(bytes.length)])
  if (bytes === undefined && (method === "PUT" || method === "POST") && !isSized) sent.push(["Content-Length", "0"])
  return exchange({ host: "127.0.0.1", port }, { method, target, headers: sent, ...(bytes && { body: [bytes] }) })
}

export const INFO = { adminKey: "key-of-the-operator", hidden: ["account_quotas", "swift.policies", "swift.no_such"] }
const ROOT_ID = parseAccountId("c".repeat(64))

/** Its root user is a reseller admin; a test adds the keys. */
export const ROOT_ACCOUNT: Account = {
  id: ROOT_ID,
  number: accountNumberOf(ROOT_ID),
  displayName: "root",
  email: "",
  createdMs: 0,
}

export interface SwiftWorld {
  /** The port of Swift. */
  readonly port: number
  readonly s3: Client
  readonly telemetry: SimTelemetry
  readonly anonymous: SwiftUser
  signIn(key: Key): Promise<SwiftUser>
  ask(method: string, target: string, headers?: SwiftHeaders): Promise<RawResponse>
  stop(): Promise<void>
}

export async function serveSwift(
  variations: Variations = {},
  keystone?: SwiftSettings["keystone"],
  filters: readonly Filter[] = [],
  {
    inside = INSIDE,
    serviceAccounts = false,
    realms = NO_REALMS,
    swiftAccounts = accountsInMemory(),
    storeClock = STORE_CLOCK,
  }: Partial<Pick<SwiftSettings, "inside" | "serviceAccounts" | "realms" | "swiftAccounts" | "storeClock">> = {},
): Promise<SwiftWorld> {
  const telemetry = new SimTelemetry()
  const { handler, settings, accounts, attempts } = handleModel(variations, telemetry)
  const swift = createSwiftHandler({
    ...settings,
    ...swiftParts(),
    accounts,
    attempts,
    swiftAccounts,
    serviceAccounts,
    keystone,
    realms,
    inside,
    storeClock,
  })
  const [s3, served] = [
    await listenTo(filtered(handler, "s3", filters), { name: "s3", telemetry }),
    await listenTo(filtered(swift, "swift", filters), { name: "swift", telemetry }),
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
    telemetry,
    anonymous: new SwiftUser(port, undefined, owner.account),
    signIn,
    ask: asked,
    stop: async () => {
      await Promise.all([s3.stop(), served.stop()])
    },
  }
}

/** A clock that is not known yet. */
const STORE_CLOCK = { nowMs: () => 0 }

/** The settings that only Swift has, for a store without Keystone and without accounts of services. */
export const swiftParts = () => ({
  rootAccount: ROOT_ACCOUNT.id,
  info: INFO,
  swiftAccounts: accountsInMemory(),
  quotas: quotasInMemory(),
  storeClock: STORE_CLOCK,
  allowSha1: false,
  serviceAccounts: false,
  keystone: undefined,
  realms: NO_REALMS,
  version: "test",
  inside: INSIDE,
  prepare: async () => undefined,
  decompress: { "tar.gz": gunzipped, "tar.bz2": (pieces: AsyncIterable<Uint8Array>) => bunzip.of(pieces) },
})

/** Returns quotas in memory, which are only stored: nothing is counted against them. */
function quotasInMemory(): SwiftSettings["quotas"] {
  const known = new Map<string, QuotaState>()
  const nameOf = (target: QuotaTarget) => (target.kind === "account" ? target.id : target.name)
  const set = async (target: QuotaTarget, limits: QuotaLimits): Promise<QuotaState> => {
    const owner = { kind: "account", accountId: parseAccountId(nameOf(target)) } as const
    const state = { owner, name: "", quota: { run: "00", limits, isExact: true }, used: NO_USAGE }
    known.set(nameOf(target), state)
    return state
  }
  return {
    set,
    show: async target => known.get(nameOf(target)),
    clear: async target => void known.delete(nameOf(target)),
  }
}

/** A store of no device. */
const INSIDE: SwiftSettings["inside"] = {
  devices: () => [],
  machine: { load: () => undefined, memory: () => undefined },
  shardPlaces: { locate: async () => ({ isInline: true, blocks: [] }) },
}

export function accountsInMemory(): SwiftAccounts {
  const known = new Map<AccountId, SwiftAccount>()
  const of = (id: AccountId): SwiftAccount => known.get(id) ?? { metadata: [], access: "" }
  async function* deletedBy(untilMs: number): AsyncGenerator<AccountId> {
    for (const [id, { deletedMs }] of known) if (deletedMs !== undefined && deletedMs <= untilMs) yield id
  }
  return { of, deletedBy, change: async (id, change) => void known.set(id, change(of(id))) }
}

/** Returns what tests do with containers and objects of a user who signs in before they run. */
export function filesOf(user: () => SwiftUser) {
  const get = (path: string, headers: SwiftHeaders = {}) => user().call("GET", path, { headers })
  return {
    get,
    /** Returns its path. */
    async container(name: string, headers: SwiftHeaders = {}): Promise<string> {
      assert.equal((await user().call("PUT", `/${name}`, { headers })).status, 201, name)
      return `/${name}`
    },
    async put(path: string, body = "", headers: SwiftHeaders = {}): Promise<RawResponse> {
      const answer = await user().call("PUT", path, { body, headers })
      assert.equal(answer.status, 201, `${path}: ${answer.text}`)
      return answer
    },
    async read(path: string, headers: SwiftHeaders = {}): Promise<readonly [number, string]> {
      const { status, text } = await get(path, headers)
      return [status, text]
    },
  }
}

/** A tar archive of small files. `kind`: the letter of a member, like `x` for the attributes of the next one. */
export function tarOf(files: readonly (readonly [name: string, body: string, kind?: string])[]): Buffer {
  const blocks = files.map(([name, body, kind = "0"]) => {
    const head = Buffer.alloc(512)
    head.write(name, 0)
    head.write("0000644\0", 100)
    head.write(`${body.length.toString(8).padStart(11, "0")}\0`, 124)
    head.write(`        ${kind}`, 148)
    head.write("ustar\x0000", 257)
    const sum = head.reduce((total, byte) => total + byte, 0)
    head.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148)
    return Buffer.concat([head, Buffer.from(body), Buffer.alloc((512 - (body.length % 512)) % 512)])
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}
