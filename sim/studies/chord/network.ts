/**
 * The network between Chord's nodes: calls take time, and calls to a node that has failed time out. Counts messages and
 * bytes of lookups and of maintenance.
 */
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { between } from "../draws.js"
import type { Events } from "../events.js"
import type { ChordId } from "./ids.js"

export const CHORD_COST = {
  /** IP and UDP, the number of the call, its method, and a key of 160 bits. */
  requestBytes: 28 + 4 + 1 + 20,
  /** IP and UDP, the number of the call. */
  answerBytes: 28 + 4,
  /** A node in an answer or in a table: its id of 160 bits, its address and port. */
  entryBytes: 20 + 6,
  /** One way. */
  latencyMs: [0.2, 1],
  timeoutMs: 500,
} as const

export type Traffic = "lookup" | "maintenance"

export interface Carried {
  messages: number
  bytes: number
}

interface Call<Node, Answer> {
  readonly from: ChordId
  readonly to: ChordId
  readonly traffic: Traffic
  serve(node: Node): Answer
  /** Nodes that an answer names. */
  entriesOf(answer: Answer): number
  answered(answer: Answer): void
  failed(): void
}

export class ChordNetwork<Node> {
  /** Nodes that run. */
  readonly nodes = new Map<ChordId, Node>()
  readonly carried: Record<Traffic, Carried> = {
    lookup: { messages: 0, bytes: 0 },
    maintenance: { messages: 0, bytes: 0 },
  }

  constructor(
    readonly events: Events,
    private readonly random: Random,
  ) {}

  /** A caller that has failed meanwhile receives nothing. */
  call<Answer>(call: Call<Node, Answer>): void {
    const caller = this.nodes.get(call.from)
    const toCaller = (receive: () => void) => () => {
      if (this.nodes.get(call.from) === caller) receive()
    }
    const [least, most] = CHORD_COST.latencyMs
    this.carry(call.traffic, CHORD_COST.requestBytes)
    this.events.after(between(this.random, least, most), () => {
      const node = this.nodes.get(call.to)
      if (node === undefined)
        return this.events.after(
          CHORD_COST.timeoutMs,
          toCaller(() => call.failed()),
        )
      const answer = call.serve(node)
      this.carry(call.traffic, CHORD_COST.answerBytes + CHORD_COST.entryBytes * call.entriesOf(answer))
      this.events.after(
        between(this.random, least, most),
        toCaller(() => call.answered(answer)),
      )
    })
  }

  private carry(traffic: Traffic, bytes: number): void {
    this.carried[traffic].messages += 1
    this.carried[traffic].bytes += bytes
  }
}
