/**
 * How a client of the tests reaches a store: one server, or several nodes, any of which may be dead, frozen or cut off
 * from others while clients work.
 *
 * Promises  With several nodes: a request that a node has not accepted goes to another one. One that may have reached a
 *           node is sent once. An answer that asks to try again later says when.
 * Limits    `NOBODY_MS` until some node accepts connections; the client's for an answer.
 */
import { setTimeout as wait } from "node:timers/promises"
import type { Call, Client } from "../../conformance/client.js"
import { AnswerBroken, KeptConnection } from "../../conformance/raw-client.js"
import type { RawResponse } from "../../conformance/raw-client.js"
import { text } from "../../conformance/xml.js"
import type { Record } from "./record.js"
import type { SeededRandom } from "./seeded-random.js"

/** The servers of a store. */
export interface Service {
  readonly nodes: readonly Client[]
  /** Nodes fail while clients work: clients go on with others, and 503, 507 and a conflict are no faults. */
  readonly mayFail: boolean
}

const NOBODY_MS = 180_000
const PAUSE_MS = 100
const UNAVAILABLE = 503
const FULL = 507
const CONFLICT = 409
/** Codes of an error document after a status of 200, which a slow completion may end with. */
const LATER = new Set(["ServiceUnavailable", "SlowDown"])

/** An earlier request, on a node that may have failed since, has not ended. */
const isOfAnother = ({ status, text: body }: RawResponse): boolean =>
  status === CONFLICT && text(body, "Code") === "ConditionalRequestConflict"

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "")

const isNetworkError = (error: unknown): boolean => /^(ECONN|EPIPE|ETIMEDOUT)/.test(codeOf(error))

export class Route {
  private readonly connections: readonly { readonly client: Client; readonly kept: KeptConnection }[]
  /** The latest request without an answer, for messages. */
  unanswered = ""

  constructor(
    private readonly service: Service,
    private readonly record: Record,
    private readonly random: SeededRandom,
  ) {
    this.connections = service.nodes.map(client => ({ client, kept: new KeptConnection(client.endpoint) }))
  }

  /** Returns true if the answer only asks to try again later: the request may have taken effect, or may yet. */
  asksForPatience(answer: RawResponse): boolean {
    const { status } = answer
    return status === UNAVAILABLE || (this.service.mayFail && (status === FULL || isOfAnother(answer)))
  }

  /** Returns undefined if no answer came. */
  async ask(method: string, call: Call): Promise<RawResponse | undefined> {
    const first = this.connections.length === 1 ? 0 : this.random.below(this.connections.length)
    const untilMs = performance.now() + NOBODY_MS
    for (let tries = 0; ; tries += 1) {
      const at = this.connections[(first + tries) % this.connections.length]
      if (at === undefined) throw new Error("a store has nodes")
      try {
        return this.checked(method, call, await at.kept.exchange(at.client.prepare(method, call).request))
      } catch (error) {
        if (!(error instanceof AnswerBroken || isNetworkError(error))) throw error
        const mayHelp = this.service.mayFail && codeOf(error) === "ECONNREFUSED" && performance.now() < untilMs
        if (!mayHelp) return this.noAnswer(`${method} ${at.client.target(call)}: ${String(error)}`)
      }
      if (tries % this.connections.length === this.connections.length - 1) await wait(PAUSE_MS)
    }
  }

  private noAnswer(what: string): undefined {
    this.unanswered = what
    if (this.service.mayFail) this.record.count("no answer")
  }

  private checked(method: string, call: Call, answer: RawResponse): RawResponse {
    if (!this.service.mayFail) return answer
    if (this.asksForPatience(answer)) {
      this.record.count(`status ${answer.status}`)
      const isSilent = answer.status === UNAVAILABLE && answer.header("retry-after") === undefined
      if (isSilent) this.record.violation(`${method} ${call.key}: 503 without Retry-After: ${answer.text}`)
      return answer
    }
    const isLate = answer.status === 200 && method !== "GET" && method !== "HEAD" && answer.text.includes("<Error>")
    if (!isLate || !LATER.has(text(answer.text, "Code") ?? "")) return answer
    this.record.count("status 200, then an error")
    return { ...answer, status: UNAVAILABLE }
  }

  close(): void {
    for (const { kept } of this.connections) kept.close()
  }
}
