/** Metadata in memory: rows in trees, for tests of services. It passes the suite of all engines. */
import sortedBtree from "sorted-btree"
import { assert, must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { FAMILY_NAMES, type Family } from "@hayloft/base/rows/families.js"
import { parseIncarnation, parsePosition } from "@hayloft/base/ids.js"
import type { Position, RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { Lent, type LentSoon } from "@hayloft/base/memory/lent.js"
import { visitRows } from "@hayloft/base/rows/row-scan.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { EntryWrite } from "../format/device/entry.js"
import { decisionIdOf } from "../format/row-key.js"
import { countedWrites } from "./counters.js"
import { DecisionClock } from "./decision-clock.js"
import { isOfGeneration } from "./guards.js"
import { soleProcess, type Incarnations } from "./incarnations.js"
import { plainCopy } from "./plain-copy.js"
import type { Command, DecisionTime, Metadata, Query } from "./contract.js"
import type { DecisionView, MetadataRow, QueryView } from "./views.js"

const BTree = sortedBtree.default

/** The outcome as another thread receives it: a copy, or the kind and the details of the failure. */
function received<T>(work: () => T): T {
  try {
    return plainCopy(work())
  } catch (error) {
    throw isFailure(error) ? fail(error.kind, error.details, error) : error
  }
}

/** Decides and commits in the same turn, with copies of arguments and results, like an engine in another thread. */
export class MemoryMetadata implements Metadata {
  private readonly trees = new Map(FAMILY_NAMES.map(family => [family, new BTree<RowKey, MetadataRow>()]))
  private lastPosition = 0
  private lastUs = 0
  /** The incarnation of the current process. */
  incarnations: Incarnations = soleProcess(parseIncarnation(1))
  /** Called before each command is decided. */
  before: (name: string) => void | Promise<void> = () => undefined
  /** The disks have no space for rows that grow. */
  isFull = false
  /** The next command of this name is logged, and not acknowledged; from then on nothing is decided, until `recover`. */
  haltAt: string | undefined
  private logged: (() => void) | undefined
  /** Added to the time of decisions, which else is a millisecond for each. */
  aheadMs = 0
  private readonly decisionClock = new DecisionClock(() => 1_700_000_000_000 + this.aheadMs + this.lastPosition)
  /** The results of the other replicas. */
  otherReplicas: readonly QueryView[] = []
  /** A replica is offline, or its metadata is not verified. */
  isReplicaMissing = false
  /** A query returns once this has resolved; synchronously if it is undefined. */
  later: () => Promise<void> | undefined = () => undefined
  /** The rows of ranges that queries and commands have read, by the name of the query or command. */
  readonly rowsRead = new Map<string, number>()
  private readonly watchers: ((writes: readonly EntryWrite[]) => void)[] = []

  get position(): Position {
    return parsePosition(this.lastPosition)
  }

  get committed(): QueryView {
    return {
      position: this.position,
      incarnations: this.incarnations,
      generationMark: this.generationMark,
      get: (family, key) => this.tree(family).get(key),
      range: (family, range) => this.rangeOf(family, range),
      scan: (family, range, visitor) => visitRows(this.rangeOf(family, range), visitor),
    }
  }

  private tree(family: Family) {
    return must(this.trees.get(family), "every family has a tree")
  }

  private *rangeOf(family: Family, { start, end, reverse }: KeyRange) {
    const pairs = this.tree(family).getRange(start, end)
    yield* reverse ? pairs.reverse() : pairs
  }

  ask<Result>(query: Query<Result>): Soon<Result> {
    const answer = (): Result => this.answerOn(this.committed, query)
    return this.later()?.then(answer) ?? answer()
  }

  async run<Result>(command: Command<Result>): Promise<Result> {
    if (this.isFull && command.grows) throw fail("deviceFull")
    await Promise.resolve()
    await this.before(command.name)
    if (this.logged) throw fail("deviceFailed", { message: "the metadata log failed; writes are halted" })
    const { incarnations, lastPosition } = this
    const position = parsePosition(lastPosition + 1)
    const time = {
      nowMs: this.nowMs,
      commitUs: Math.max(this.nowMs * 1000, this.lastUs + 1),
      position,
      id: decisionIdOf(position),
      incarnations,
    }
    const { result, writes } = this.decide(command, time)
    if (writes.length > 0) this.lastUs = time.commitUs
    if (command.name === this.haltAt) {
      this.logged = () => this.apply(writes)
      throw fail("indeterminate")
    }
    this.apply(writes)
    return result
  }

  setEarliestTime(earliestMs: number): void {
    this.decisionClock.earliestMs = earliestMs
  }

  private get nowMs(): number {
    return this.decisionClock.nowMs
  }

  async closeTo(us?: number): Promise<number> {
    const latest = Math.max(this.nowMs * 1000, this.lastUs)
    if (us !== undefined && us > latest) throw fail("invalidArgument", { message: "the moment is in the future" })
    this.lastUs = Math.max(this.lastUs, us ?? latest)
    return us ?? latest
  }

  /** Like `run`, at the time at which another engine has decided the command. */
  runAt<Result>(command: Command<Result>, time: DecisionTime): Result {
    const { result, writes } = this.decide(command, time)
    this.apply(writes)
    return result
  }

  /** Another engine with the same rows. */
  copy(): MemoryMetadata {
    const copy = new MemoryMetadata()
    for (const [family, tree] of this.trees) copy.trees.set(family, tree.clone())
    copy.lastPosition = this.lastPosition
    copy.lastUs = this.lastUs
    copy.incarnations = this.incarnations
    return copy
  }

  /** Takes over the rows of another engine. */
  become(other: MemoryMetadata): void {
    for (const [family, tree] of other.trees) this.trees.set(family, tree)
    this.lastPosition = other.lastPosition
    this.lastUs = Math.max(this.lastUs, other.lastUs)
  }

  private decide<Result>(command: Command<Result>, time: DecisionTime) {
    const reads = new Set<string>()
    const committed = this.counted(command)
    const view: DecisionView = {
      get(family, key) {
        reads.add(`${family} ${key}`)
        return committed.get(family, key)
      },
      *range(family, keys) {
        for (const pair of committed.range(family, keys)) {
          reads.add(`${family} ${pair[0]}`)
          yield pair
        }
      },
      payload: (_, __, { payload }) => payload?.bytes,
    }
    const { result, ...decision } = received(() => command.copied().decide(view, time))
    this.checkNew(decision.writes, reads)
    return { result, writes: [...decision.writes, ...countedWrites(view, decision)] }
  }

  /** A row that a decision writes without having read it must be new. */
  private checkNew(writes: readonly EntryWrite[], reads: ReadonlySet<string>): void {
    for (const { family, key } of writes) {
      const isNew = reads.has(`${family} ${key}`) || !this.tree(family).has(key)
      assert(isNew, () => `${family}: a row that was not read is replaced`)
    }
  }

  private noteGeneration(): void {
    this.generation += 1
    this.generationMark = {}
  }

  private apply(writes: readonly EntryWrite[]): void {
    if (writes.length > 0) this.lastPosition += 1
    for (const { family, key, value, payload } of writes) {
      if (isOfGeneration(family)) this.noteGeneration()
      if (value === undefined) this.tree(family).delete(key)
      else this.tree(family).set(key, { value, payload: payload && { in: "memory", bytes: payload } })
    }
    for (const watcher of this.watchers) watcher(writes)
  }

  /** Calls the watcher with all writes from now on. */
  watch(watcher: (writes: readonly EntryWrite[]) => void): void {
    this.watchers.push(watcher)
  }

  /** A start replays the logged changes, and continues from there. */
  recover(): void {
    this.haltAt = undefined
    this.logged?.()
    this.logged = undefined
  }

  known<Result>(query: Query<Result>): Soon<Result> {
    return this.ask(query)
  }

  confirm(): undefined {
    return undefined
  }

  /** It counts changes of rows of buckets and identities, by any process. */
  generation = 0
  private generationMark: object = {}

  async askEveryReplica<Result>(_: number, query: Query<Result>): Promise<readonly Result[] | undefined> {
    await Promise.resolve()
    if (this.isReplicaMissing) return undefined
    return [this.committed, ...this.otherReplicas].map(view => this.answerOn(view, query))
  }

  private answerOn<Result>(view: QueryView, query: Query<Result>): Result {
    return received(() => query.copied().answer(this.counted(query, view)))
  }

  private counted({ name }: { readonly name: string }, view = this.committed): QueryView {
    const { rowsRead } = this
    const range: QueryView["range"] = function* (...of) {
      for (const pair of view.range(...of)) {
        rowsRead.set(name, (rowsRead.get(name) ?? 0) + 1)
        yield pair
      }
    }
    return { ...view, range }
  }

  payload(_: Family, __: RowKey, { payload }: MetadataRow): LentSoon {
    return payload?.bytes ? new Lent(payload.bytes) : Promise.resolve(undefined)
  }

  /** Adds a row without a decision. */
  plant(family: Family, key: RowKey, value: Uint8Array): void {
    this.tree(family).set(key, { value, payload: undefined })
    this.generationMark = {}
  }

  /** Loses a row, as damage to the store does. */
  lose(family: Family, key: RowKey): void {
    this.tree(family).delete(key)
    this.generationMark = {}
  }

  rows(family: Family): number {
    return this.tree(family).size
  }
}
