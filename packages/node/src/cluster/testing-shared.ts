/** Metadata in memory that several nodes share, each with an incarnation of its own, for tests of the node layer. */
import { parseIncarnation, type Incarnation } from "@hayloft/base/ids.js"
import { UNKNOWN_HEALTH, type DatabaseHealth } from "@hayloft/engine/format/nodes/database-health.js"
import type { Halt, Incarnations, LiveIncarnations, SeenIncarnations } from "@hayloft/engine/metadata/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import type { SharedMetadata } from "../metadata/database.js"

/** The incarnations of all nodes. */
class IncarnationTable {
  private live: LiveIncarnations["nodes"] = []
  /** Threads by their processes. */
  private threads: readonly { readonly thread: Incarnation; readonly process: Incarnation }[] = []
  private highest = parseIncarnation(0)

  /** Ends the earlier one of the node. */
  begin(node: string): Incarnation {
    const incarnation = parseIncarnation(this.highest + 1)
    this.highest = incarnation
    this.live = [...this.live.filter(each => each.node !== node), { node, incarnation }]
    return incarnation
  }

  beginThread(process: Incarnation): { readonly thread: Incarnation; readonly process: Incarnation } {
    const thread = parseIncarnation(this.highest + 1)
    this.highest = thread
    this.threads = [...this.threads, { thread, process }]
    return { thread, process }
  }

  end(incarnation: Incarnation): void {
    this.live = this.live.filter(each => each.incarnation !== incarnation)
    this.threads = this.threads.filter(each => each.thread !== incarnation)
  }

  /** All that are live, threads included. */
  get seen(): SeenIncarnations {
    const processes = this.live.map(({ incarnation }) => incarnation)
    const threads = this.threads.filter(({ process }) => processes.includes(process)).map(({ thread }) => thread)
    const live = [...processes, ...threads]
    return { next: parseIncarnation(this.highest + 1), live, ended: this.highest - live.length }
  }

  /** Another object for each reading. */
  read(): LiveIncarnations {
    return { highest: this.highest, nodes: this.live }
  }

  asSeenBy(own: Incarnation): Incarnations {
    const isLive = (incarnation: Incarnation) => this.seen.live.includes(incarnation)
    const { live } = this
    return {
      own,
      get oldestLive() {
        return parseIncarnation(Math.min(own, ...live.map(({ incarnation }) => incarnation)))
      },
      isOver: incarnation => incarnation <= this.highest && incarnation !== own && !isLive(incarnation),
    }
  }
}

/** The rows of a store as one of its nodes uses them. */
export class SharedMemory extends MemoryMetadata implements SharedMetadata {
  readonly trouble = undefined
  readonly isDatabaseFull = false
  readonly commandsWaiting = 0
  readonly commandsWaitingMax = 1
  mark = { reconciliations: 0, highest: 0, live: [] }
  readonly duringHalt = this
  /** Set by a test: the rows were rolled back. */
  halt: Halt | undefined

  constructor(
    private readonly node: string,
    private readonly table = new IncarnationTable(),
  ) {
    super()
    this.begin()
  }

  /** The same rows, used by another node. */
  join(node: string): SharedMemory {
    const other = new SharedMemory(node, this.table)
    other.become(this)
    return other
  }

  /** Another incarnation of the node begins, as after a long silence. */
  begin(): void {
    this.incarnations = this.table.asSeenBy(this.table.begin(this.node))
  }

  get live(): LiveIncarnations {
    return this.table.read()
  }

  async resume(halt: number): Promise<boolean> {
    if (this.halt?.number === halt) this.halt = undefined
    return this.halt === undefined
  }

  hasEnded(incarnation: Incarnation): boolean {
    return this.incarnations.isOver(incarnation)
  }

  get seenIncarnations(): SeenIncarnations {
    return this.table.seen
  }

  async beginThread() {
    return this.table.beginThread(this.incarnations.own)
  }

  async endThread(thread: Incarnation): Promise<void> {
    this.table.end(thread)
  }

  async endIncarnation(incarnation: Incarnation): Promise<void> {
    this.table.end(incarnation)
  }

  async learn(): Promise<boolean> {
    return true
  }

  sealRows(): void {
    // Nothing of it reaches a disk.
  }

  async keepUp(): Promise<void> {
    // Everything is known at once.
  }

  async foldCounters(): Promise<number> {
    return 0
  }

  readonly responseTimes = { commits: undefined, reads: undefined }

  async compareClocks() {
    return { aheadMs: 0, uncertainMs: 0 }
  }

  async databaseHealth(): Promise<DatabaseHealth> {
    return UNKNOWN_HEALTH
  }

  async stop(): Promise<void> {
    this.table.end(this.incarnations.own)
  }
}
