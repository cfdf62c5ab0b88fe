/** Browsers, and nodes of one store that serve its admin port: real identities, tokens and sessions over rows in memory. */
import assert from "node:assert/strict"
import { z } from "zod"
import {
  MasterKeys,
  openAccess,
  openAdminTokens,
  openConsoleSessions,
  type LdapPeople,
  type NamedPolicy,
} from "@hayloft/access/index.js"
import { attemptsWith } from "@hayloft/access/secrets/testing-attempts.js"
import type { AdminStore } from "@hayloft/admin/api.js"
import { AdminApi } from "@hayloft/admin/index.js"
import type { LdapDoor, WebSignIn } from "@hayloft/admin/contract.js"
import type { AdminReply } from "@hayloft/admin/replies.js"
import { ERROR } from "@hayloft/admin/schemas.js"
import { FakeStore, TOKEN } from "@hayloft/admin/testing-store.js"
import { fail } from "@hayloft/base/failures.js"
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { signedLink } from "@hayloft/server/links.js"
import type { Keyring } from "@hayloft/access/contract.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { AccessWorld, allow, NOW_MS, ROOT_KEY } from "../access/world.js"

export { TOKEN }
export const MINUTE_MS = 60_000
const KEY = new Uint8Array(32).fill(9)

interface NodeOptions {
  readonly onLoopback?: boolean
  readonly hosts?: readonly string[]
  readonly operatorToken?: string
  readonly webSignIn?: WebSignIn
  readonly people?: LdapPeople
}

export class ConsoleWorld {
  readonly clock = new SimClock(NOW_MS)
  readonly store = new FakeStore()
  readonly policies = new Map<string, NamedPolicy>()
  private nodes = 0
  s3Endpoint = "http://127.0.0.1:9000"

  private constructor(readonly access: AccessWorld) {}

  static async open(): Promise<ConsoleWorld> {
    return new ConsoleWorld(await AccessWorld.open())
  }

  get metadata() {
    return this.access.metadata
  }

  /** One more process that serves the store. */
  node({ onLoopback = true, hosts = [], operatorToken = TOKEN, webSignIn, people }: NodeOptions = {}): AdminApi {
    const { clock, metadata } = this
    const random = new SimRandom((this.nodes += 1))
    const masterKeys = new MasterKeys(KEY)
    const { accounts, sessions: ofPeople, entries } = openAccess(random, metadata, masterKeys, ROOT_KEY)
    if (people !== undefined) accounts.admit(people)
    const ldapDoor: LdapDoor | undefined = people && {
      begin: async (login, password, nowMs) =>
        ofPeople.ofPerson(await people.signIn(login, password), { seconds: undefined, policy: undefined, nowMs }),
    }
    const prepare = async (): Promise<void> => undefined
    const tokens = openAdminTokens(clock, random, metadata, prepare)
    const sources = { accounts, tokens, operatorToken, prepare, dueTimeMs: this.clock.dueTimeMs }
    const sessions = openConsoleSessions({ clock, random, masterKeys }, metadata, sources)
    const policyOfBucket = ({ name }: Bucket) => this.policies.get(name)
    const links = linksOf(accounts, clock, this.s3Endpoint)
    const attempts = attemptsWith(clock, this.store.audit)
    const parts = {
      ...this.store.parts,
      attempts,
      accounts,
      tokens,
      sessions,
      policyOfBucket,
      webSignIn,
      links,
      ldapDoor,
      people,
      entries,
    }
    return new AdminApi(parts, {
      version: "1.2.3",
      clock,
      onLoopback,
      hosts,
      rootAccount: ROOT_KEY.accountId,
      newBucketSettings: new Map(),
      metricsText: () => "",
    })
  }
}

type Links = AdminStore["links"]

