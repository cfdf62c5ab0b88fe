/**
 * Observer: records the clients' requests and responses, and decides whether later reads can be correct.
 *
 * It does not use the store. Its clock ticks at each start and each end of an operation, which gives all of them
 * one order. Every write has a unique name; a removal is a write without a value.
 */
import { checkHistory, describeVerdict, type Condition, type Mode, type Operation } from "../history/index.js"
import { check, type CheckName } from "./checks.js"

export type Outcome =
  /** Response: the operation took effect. */
  | "done"
  /** Response: the condition was false. */
  | "refused"
  /** Response: the key to match does not exist. */
  | "absent"
  /** Response: the operation had no effect, for a reason unrelated to the key. */
  | "failed"
  /** No response, or a response that leaves the outcome unknown. */
  | "unknown"

export interface Write {
  readonly key: string
  /** The value is undefined for a removal. */
  readonly name: string | undefined
  /** The required ETag, "none" for a creation; undefined without a condition. */
  readonly replaces: string | undefined
  readonly etag: string | undefined
  readonly startTick: number
  endTick: number
  outcome: Outcome
  /** In a versioned bucket: the version that the write made. */
  versionId: string | undefined
}

/** The result of a read; undefined if the key did not exist. */
export interface Shown {
  readonly name: string
  readonly etag: string
  readonly versionId: string | undefined
}

export class Observer {
  private tick = 0
  private readonly writes = new Map<string, Write[]>()
  /** Refusals because the key exists, by key. */
  private readonly seenThere = new Set<string>()
  private readonly reads: Operation[] = []

  /** The number of operations so far. */
  get count(): number {
    return [...this.writes.values()].reduce((sum, writes) => sum + writes.length, this.reads.length)
  }

  now(): number {
    this.tick += 1
    return this.tick
  }

  writesOf(key: string): readonly Write[] {
    return this.writes.get(key) ?? []
  }

  keys(): readonly string[] {
    return [...this.writes.keys()]
  }

  begin(key: string, name: string | undefined, etag?: string, replaces?: string): Write {
    const now = { startTick: this.now(), endTick: Infinity, outcome: "unknown", versionId: undefined } as const
    const write: Write = { key, name, etag, replaces, ...now }
    const writes = this.writes.get(key) ?? []
    writes.push(write)
    this.writes.set(key, writes)
    return write
  }

  end(write: Write, outcome: Exclude<Outcome, "unknown">, versionId?: string): void {
    write.endTick = this.now()
    write.outcome = outcome
    write.versionId = versionId
  }

  /** The process has ended: its open operations, or these, have taken effect before this moment, or never will. */
  endLife(among: Iterable<Write> = [...this.writes.values()].flat()): void {
    const tick = this.now()
    for (const write of among) if (write.endTick === Infinity) write.endTick = tick
  }

  /** A creation was refused because the key exists: if it is never removed, it must stay. */
  wasThere(key: string): void {
    this.seenThere.add(key)
  }

  /** Checks a read between these ticks that returned this value, or none. */
  read(key: string, shown: Shown | undefined, startTick: number, endTick: number, fresh: CheckName): void {
    const found = shown && { write: shown.name, etag: shown.etag, ...idOf(shown.versionId) }
    const outcome: Operation["outcome"] = found ? { kind: "found", ...found } : { kind: "absent" }
    this.reads.push({ key, startMs: startTick, endMs: endTick, action: { kind: "read" }, outcome })
    this.evaluateRead(key, shown?.name, startTick, endTick, fresh)
  }

  private evaluateRead(
    key: string,
    name: string | undefined,
    startTick: number,
    endTick: number,
    fresh: CheckName,
  ): void {
    const writes = this.writesOf(key)
    const done = writes.filter(write => write.outcome === "done" && write.endTick < startTick)
    if (name === undefined) {
      const since = Math.max(0, ...done.filter(write => write.name !== undefined).map(write => write.startTick))
      const removals = writes.filter(write => write.name === undefined && mayHaveHappened(write))
      const couldBe = removals.some(write => write.startTick < endTick && write.endTick >= since)
      check(fresh, since === 0 || couldBe, () => `${key} is missing, but a put of it was acknowledged`)
      check(
        "refusalWasTrue",
        removals.length > 0 || !this.seenThere.has(key),
        () => `a put of ${key} was refused because it exists`,
      )
      return
    }
    const shown = writes.find(write => write.name === name)
    check("noPartialWrites", shown !== undefined, () => `${key} shows "${name}", which no client wrote`)
    check("refusedStaysOut", mayHaveHappened(shown), () => `${key} shows "${name}", which was refused`)
    check(fresh, shown.startTick < endTick, () => `${key} shows "${name}" before it was written`)
    const later = done.find(write => write.startTick > shown.endTick)
    check(fresh, later === undefined, () => `${key} shows "${name}", but "${later?.name ?? "nothing"}" came after it`)
  }

  /** At most one conditional write replaces each state; on keys without removals, at most one creates. */
  checkWinners(): void {
    for (const [key, writes] of this.writes) {
      const isRemoved = writes.some(write => write.name === undefined)
      const winners = new Map<string, string>()
      for (const { replaces, outcome, name = "" } of writes) {
        if (replaces === undefined || outcome !== "done" || (replaces === "none" && isRemoved)) continue
        const before = winners.get(replaces)
        check("oneWinner", before === undefined, () => `"${before}" and "${name}" both replaced ${replaces} of ${key}`)
        winners.set(replaces, name)
      }
    }
  }

  /** All requests and responses, as text. */
  story(): string {
    return JSON.stringify([...this.writes.values(), this.reads])
  }

  /** Checks the history of each key against all possible orders. */
  checkLinearizable(mode: Mode): void {
    const operations = [...this.writes.values()].flat().filter(write => write.outcome !== "failed")
    for (const verdict of checkHistory(mode, [...this.reads, ...operations.map(operationOf)])) {
      check("linearizable", verdict.verdict === "legal", () => describeVerdict(verdict))
    }
  }
}

const idOf = (versionId: string | undefined) => (versionId === undefined ? {} : { versionId })
const mayHaveHappened = ({ outcome }: Write): boolean => outcome === "done" || outcome === "unknown"

function operationOf({ key, name, etag, replaces, startTick, endTick, outcome, versionId }: Write): Operation {
  const condition: Condition | undefined =
    replaces === undefined ? undefined : replaces === "none" ? { kind: "absent" } : { kind: "etag", etag: replaces }
  const conditional = condition ? { condition } : {}
  const kind = outcome === "failed" ? "unknown" : outcome
  const action: Operation["action"] =
    name === undefined
      ? { kind: "remove", ...conditional }
      : { kind: "write", value: { write: name, etag }, ...conditional }
  return {
    key,
    startMs: startTick,
    endMs: endTick,
    action,
    outcome: kind === "done" ? { kind, ...idOf(versionId) } : { kind },
  }
}
