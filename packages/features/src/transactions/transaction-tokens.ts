/**
 * Transaction tokens: forgets once an hour the tokens of transactions that clients can no longer repeat, and the guards of
 * transactions whose process has ended. A job; with several nodes one of them does it.
 */
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import { shownDueTimeMs, type Core } from "@hayloft/objects/door/index.js"
import { dropRows } from "@hayloft/objects/door/rows.js"
import { dropGuards, overTransactions } from "./transaction-commands-core.js"

const LIMITS = { rowsPerStep: 256, restMs: 3_600_000 } as const

/** One node does it, once an hour. */
export const TOKENS_JOB = "transaction-tokens"

export class TransactionTokens implements Job {
  readonly name = TOKENS_JOB
  /** The place where a pass goes on; undefined: none is under way. */
  private from: RowKey | undefined
  private nextAtMs = -Infinity
  private forgotten = 0

  constructor(private readonly seams: Pick<Core, "clock" | "storeClock" | "jobMetadata">) {}

  progress(): string {
    return `${plural(this.forgotten, "token")} forgotten`
  }

  async step(): Promise<StepOutcome> {
    const { clock, jobMetadata: metadata } = this.seams
    const { from } = this
    const nowMs = shownDueTimeMs(this.seams)
    if (from === undefined && clock.monotonicMs() < this.nextAtMs) return "idle"
    if (nowMs === undefined) return "idle"
    const over = overTransactions(from ?? rowKeyOf(""), nowMs, LIMITS.rowsPerStep)
    const { tokens, guards, next } = await metadata.ask(over)
    if (tokens.length > 0) await metadata.run(dropRows(tokens))
    for (const each of guards) await metadata.run(dropGuards(each))
    this.forgotten += tokens.length
    this.from = next
    if (next !== undefined) return "busy"
    this.nextAtMs = clock.monotonicMs() + LIMITS.restMs
    return "idle"
  }
}
