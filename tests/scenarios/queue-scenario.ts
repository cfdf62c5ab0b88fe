/** The order of repair, step by step: partitions that need a visit, their urgency, and the next ones. */
import { MIB } from "@hayloft/base/limits.js"
import { RepairLedger, SPARE_SHARDS_UNKNOWN, workOf, type PartitionNeed } from "@hayloft/upkeep/repair/repair-ledger.js"
import type { RepairWork } from "@hayloft/upkeep/repair/repair-contract.js"
import { shownBytes, type Call } from "./call.js"
import type { Subject } from "./run-scenario.js"

const KINDS: Readonly<Record<string, PartitionNeed>> = { rebuild: "mend", move: "move" }

export class QueueScenario implements Subject {
  private readonly ledger = new RepairLedger()

  readonly commands = {
    queue: () => this.state(),
    note: (call: Call) => this.note(call),
    done: (call: Call) => this.done(call),
    hint: (call: Call) => this.hint(call),
    visited: (call: Call) => this.visited(call),
    postpone: (call: Call) => this.postpone(call),
    next: (call: Call) => this.next(call),
    "scan-again": () => this.clear(),
    state: () => this.state(),
  }

  /** Reports the needs of partitions, as a scan or a visit does. Input: `17 rebuild spare=0 bytes=1M`. */
  private note(call: Call): readonly string[] {
    for (const line of call.inputCalls()) {
      const text = line.word()
      const kind = KINDS[text] ?? line.reject(`has ${text}, which is neither rebuild nor move`)
      this.ledger.set(Number(line.name), { kind, spareShards: line.number("spare"), bytes: line.number("bytes") })
      line.checkAllRead()
    }
    return this.state()
  }

  private done(call: Call): readonly string[] {
    for (const word of call.rest()) this.ledger.set(Number(word), undefined)
    return this.state()
  }

  /** Writes left missing-shard hints: only a visit finds out how urgent their partitions are. */
  private hint(call: Call): readonly string[] {
    for (const word of call.rest()) {
      const partition = Number(word)
      if (!this.ledger.needs(partition))
        this.ledger.set(partition, { kind: "mend", spareShards: SPARE_SHARDS_UNKNOWN, bytes: 0 })
    }
    return this.state()
  }

  private visited(call: Call): readonly string[] {
    const partition = Number(call.word())
    const isDone = call.flag("done")
    this.ledger.visited(partition, call.number("bytes", 0), isDone)
    if (isDone) this.ledger.set(partition, undefined)
    return this.state()
  }

  private postpone(call: Call): readonly string[] {
    this.ledger.postpone(Number(call.word()), call.number("until"))
    return []
  }

  private next(call: Call): readonly string[] {
    const partitions = this.ledger.next(call.number("max", 4), call.number("bytes", 128 * MIB), call.number("now", 0))
    return [partitions.length > 0 ? `visit ${partitions.join(" ")}` : "nothing to visit now"]
  }

  private clear(): readonly string[] {
    this.ledger.clear()
    return this.state()
  }

  private state(): readonly string[] {
    const { mending, moving, isEmpty } = this.ledger
    return [`rebuild: ${shownWork(mending)}`, `move: ${shownWork(moving)}`, ...(isEmpty ? ["nothing is left"] : [])]
  }
}

function shownWork(sums: RepairWork): string {
  const { doneBytes, remainingBytes, partitionsDone, partitionsRemaining } = workOf(sums)
  return `partitions done ${partitionsDone} (${shownBytes(doneBytes)}), remaining ${partitionsRemaining} (${shownBytes(remainingBytes)})`
}
