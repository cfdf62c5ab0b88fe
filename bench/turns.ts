/**
 * Load on several servers in turns of `TURN_MS`, or of the whole load if it is shorter, so that other load on the machine slows all of them alike. Each
 * server has the same number of kept-alive connections, each with one request at a time.
 */
import { mapBounded } from "@hayloft/base/life/index.js"
import { RawConnection, type RawOptions, type RawRequest } from "@hayloft/client/load/raw-connection.js"
import type { Bench } from "./bench.js"

/** The number for each server, unless the load gives its own. */
const CONNECTIONS = 8
const TURN_MS = 100

export interface Target extends RawOptions {
  readonly endpoint: URL
  readonly requests: readonly RawRequest[]
  /** Each request is sent only once and the load ends after the last; otherwise requests are repeated. */
  readonly isOnce: boolean
  readonly answerBytes: number | undefined
  readonly connections?: number
}

export class TurnTaker {
  private readonly connections: readonly RawConnection[]
  private sent = 0
  answered = 0

  constructor(
    private readonly bench: Bench,
    private readonly target: Target,
  ) {
    const { endpoint, connections: length = CONNECTIONS } = target
    this.connections = Array.from({ length }, () => new RawConnection(endpoint, bench.signal, target))
  }

  async open(): Promise<void> {
    await mapBounded(this.connections, this.connections.length, connection => connection.open())
  }

  close(): void {
    for (const connection of this.connections) connection.close()
  }

  get isOnce(): boolean {
    return this.target.isOnce
  }

  /** False once the last of the requests that can be sent only once was sent. */
  get hasMore(): boolean {
    return !this.target.isOnce || this.sent < this.target.requests.length
  }

  /** Throws if a request fails. */
  async turn(ms: number): Promise<void> {
    const endMs = this.bench.clock.monotonicMs() + ms
    await mapBounded(this.connections, this.connections.length, async connection => {
      while (this.hasMore && this.bench.clock.monotonicMs() < endMs) await this.one(connection)
    })
  }

  private async one(connection: RawConnection): Promise<void> {
    const { requests, answerBytes } = this.target
    const request = requests[this.sent % requests.length]
    if (request === undefined) throw new Error("a load needs requests")
    this.sent += 1
    const { status, bodyBytes, errorText } = await connection.ask(request)
    if (status >= 300) throw new Error(`a request was answered with ${status}: ${errorText}`)
    if (answerBytes !== undefined && answerBytes !== bodyBytes) {
      throw new Error(`an answer has ${bodyBytes} bytes instead of ${answerBytes}`)
    }
    this.answered += 1
  }
}

/** Runs until each server has had `seconds` of load, or has no more requests. */
export async function inTurns(takers: readonly TurnTaker[], seconds: number): Promise<void> {
  const turnMs = Math.min(TURN_MS, seconds * 1000)
  const turns = Math.ceil((seconds * 1000) / TURN_MS)
  const isOver = (turn: number): boolean => takers.every(taker => (taker.isOnce ? !taker.hasMore : turn >= turns))
  for (let turn = 0; !isOver(turn); turn += 1) {
    // The servers alternate in who is first.
    const order = turn % 2 === 0 ? takers : [...takers].reverse()
    for (const taker of order) await taker.turn(turnMs)
  }
}
