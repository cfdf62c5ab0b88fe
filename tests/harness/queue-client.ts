/** A small client of the REST API of queues, for tests: it signs a request with Signature V4 and sends it. */
import { createHash } from "node:crypto"
import { Agent, request as send } from "node:http"
import { signRequest } from "@hayloft/access/sigv4.js"

export interface QueueAccess {
  /** `127.0.0.1:PORT`. */
  readonly host: string
  readonly accessKey: string
  readonly secretKey: string
}

export interface QueueReply {
  readonly status: number
  readonly body: Buffer
  /** The value of a body that is JSON. */
  readonly json: unknown
}

export interface QueueRequest {
  readonly body?: Uint8Array | string
  readonly service?: string
  readonly signal?: AbortSignal
  readonly isUnsigned?: boolean
}

/** A job as GETJOB returns it. */
export interface Job {
  readonly queue: string
  readonly id: string
  readonly body: string
  readonly nacks: number
  readonly additionalDeliveries: number
}

const SAFE: Readonly<Record<string, string>> = { "+": "-", "/": "_" }
/** An id in a path. */
export const inPath = (id: string): string => id.replace(/[+/]/g, each => SAFE[each] ?? each)

export const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined

export function jobsOf({ status, json }: QueueReply): readonly Job[] {
  if (status === 204) return []
  if (status !== 200 || !Array.isArray(json)) throw new Error(`no jobs: ${status} ${JSON.stringify(json)}`)
  return json.map((job: unknown) => ({
    queue: String(fieldOf(job, "queue")),
    id: String(fieldOf(job, "id")),
    body: String(fieldOf(job, "body")),
    nacks: Number(fieldOf(job, "nacks")),
    additionalDeliveries: Number(fieldOf(job, "additionalDeliveries")),
  }))
}

export class QueueClient {
  private readonly agent = new Agent({ keepAlive: true })

  constructor(private readonly access: QueueAccess) {}

  close(): void {
    this.agent.destroy()
  }

  request(method: string, rawTarget: string, { body = "", signal, ...more }: QueueRequest = {}): Promise<QueueReply> {
    const { host, accessKey: accessKeyId, secretKey: secret } = this.access
    const bytes = Buffer.from(body)
    const hash = createHash("sha256").update(bytes).digest("hex")
    const credentials = { accessKeyId, secret, region: "us-east-1", service: more.service ?? "sqs" }
    const plain = ["host", host]
    const rawHeaders =
      more.isUnsigned === true
        ? plain
        : signRequest({ method, rawTarget, rawHeaders: plain }, hash, credentials, Date.now()).rawHeaders
    const [name = "", port = ""] = host.split(":")
    const headers: Record<string, string> = { "content-length": String(bytes.length) }
    for (let at = 0; at < rawHeaders.length; at += 2) headers[rawHeaders[at] ?? ""] = rawHeaders[at + 1] ?? ""
    return new Promise((resolve, reject) => {
      const options = {
        method,
        host: name,
        port,
        path: rawTarget,
        headers,
        agent: this.agent,
        ...(signal && { signal }),
      }
      const sent = send(options, response => {
        const pieces: Buffer[] = []
        response.on("data", (piece: Buffer) => pieces.push(piece))
        response.on("error", reject)
        response.on("end", () => {
          const whole = Buffer.concat(pieces)
          const isJson = response.headers["content-type"] === "application/json" && whole.length > 0
          const json: unknown = isJson ? JSON.parse(whole.toString()) : undefined
          resolve({ status: response.statusCode ?? 0, body: whole, json })
        })
      })
      sent.on("error", reject)
      sent.end(bytes)
    })
  }

  /** The id. Throws unless the job was added. */
  async add(queue: string, body: string, parameters = ""): Promise<string> {
    const reply = await this.request("POST", `/queue/${queue}${parameters}`, { body })
    if (reply.status !== 201) throw new Error(`not added: ${reply.status} ${reply.body.toString()}`)
    return String(fieldOf(reply.json, "id"))
  }

  async get(from: string, parameters = "&nohang=1"): Promise<readonly Job[]> {
    return jobsOf(await this.request("GET", `/queue?from=${from}${parameters}&withcounters=1`))
  }

  async ack(ids: readonly string[]): Promise<number> {
    return this.number("/jobs/ack", ids)
  }

  /** Returns how many of the ids were done. */
  async number(path: string, ids: readonly string[]): Promise<number> {
    const { status, json } = await this.request("POST", path, { body: JSON.stringify(ids) })
    if (status !== 200) throw new Error(`${path}: ${status} ${JSON.stringify(json)}`)
    return Number(json)
  }
}
