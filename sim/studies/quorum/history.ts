/** A random history: clients read and write keys of a store while its servers have a fault; and what is wrong with it. */
import { checkHistory, type Operation } from "../../history/index.js"
import { Clients } from "./clients.js"
import type { WriteEnd } from "./servers.js"

const HISTORY = {
  keys: 16,
  /** Steps of the checker for a key; beyond it the key is undecided, and counts as not explained. */
  stepsMax: 20_000,
  settleMs: 5_000,
} as const

interface Write {
  readonly id: string
  readonly client: number
  readonly key: number
  readonly startMs: number
  readonly endMs: number
  readonly end: WriteEnd
}

interface Read {
  readonly client: number
  readonly key: number
  readonly startMs: number
  readonly endMs: number
  /** The result is undefined if the read was refused. */
  readonly found: { readonly write: string | undefined } | undefined
}

export class History extends Clients {
  readonly writes: Write[] = []
  readonly reads: Read[] = []
  private readonly ofKeys = new Map<number, readonly Write[]>()

  constructor(...args: ConstructorParameters<typeof Clients>) {
    super(...args)
    this.run(HISTORY.settleMs)
  }

  /** By the server of the client, or by the next one that runs. */
  protected operate(client: number): void {
    const { count } = this.servers
    const all = Array.from({ length: count }, (_, next) => (client + next) % count)
    const by = all.find(server => this.servers.isUp(server)) ?? 0
    const key = this.random.below(HISTORY.keys)
    if (this.random.below(2) === 0) this.write(client, by, key)
    else this.read(client, by, key)
  }

  private write(client: number, by: number, key: number): void {
    const { events } = this.servers
    const [id, startMs] = [`w${this.writes.length} of ${client} at ${events.nowMs}`, events.nowMs]
    this.store.write(by, key, id, end => {
      this.writes.push({ id, client, key, startMs, endMs: events.nowMs, end })
      this.next(client)
    })
  }

  private read(client: number, by: number, key: number): void {
    const { events } = this.servers
    const startMs = events.nowMs
    this.store.read(by, key, found => {
      this.reads.push({ client, key, startMs, endMs: events.nowMs, found })
      this.next(client)
    })
  }

  /** Reads of a value that was replaced before they began, by a write that was acknowledged and began after its own. */
  get staleReads(): number {
    const byId = new Map(this.writes.map(write => [write.id, write]))
    return this.reads.filter(({ key, startMs, found }) => {
      if (found === undefined) return false
      const value = found.write === undefined ? undefined : byId.get(found.write)
      if (found.write !== undefined && value === undefined) return false
      const isNewer = (write: Write): boolean =>
        write.end === "done" && write.endMs < startMs && write.startMs > (value?.endMs ?? -Infinity)
      return this.writesOf(key).some(isNewer)
    }).length
  }

  /** Acknowledged writes whose value gives way to one that was acknowledged before they began. */
  get lostWrites(): number {
    const acknowledged = this.writes.filter(({ end }) => end === "done")
    return acknowledged.filter(write =>
      this.writesOf(write.key).some(
        earlier => earlier.end === "done" && earlier.endMs < write.startMs && this.store.replaces(write.id, earlier.id),
      ),
    ).length
  }

  private writesOf(key: number): readonly Write[] {
    const known = this.ofKeys.get(key) ?? this.writes.filter(write => write.key === key)
    this.ofKeys.set(key, known)
    return known
  }

  /** Keys whose answers some order explains, of all keys. */
  get explainedKeys(): { readonly explained: number; readonly keys: number } {
    const { stepsMax } = HISTORY
    const verdicts = checkHistory("never", this.operations, { operationsPerKeyMax: 2_000, stepsMax })
    return { explained: verdicts.filter(({ verdict }) => verdict === "legal").length, keys: verdicts.length }
  }

  /** An operation that was refused has no place in a history. */
  private get operations(): readonly Operation[] {
    const writes = this.writes.flatMap(({ id, key, startMs, endMs, end }): Operation[] => {
      if (end === "refused") return []
      const isDone = end === "done"
      const action = { kind: "write", value: { write: id, etag: undefined } } as const
      const outcome = isDone ? ({ kind: "done" } as const) : ({ kind: "unknown" } as const)
      return [{ key: String(key), startMs, endMs: isDone ? endMs : Infinity, action, outcome }]
    })
    const reads = this.reads.flatMap(({ key, startMs, endMs, found }): Operation[] => {
      if (found === undefined) return []
      const { write } = found
      const outcome = write === undefined ? ({ kind: "absent" } as const) : ({ kind: "found", write } as const)
      return [{ key: String(key), startMs, endMs, action: { kind: "read" }, outcome }]
    })
    return [...writes, ...reads]
  }
}
