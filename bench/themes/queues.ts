/** Messages that are added, received and acknowledged, beside objects that are put, read and deleted by the same client. */
import { createHash } from "node:crypto"
import { Agent, request as send } from "node:http"
import { signRequest } from "@hayloft/access/sigv4.js"
import { KIB } from "@hayloft/base/limits.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import { freePort } from "../../tests/harness/free-port.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import type { Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"
import { ratePerSecond } from "../work-rate.js"

const BODY = noiseOf(KIB)
const HOST = "127.0.0.1"
/** Wakes of one row, of which the median is shown. */
const WAKES = 50

interface Call {
  readonly service: "s3" | "sqs"
  readonly method: string
  readonly target: string
  readonly body?: Uint8Array
}

class Queues implements Fixture {
  private readonly agent = new Agent({ keepAlive: true })
  private drawn = 0

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
    private readonly port: number,
  ) {}

  static async open(bench: Bench): Promise<Queues> {
    const port = await freePort()
    const args = ["--queue-listen", `${HOST}:${port}`]
    return new Queues(bench, await OwnStore.open(bench, { name: "queues", folders: 1, args }), port)
  }

  async close(): Promise<void> {
    this.agent.destroy()
    await this.store.close()
  }

  async besideObjects(workers: number): Promise<Measured> {
    const queue = `bench-${(this.drawn += 1)}`
    const messages = await ratePerSecond(this.bench, workers, async () => {
      await this.call({ service: "sqs", method: "POST", target: `/queue/${queue}`, body: BODY })
      const ids = await this.receive(queue)
      await this.call({ service: "sqs", method: "POST", target: "/jobs/ack", body: Buffer.from(JSON.stringify(ids)) })
    })
    const objects = await ratePerSecond(this.bench, workers, async (_, number) => {
      const target = `/${BUCKET}/${queue}-${number}`
      await this.call({ service: "s3", method: "PUT", target, body: BODY })
      await this.call({ service: "s3", method: "GET", target })
      await this.call({ service: "s3", method: "DELETE", target })
    })
    return { figure: messages, unit: "/s", limit: objects }
  }

  /** From the begin of an addition to the message at a consumer that waits, beside the addition alone. */
  async woken(): Promise<Measured> {
    const { clock } = this.bench
    const queue = `wake-${(this.drawn += 1)}`
    const [all, alone]: [number[], number[]] = [[], []]
    for (let number = 0; number < shareOf(this.bench.scale, WAKES); number += 1) {
      const received = this.receive(queue, 10_000).then(() => clock.monotonicMs())
      const beganMs = clock.monotonicMs()
      await this.call({ service: "sqs", method: "POST", target: `/queue/${queue}`, body: BODY })
      alone.push(clock.monotonicMs() - beganMs)
      all.push((await received) - beganMs)
    }
    return { figure: median(all), unit: "ms", limit: median(alone) }
  }

  private async receive(queue: string, timeoutMs = 1_000): Promise<readonly string[]> {
    const target = `/queue?from=${queue}&timeout=${timeoutMs}`
    const text = (await this.call({ service: "sqs", method: "GET", target })).toString()
    return [...text.matchAll(/"id":"([^"]+)"/g)].map(([, id = ""]) => id)
  }

  private call({ service, method, target: rawTarget, body = new Uint8Array(0) }: Call): Promise<Buffer> {
    const { access } = this.store.forge
    const port = service === "sqs" ? this.port : Number(this.store.forge.endpoint.port)
    const hash = createHash("sha256").update(body).digest("hex")
    const credentials = {
      accessKeyId: access.accessKeyId,
      secret: access.secretAccessKey,
      region: access.region,
      service,
    }
    const rawHeaders = ["host", `${HOST}:${port}`]
    const signed = signRequest(
      { method, rawTarget, rawHeaders },
      hash,
      credentials,
      this.bench.clock.wallMs(),
    ).rawHeaders
    const headers: Record<string, string> = { "content-length": String(body.length) }
    for (let at = 0; at < signed.length; at += 2) headers[signed[at] ?? ""] = signed[at + 1] ?? ""
    return new Promise((resolve, reject) => {
      const sent = send({ method, host: HOST, port, path: rawTarget, headers, agent: this.agent }, response => {
        const pieces: Buffer[] = []
        response.on("data", (piece: Buffer) => pieces.push(piece))
        response.on("error", reject)
        response.on("end", () => {
          const whole = Buffer.concat(pieces)
          const { statusCode = 0 } = response
          if (statusCode >= 300) reject(new Error(`${method} ${rawTarget}: ${statusCode} ${whole.toString()}`))
          else resolve(whole)
        })
      })
      sent.on("error", reject)
      sent.end(body)
    })
  }
}

const median = (figures: readonly number[]): number =>
  [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0

export const QUEUES = theme({
  name: "queues",
  open: bench => Queues.open(bench),
  rows: () => [
    { work: "message of 1 KiB added, received, acknowledged, against an object", measure: it => it.besideObjects(1) },
    { work: "the same by 16 clients", measure: it => it.besideObjects(16) },
    { work: "message until a consumer that waits has it, against the addition", measure: it => it.woken() },
  ],
})
