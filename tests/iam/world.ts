/** IAM and STS without a server: requests signed like those of clients, over identities in memory. */
import assert from "node:assert/strict"
import { attemptsWith } from "@hayloft/access/secrets/testing-attempts.js"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { type People, Denials, RateLimiter, sha256Hex, signRequest } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { Protocol } from "@hayloft/protocols/http/index.js"
import { createIamHandler, LdapSignIn } from "@hayloft/protocols/iam/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { Web } from "@hayloft/base/seams/web/contract.js"
import { AccessWorld, ROOT_KEY } from "../access/world.js"
import { ask, type HandlerRequest } from "../s3/ask.js"

export interface Signer {
  readonly accessKeyId: string
  readonly secret: string
  readonly token?: string
}

export const ROOT: Signer = { accessKeyId: ROOT_KEY.accessKeyId, secret: ROOT_KEY.secret }

export type Values = Readonly<Record<string, string | number>>

export interface IamAnswer {
  readonly status: number
  readonly xml: string
  /** The code of an error. */
  readonly code: string
  readonly notes: Readonly<Record<string, unknown>>
  /** The texts of all elements of that name. */
  all(element: string): readonly string[]
  /** The text of the only element of that name. */
  one(element: string): string
}

/** Documents by address; requests are recorded. Only addresses with TLS are allowed. */
export class SimWeb implements Web {
  readonly documents = new Map<string, unknown>()
  readonly fetched: string[] = []

  allows(url: string): boolean {
    return url.startsWith("https://")
  }

  async get(url: string): Promise<Uint8Array> {
    this.fetched.push(url)
    const found = this.documents.get(url)
    if (found === undefined) throw fail("providerUnreachable", { url })
    return Buffer.from(JSON.stringify(found))
  }
}

const versionOf = (service: string): string => (service === "sts" ? "2011-06-15" : "2010-05-08")

const textsOf = (values: Values): Record<string, string> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))

export const formOf = (action: string, values: Values = {}, service = "iam"): string =>
  new URLSearchParams({ Action: action, Version: versionOf(service), ...textsOf(values) }).toString()

export const formRequest = (form: string, headers: readonly string[] = []): HandlerRequest => ({
  method: "POST",
  rawTarget: "/",
  rawHeaders: ["host", "localhost", "content-type", "application/x-www-form-urlencoded; charset=utf-8", ...headers],
  body: Buffer.from(form),
})

export function sign(request: HandlerRequest, service: string, signer: Signer, nowMs = Date.now()): HandlerRequest {
  const { accessKeyId, secret, token } = signer
  const rawHeaders = token === undefined ? request.rawHeaders : [...request.rawHeaders, "x-amz-security-token", token]
  const hash = sha256Hex(request.body ?? new Uint8Array())
  const credentials = { accessKeyId, secret, service, region: "us-east-1" }
  return { ...request, rawHeaders: signRequest({ ...request, rawHeaders }, hash, credentials, nowMs).rawHeaders }
}

const unescape = (text: string): string =>
  text.replace(
    /&(lt|gt|amp|quot|apos);/g,
    (_, name: string) => new Map(Object.entries({ lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" })).get(name) ?? "",
  )

export async function tell(handler: Protocol, request: HandlerRequest): Promise<IamAnswer> {
  const { answer, notes } = await ask(handler, request)
  const body = answer?.body
  const xml = body instanceof Uint8Array ? Buffer.from(body).toString() : ""
  const all = (element: string) =>
    Array.from(xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, "g")), ([, text = ""]) => unescape(text))
  const one = (element: string): string => {
    const [only, ...more] = all(element)
    assert.ok(only !== undefined && more.length === 0, `not exactly one ${element} in ${xml}`)
    return only
  }
  return { status: answer?.status ?? 0, xml, code: all("Code")[0] ?? "", notes, all, one }
}

export class IamWorld {
  readonly web = new SimWeb()
  readonly denials = new Denials()
  readonly audit = new FakeAudit()
  /** The people of a directory; it is set before the first request. */
  people: Pick<People, "signIn"> | undefined
  /** The setting of that name; it is set before the first request. */
  ignoresUnknownRoles = false
  private constructor(readonly access: AccessWorld) {}

  static async open(answersLater = false): Promise<IamWorld> {
    return new IamWorld(await AccessWorld.open(answersLater))
  }

  get handler(): Protocol {
    const attempts = attemptsWith(new SimClock(), this.audit)
    const { sessions } = this.access.access
    const { people, audit, ignoresUnknownRoles } = this
    return (this.made ??= createIamHandler({
      ldap: people && new LdapSignIn({ people, sessions, attempts, audit }),
      ...this.access.access,
      ignoresUnknownRoles,
      web: this.web,
      clock: new RealClock(),
      metrics: new SimTelemetry().metrics,
      denials: this.denials,
      audit: this.audit,
      rates: new RateLimiter(new RealClock(), new SimTelemetry().metrics, () => 1),
      attempts,
    }))
  }
  private made: Protocol | undefined

  /** Returns any answer. */
  ask(action: string, values: Values = {}, signer: Signer = ROOT, service = "iam"): Promise<IamAnswer> {
    return tell(this.handler, sign(formRequest(formOf(action, values, service)), service, signer))
  }

  /** Asserts an answer of 200. */
  async iam(action: string, values: Values = {}, signer: Signer = ROOT): Promise<IamAnswer> {
    const reply = await this.ask(action, values, signer)
    assert.equal(reply.status, 200, `${action}: ${reply.xml}`)
    return reply
  }

  async sts(action: string, values: Values = {}, signer: Signer = ROOT): Promise<IamAnswer> {
    const reply = await this.ask(action, values, signer, "sts")
    assert.equal(reply.status, 200, `${action}: ${reply.xml}`)
    return reply
  }

  async refused(
    code: string,
    action: string,
    values: Values = {},
    signer: Signer = ROOT,
    service = "iam",
  ): Promise<IamAnswer> {
    const reply = await this.ask(action, values, signer, service)
    assert.equal(reply.code, code, `${action}: ${reply.status} ${reply.xml}`)
    return reply
  }

  /** A user with a key and, if given, a policy. */
  async user(UserName: string, PolicyDocument?: string): Promise<Signer> {
    await this.iam("CreateUser", { UserName })
    if (PolicyDocument !== undefined) await this.iam("PutUserPolicy", { UserName, PolicyName: "own", PolicyDocument })
    return this.keyOf(UserName)
  }

  async keyOf(UserName: string): Promise<Signer> {
    const made = await this.iam("CreateAccessKey", { UserName })
    return { accessKeyId: made.one("AccessKeyId"), secret: made.one("SecretAccessKey") }
  }
}

/** Credentials from an answer of STS. */
export const sessionIn = (reply: IamAnswer): Signer => ({
  accessKeyId: reply.one("AccessKeyId"),
  secret: reply.one("SecretAccessKey"),
  token: reply.one("SessionToken"),
})
