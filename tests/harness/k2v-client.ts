/** A small client of K2V, as Garage specifies it, for tests: it signs a request with Signature V4 and sends it. */
import { createHash } from "node:crypto"
import { request as send } from "node:http"
import { signRequest } from "@hayloft/access/sigv4.js"
import { percentEncode } from "@hayloft/base/http/uri.js"

export interface K2vAccess {
  /** `127.0.0.1:PORT`. */
  readonly host: string
  readonly accessKey: string
  readonly secretKey: string
}

export interface K2vReply {
  readonly status: number
  readonly token: string | undefined
  readonly type: string | undefined
  readonly body: Buffer
  /** The value of a body that is JSON. */
  readonly json: unknown
}

type Parameters = Readonly<Record<string, string>>

export interface K2vRequest {
  readonly method: string
  readonly bucket?: string
  readonly partition?: string
  readonly parameters?: Parameters
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  /** The value that is signed for the body, if not its hash. */
  readonly hash?: string
  readonly service?: string
  readonly signal?: AbortSignal
}

const encode = (text: string): string => percentEncode(Buffer.from(text).toString("latin1"))

function parsed(body: Buffer, type: string | undefined): unknown {
  return type === "application/json" && body.length > 0 ? JSON.parse(body.toString()) : undefined
}

export class K2vClient {
  constructor(
    private readonly access: K2vAccess,
    private readonly bucket: string,
  ) {}

  request({ method, partition, parameters = {}, headers = {}, body = "", signal, ...more }: K2vRequest) {
    const { host, accessKey: accessKeyId, secretKey: secret } = this.access
    const query = Object.entries(parameters).map(([name, value]) => `${encode(name)}=${encode(value)}`)
    const path = `/${encode(more.bucket ?? this.bucket)}${partition === undefined ? "" : `/${encode(partition)}`}`
    const rawTarget = query.length === 0 ? path : `${path}?${query.join("&")}`
    const bytes = Buffer.from(body)
    const hash = more.hash ?? createHash("sha256").update(bytes).digest("hex")
    const credentials = { accessKeyId, secret, region: "us-east-1", service: more.service ?? "k2v" }
    const plain = ["host", host, ...Object.entries(headers).flat()]
    const signed = signRequest({ method, rawTarget, rawHeaders: plain }, hash, credentials, Date.now()).rawHeaders
    const [name = "", port = ""] = host.split(":")
    return new Promise<K2vReply>((resolve, reject) => {
      const own = [...signed, "Content-Length", String(bytes.length)]
      const options = { host: name, port, method, path: rawTarget, headers: own, agent: false as const }
      const outgoing = send({ ...options, ...(signal && { signal }) }, response => {
        const pieces: Buffer[] = []
        response.on("data", (piece: Buffer) => pieces.push(piece))
        response.on("error", reject)
        response.on("end", () => {
          const got = Buffer.concat(pieces)
          const type = response.headers["content-type"]
          const token = response.headers["x-garage-causality-token"]
          resolve({
            status: response.statusCode ?? 0,
            type,
            body: got,
            json: parsed(got, type),
            token: typeof token === "string" ? token : undefined,
          })
        })
      })
      outgoing.on("error", reject)
      outgoing.end(bytes)
    })
  }

  read(partition: string, sortKey: string, accept?: string): Promise<K2vReply> {
    const headers: Record<string, string> = accept === undefined ? {} : { Accept: accept }
    return this.request({ method: "GET", partition, parameters: { sort_key: sortKey }, headers })
  }

  insert(partition: string, sortKey: string, body: Uint8Array | string, token?: string): Promise<K2vReply> {
    return this.request({ method: "PUT", partition, parameters: { sort_key: sortKey }, body, headers: tokenOf(token) })
  }

  delete(partition: string, sortKey: string, token?: string): Promise<K2vReply> {
    return this.request({ method: "DELETE", partition, parameters: { sort_key: sortKey }, headers: tokenOf(token) })
  }

  poll(partition: string, sortKey: string, token: string, timeout = "60", signal?: AbortSignal): Promise<K2vReply> {
    const parameters = { sort_key: sortKey, causality_token: token, timeout }
    return this.request({ method: "GET", partition, parameters, ...(signal && { signal }) })
  }

  index(parameters: Parameters = {}): Promise<K2vReply> {
    return this.request({ method: "GET", parameters })
  }

  insertBatch(items: unknown): Promise<K2vReply> {
    return this.request({ method: "POST", body: JSON.stringify(items) })
  }

  search(searches: unknown, method: "POST" | "SEARCH" = "POST"): Promise<K2vReply> {
    return this.request({ method, parameters: method === "POST" ? { search: "" } : {}, body: JSON.stringify(searches) })
  }

  deleteBatch(selections: unknown): Promise<K2vReply> {
    return this.request({ method: "POST", parameters: { delete: "" }, body: JSON.stringify(selections) })
  }

  pollRange(partition: string, asked: unknown, method: "POST" | "SEARCH" = "POST"): Promise<K2vReply> {
    return this.request({ method, partition, parameters: { poll_range: "" }, body: JSON.stringify(asked) })
  }
}

const tokenOf = (token: string | undefined): Record<string, string> =>
  token === undefined ? {} : { "X-Garage-Causality-Token": token }

/** A listing as an answer describes it. */
export interface K2vListing {
  readonly items: readonly { readonly sk: string; readonly ct: string; readonly v: readonly (string | null)[] }[]
  readonly more?: boolean
  readonly nextStart?: string | null
  readonly seenMarker?: string
}

/** Throws if the value is none. */
export function listingOf(value: unknown): K2vListing {
  if (typeof value === "object" && value !== null && "items" in value && Array.isArray(value.items))
    return value as K2vListing
  throw new Error(`no listing: ${JSON.stringify(value)}`)
}

export const base64 = (text: string): string => Buffer.from(text).toString("base64")
