/** Callers of a handler: two accounts, their users, and an anonymous caller. */
import { HeaderLines } from "@hayloft/protocols/http/index.js"
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { sha256Hex, signRequest } from "@hayloft/access/index.js"
import type { Protocol } from "@hayloft/protocols/http/index.js"
import { ask, type HandlerRequest } from "./ask.js"
import { OWNER, STRANGER, type Key } from "./over-model.js"

export const keyOf = (name: string): Key => {
  if (name === "owner") return OWNER
  if (name === "stranger") return STRANGER
  return { id: `AKIA${name.toUpperCase()}`.padEnd(20, "0"), secret: `${name}-secret` }
}

export type Statement = Readonly<Record<string, unknown>>

export const policyOf = (...statements: readonly Statement[]): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: statements })

export const allow = (
  actions: string | readonly string[],
  resource: string | readonly string[],
  condition?: unknown,
): Statement => ({
  Effect: "Allow",
  Action: actions,
  Resource: resource,
  ...(condition !== undefined && { Condition: condition }),
})

export const deny = (...args: Parameters<typeof allow>): Statement => ({ ...allow(...args), Effect: "Deny" })

/** A statement of a resource's policy. */
export const to = (principal: unknown, statement: Statement): Statement => ({ Principal: principal, ...statement })

/** A document as body, with its required headers. */
export const documented = (body: string) => ({
  body,
  headers: ["content-md5", createHash("md5").update(body).digest("base64")],
})

export interface Sent {
  readonly status: number
  readonly text: string
  readonly headers: ReadonlyMap<string, string>
}

export interface With {
  readonly headers?: readonly string[]
  readonly body?: string
  /** The body is withheld until this resolves. */
  readonly bodyComes?: Promise<void>
  readonly from?: string
  readonly tlsVersion?: string
}

export class People {
  constructor(private readonly handler: Protocol) {}

  /** `line`: `GET /bucket/key`. The caller named `nobody` does not sign. */
  async send(name: string, line: string, { headers = [], body = "", ...wire }: With = {}): Promise<Sent> {
    const [method = "", rawTarget = ""] = line.split(" ")
    const bytes = Buffer.from(body)
    const length = body === "" ? [] : ["content-length", String(bytes.length)]
    const rawHeaders = ["host", "localhost", ...headers, ...length]
    const request = { method, rawTarget, rawHeaders }
    if (name === "nobody") return this.tell({ ...request, body: bytes, ...wire })
    const { id, secret } = keyOf(name)
    const terms = { accessKeyId: id, secret, region: "us-east-1", service: "s3" }
    const signed = signRequest(request, sha256Hex(bytes), terms, Date.now())
    return this.tell({ ...request, rawHeaders: signed.rawHeaders, body: bytes, ...wire })
  }

  async tell(handlerRequest: HandlerRequest): Promise<Sent> {
    const { answer } = await ask(this.handler, handlerRequest)
    const text = answer?.body instanceof Uint8Array ? Buffer.from(answer.body).toString() : ""
    const fields = answer?.headers instanceof HeaderLines ? answer.headers.flat() : (answer?.headers ?? [])
    const headers = new Map(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1] ?? ""] as const] : [])))
    return { status: answer?.status ?? 0, text, headers }
  }

  async expect(status: number, ...args: Parameters<People["send"]>): Promise<Sent> {
    const sent = await this.send(...args)
    assert.equal(sent.status, status, `${args[0]}: ${args[1]}: ${sent.text}`)
    return sent
  }
}