/** Returns links like those of a process that serves a store. */
const linksOf = (accounts: Keyring, clock: SimClock, endpoint: string): Links => ({
  keyOf: id => accounts.secretOf(id, undefined, clock.wallMs()),
  endpoint: () => endpoint,
  sign: (signer, link, seconds) => signedLink(signer, link, REGION_DEFAULT, seconds, clock.wallMs()),
  nowMs: () => clock.wallMs(),
})

export interface Answer extends Pick<AdminReply, "status" | "headers"> {
  readonly value: { readonly [name: string]: unknown }
  readonly code: string | undefined
}

export interface Sent {
  readonly body?: unknown
  /** The browser does not send a header whose value is undefined. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly isEncrypted?: boolean
  readonly address?: string
}

/** A browser with a page of the console open: it keeps cookies, and sends what browsers send. */
export class Browser {
  readonly cookies = new Map<string, string>()
  csrf: string | undefined
  /** The `Set-Cookie` lines that the browser has received, in order. */
  readonly lines: string[] = []

  constructor(
    public node: AdminApi,
    readonly host = "localhost:9001",
    readonly scheme = "http",
  ) {}

  get cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ")
  }

  async send(method: string, rawTarget: string, sent: Sent = {}): Promise<Answer> {
    const headers = new Map<string, string | undefined>(
      Object.entries({
        host: this.host,
        ...(method === "GET" ? {} : { origin: `${this.scheme}://${this.host}` }),
        "sec-fetch-site": "same-origin",
        cookie: this.cookies.size === 0 ? undefined : this.cookie,
        "x-hayloft-csrf": this.csrf,
        ...sent.headers,
      }),
    )
    const bytes = new TextEncoder().encode(sent.body === undefined ? "" : JSON.stringify(sent.body))
    const reply = await this.node.handle({
      method,
      rawTarget,
      header: name => headers.get(name),
      isEncrypted: sent.isEncrypted ?? false,
      from: { requestId: "R", address: sent.address ?? "192.0.2.1" },
      body: async bytesMax => {
        if (bytes.length > bytesMax) throw fail("entityTooLarge")
        return bytes
      },
    })
    for (const line of reply.cookies ?? []) this.keep(line)
    const text = new TextDecoder().decode(reply.body)
    const value = z.record(z.string(), z.unknown()).parse(text === "" ? {} : JSON.parse(text))
    const { data: failed } = ERROR.safeParse(value)
    return { status: reply.status, headers: reply.headers, value, code: failed?.error.code }
  }

  private keep(line: string): void {
    this.lines.push(line)
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    if (value === "") this.cookies.delete(name)
    else this.cookies.set(name, value)
  }

  async signIn(body: object, sent: Sent = {}): Promise<Answer> {
    const answer = await this.send("POST", "/v1/session", { ...sent, body })
    assert.equal(answer.status, 201, JSON.stringify(answer.value))
    this.csrf = String(answer.value["csrf"])
    return answer
  }

  /** Returns what the server says of the session. */
  async session(sent: Sent = {}): Promise<Answer["value"]> {
    const { status, value } = await this.send("GET", "/v1/session", sent)
    assert.equal(status, 200, JSON.stringify(value))
    return value
  }

  async isSignedIn(sent: Sent = {}): Promise<boolean> {
    return (await this.session(sent))["who"] !== undefined
  }
}

/** A user of the root account with a key, who may do what the action names. */
export async function keyOf({ access }: ConsoleWorld, userName: string, action?: string) {
  const ref = await access.create("user", userName)
  if (action !== undefined) await access.access.identities.putInline(ref, "own", allow(action))
  const { key, secret } = await access.access.accounts.createKey({ accountId: ROOT_KEY.accountId, userName })
  return { accessKeyId: key.id, secretAccessKey: secret, ref }
}

/** The body of a sign-in with a key. */
export const signInOf = ({ accessKeyId, secretAccessKey }: { accessKeyId: string; secretAccessKey: string }) => ({
  accessKeyId,
  secretAccessKey,
})
