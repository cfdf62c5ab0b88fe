/**
 * The primary core, step by step: commands are decided, logged and committed one at a time, so that a scenario
 * shows which answer waits for which entry. The scenario plays the replicas: `commit` means that all of them have
 * the batch.
 */
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail } from "@hayloft/base/failures.js"
import { parseEpoch, parseIncarnation, parsePosition, parseTabletId, rowKeyOf } from "@hayloft/base/ids.js"
import { MemoryLayer, rangeThrough } from "@hayloft/engine/device/index.js"
import { soleProcess } from "@hayloft/engine/metadata/index.js"
import type { TabletRow } from "@hayloft/engine/tablet/contract.js"
import { PrimaryCore, type Batch } from "@hayloft/engine/tablet/primary-core.js"
import type { Call } from "./call.js"
import { ALL_ROWS, DECISIONS, FAMILY, shownRows, textOfWrite, type Decide } from "./rows.js"
import type { Subject } from "./run-scenario.js"

export class PrimaryScenario implements Subject {
  private core: PrimaryCore | undefined
  private rows = new MemoryLayer<TabletRow>()
  private readonly logged: Batch[] = []
  private printed: string[] = []

  readonly commands = {
    primary: (call: Call) => this.open(call),
    ...Object.fromEntries(
      Object.entries(DECISIONS).map(([name, of]) => [name, (call: Call) => this.decide(call.line, of(call))]),
    ),
    log: () => this.log(),
    commit: () => this.commit(),
    abandon: (call: Call) => this.abandon(call.flag("full")),
    epoch: (call: Call) => this.raiseEpoch(Number(call.word())),
    state: () => this.state(),
  }

  private get opened(): PrimaryCore {
    return must(this.core, "the scenario begins with primary")
  }

  private open(call: Call): readonly string[] {
    this.core = new PrimaryCore(
      parseTabletId(1),
      parseEpoch(call.number("epoch", 1)),
      parsePosition(call.number("position", 0)),
      this.rows,
      soleProcess(parseIncarnation(1)),
    )
    return this.state()
  }

  private take(): readonly string[] {
    const { printed } = this
    this.printed = []
    return printed
  }

  private decide(label: string, decide: Decide): readonly string[] {
    let isAnswered = false
    const answer = (text: string): void => {
      isAnswered = true
      this.printed.push(`${label}: ${text}`)
    }
    const traced: Decide = (view, time) => {
      const decision = decide(view, time)
      if (decision.writes.length > 0) {
        this.printed.push(`decided as entry ${time.position}: ${shownRows(decision.writes.map(textOfWrite))}`)
      }
      return decision
    }
    this.opened.decide({ decide: traced }, 0, new Map(), {
      resolve: answer,
      reject: error => answer(`refused: ${asFailure(error).kind}`),
    })
    if (!isAnswered) this.printed.push("the answer waits")
    return this.take()
  }

  private log(): readonly string[] {
    const batch = this.opened.takeBatch()
    if (!batch) return ["nothing to log"]
    this.logged.push(batch)
    return batch.entries.map(
      ({ position, epoch, writes }) => `entry ${position} (epoch ${epoch}): ${shownRows(writes.map(textOfWrite))}`,
    )
  }

  private commit(): readonly string[] {
    const batch = must(this.logged.shift(), "a batch was logged")
    for (const { writes } of batch.entries) {
      for (const { family, key, value } of writes) this.rows.set(family, key, value && { value, payload: undefined })
    }
    this.opened.commit(batch)
    return [`committed up to ${batch.last}`, ...this.take()]
  }

  private abandon(isFull: boolean): readonly string[] {
    this.logged.length = 0
    this.opened.abandon(isFull ? fail("deviceFull") : undefined)
    return this.take()
  }

  private raiseEpoch(epoch: number): readonly string[] {
    this.opened.raiseEpoch(parseEpoch(epoch))
    return [`epoch ${this.opened.epoch}`]
  }

  private state(): readonly string[] {
    const { committed, epoch, backlog } = this.opened
    const rows = [...rangeThrough([this.rows], FAMILY, ALL_ROWS)].map(([key, { value }]) =>
      textOfWrite({ key: rowKeyOf(key), value }),
    )
    return [`committed ${committed}, epoch ${epoch}, answers waiting ${backlog}`, `readers see ${shownRows(rows)}`]
  }
}
