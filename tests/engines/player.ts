/**
 * Plays a random history on an engine and on a model in memory, which must agree.
 *
 * The plays of a round run at the same time, on all processes of the store. Their answers, and the rows that they leave,
 * must be those of the same plays one after the other in some order, in which a play that ended before another began
 * comes first: the player searches for it. Each command is decided
 * by the model with the time and id that the engine's last decision had, so that rows agree to the byte. A play that was
 * refused because the engine could not carry it out must have no effect; one of an unknown outcome may have one.
 */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { asFailure, isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { REPLICATED_FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import { parseBucketId, type BucketId, type Incarnation, type RowKey } from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/memory/lent.js"
import { decodeBucketId } from "@hayloft/engine/format/records.js"
import { bucketIdOfRowKey, bucketRowKey, objectRowKeyOf } from "@hayloft/engine/format/row-key.js"
import { deletedUsageRowKey } from "@hayloft/engine/format/objects/usage.js"
import {
  query,
  type Command,
  type DecisionTime,
  type DecisionView,
  type Incarnations,
  type Metadata,
  type MetadataRow,
} from "@hayloft/engine/metadata/index.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { readCounters } from "@hayloft/objects/commands/bucket-rows-core.js"
import { rowAt } from "@hayloft/upkeep/repair/integrity-audit.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { comparable, isOfEngine, isZero } from "./comparable.js"
import { APART, DRAWN, THEMES, THEMES_APART } from "./kinds.js"
import { ALL_ROWS, Scene, type Play, type PlayKind } from "./scene.js"
import "@hayloft/features/index.js"

/** A process of a store: it may be replaced by its successor. */
export interface ProcessUnderTest {
  readonly metadata: Metadata
  /** Starts a successor. What is under way may end before or after that, or be refused. */
  restart(): Promise<void>
  /** Learns that the incarnation has ended. */
  learn(ended: Incarnation): Promise<void>
}

export interface StoreUnderTest {
  readonly processes: readonly ProcessUnderTest[]
}

export interface HistoryOptions {
  readonly rounds: number
  /** Plays of a round, at most. */
  readonly atOnce: number
  /** One round in so many restarts a process … */
  readonly restartOneIn: number
  /** … while its plays run, or before them. */
  readonly restarts: "during" | "before"
  /** Half of the plays of rounds with one play are of these kinds, in the rounds that draw from them. */
  readonly favoured?: readonly PlayKind[]
}

/** The engine could not carry it out; nothing happened. */
const NOT_DONE: ReadonlySet<FailureKind> = new Set<FailureKind>(["databaseUnreachable", "tooManyInFlight", "stopping"])

/** Rounds from one comparison of all rows to the next, if it is not needed sooner. */
const COMPARE_EVERY = 20

/** After one in so many rounds follows one of the kinds of APART. */
const APART_ONE_IN = 3

/** The last decision of a command. */
interface Decided {
  time: DecisionTime | undefined
  writes: boolean
  /** The rows of the objects that it changes, and of those of which it leaves none. */
  objects: ReadonlySet<RowKey>
  removed: ReadonlySet<RowKey>
}

const NO_OBJECTS: ReadonlySet<RowKey> = new Set()
const OF_OBJECTS: ReadonlySet<Family> = new Set<Family>(["current", "heads", "versions"])

/** A command that remembers its last decision. */
export class Recorded<Result> implements Command<Result> {
  constructor(
    private readonly command: Command<Result>,
    private readonly record: Decided,
  ) {}

  get name() {
    return this.command.name
  }

  get args() {
    return this.command.args
  }

  get grows() {
    return this.command.grows
  }

  get touches() {
    return this.command.touches
  }

  decide(rows: DecisionView, time: DecisionTime) {
    return this.deciding(this.command, rows, time, time.incarnations)
  }

  /** The same command, as it has come from another thread, is decided with the time of these incarnations. */
  deciding<Answer>(command: Command<Answer>, rows: DecisionView, time: DecisionTime, incarnations: Incarnations) {
    // A command that lost a race may be refused when it is decided again: then it writes nothing.
    this.record.writes = false
    this.record.objects = NO_OBJECTS
    this.record.removed = NO_OBJECTS
    this.record.time = { ...time, incarnations }
    const decision = command.decide(rows, time)
    this.record.writes = decision.writes.length > 0
    const changed = decision.writes.filter(({ family }) => family === "current" || family === "versions")
    this.record.objects = new Set(changed.map(({ key }) => objectRowKeyOf(key)))
    const kept = decision.writes.filter(({ family, value }) => OF_OBJECTS.has(family) && value !== undefined)
    const left = new Set(kept.map(({ key }) => objectRowKeyOf(key)))
    const dropped = changed.filter(({ key, value }) => value === undefined && !left.has(objectRowKeyOf(key)))
    this.record.removed = new Set(dropped.map(({ key }) => objectRowKeyOf(key)))
    return decision
  }

  copied(): Command<Result> {
    return new Recorded(this.command.copied(), this.record)
  }
}

interface Chosen {
  readonly kind: PlayKind
  readonly play: Play
  readonly process: ProcessUnderTest
}

/** An answer as text: the result, or the refusal. */
type Outcome = string

interface Ran {
  readonly name: string
  readonly play: Play
  readonly incarnations: Incarnations
  readonly time: DecisionTime | undefined
  readonly writes: boolean
  readonly objects: ReadonlySet<RowKey>
  readonly removed: ReadonlySet<RowKey>
  readonly outcome: Outcome
  readonly failure: FailureKind | undefined
  readonly beganAt: number
  readonly endedAt: number
}

const lastBucketId = query("LastBucketIdOfHistory", view => {
  const row = view.get("buckets", bucketRowKey(parseBucketId(0)))
  return row ? decodeBucketId(row.value) : 0
})
const countersOf = query("CountersOfHistory", (view, id: BucketId) => readCounters(view, id))
const allRows = query("AllRowsOfHistory", (view, family: Family) => [...view.range(family, ALL_ROWS)])

/** All rows of all families with their payloads, as text. Counters of zero count as absent. */
async function dump(metadata: Metadata): Promise<ReadonlyMap<string, string>> {
  const shown = new Map<string, string>()
  const show = async (family: Family): Promise<void> => {
    for (const [key, row] of await metadata.ask(allRows(family))) {
      if (isZero(family, row.value) || isOfEngine(family, key)) continue
      const payload = row.payload && (await owned(metadata.payload(family, key, row)))
      if (row.payload) assert.ok(payload, `${family}: a row has lost its payload`)
      shown.set(`${family} ${comparable(Buffer.from(key, "latin1"))}`, comparable({ value: row.value, bytes: payload }))
    }
  }
  /** Also those of buckets that no longer exist. */
  const showCounters = async (id: number): Promise<void> => {
    const counters = await metadata.ask(countersOf(parseBucketId(id)))
    if (Object.values(counters).some(count => count !== 0)) shown.set(`counters of ${id}`, comparable(counters))
  }
  await Promise.all(REPLICATED_FAMILIES.map(show))
  await Promise.all(Array.from({ length: await metadata.ask(lastBucketId()) }, (_, at) => showCounters(at + 1)))
  return new Map([...shown].sort(([a], [b]) => (a < b ? -1 : 1)))
}

const doneWith = (result: unknown): Outcome => `done ${comparable(result)}`

function refusedWith(name: string, error: unknown): Outcome {
  if (!isFailure(error) || error.kind === "internal") assert.fail(`${name} failed: ${String(error)}`)
  return `${error.kind} ${comparable(error.details)}`
}

export class Player {
  readonly model = new MemoryMetadata()
  readonly random: Random
  private readonly apart: Random
  private readonly scene: Scene
  private readonly ended = new Set<Incarnation>()
  private own: readonly Incarnation[] = []
  /** Plays that were refused and are repeated. */
  private again: readonly Chosen[] = []
  private roundsSinceComparison = 0
  private moments = 0
  /** The greatest timestamp of a change that was answered. */
  private latestUs = 0
  /** Kinds of plays, with what became of them. */
  readonly played = new Map<string, { done: number; refused: number }>()
  /** The outcome of each play, in order. */
  readonly outcomes: string[] = []

  constructor(
    private readonly store: StoreUnderTest,
    random: Random,
    private readonly options: HistoryOptions,
  ) {
    this.random = random.fork("history")
    this.apart = random.fork("apart")
    const [first] = store.processes
    const actor = this.actorOf(must(first, "a store has a process"))
    this.scene = new Scene(this.model, this.random, actor, 1_700_000_000_000)
  }

  private actorOf(process: ProcessUnderTest) {
    const { own } = process.metadata.incarnations
    const others = this.store.processes.map(each => each.metadata.incarnations.own).filter(each => each !== own)
    return { own, other: others[0], incarnations: this.incarnationsOf(process, own) }
  }

  /**
   * The incarnations that the process knows. If it registered again in this round, it knows that its former incarnation
   * is over.
   */
  private incarnationsOf(process: ProcessUnderTest, own: Incarnation): Incarnations {
    const before = this.own[this.store.processes.indexOf(process)]
    return { own, oldestLive: own, isOver: each => this.ended.has(each) || (each === before && each !== own) }
  }

  async play(): Promise<void> {
    for (let round = 0; round < this.options.rounds; round += 1) {
      try {
        await this.round()
        if (this.apart.below(APART_ONE_IN) === 0) await this.roundApart()
      } catch (error) {
        if (!(error instanceof assert.AssertionError)) throw error
        throw new assert.AssertionError({ message: `round ${round}: ${error.message}` })
      }
    }
    await this.compareRows()
  }

  private async round(): Promise<void> {
    const { random, options, scene } = this
    const restarted = random.below(options.restartOneIn) === 0 ? scene.pick(this.store.processes) : undefined
    if (options.restarts === "before") await restarted?.restart()
    await this.noteRestarts()
    scene.nowMs += random.below(3)
    const count = options.atOnce === 1 ? 1 : 2 + random.below(options.atOnce - 1)
    const theme = count > 1 ? scene.pick(THEMES) : scene.pick([DRAWN, this.favouredOf(DRAWN)])
    scene.focus = undefined
    if (count > 1) scene.focus = scene.newFocus()
    const plays = [...this.again, ...Array.from({ length: count }, () => this.choose(theme, DRAWN))]
    this.again = []
    this.roundsSinceComparison += 1
    await this.playTogether(plays, restarted)
  }

  /** A round with random choices of its own. */
  private async roundApart(): Promise<void> {
    const { scene, apart, options } = this
    scene.random = apart
    scene.isFenced = options.atOnce > 1
    scene.focus = undefined
    try {
      await this.noteRestarts()
      const count = options.atOnce === 1 ? 1 : 2 + apart.below(options.atOnce - 1)
      const theme = count > 1 ? scene.pick(THEMES_APART) : this.alone()
      if (count > 1) scene.focus = scene.newFocus()
      const plays = Array.from({ length: count }, () => this.choose(theme, APART))
      const isRestarted = options.restarts === "during" && apart.below(options.restartOneIn) === 0
      await this.playTogether(plays, isRestarted ? scene.pick(this.store.processes) : undefined)
    } finally {
      scene.random = this.random
      scene.isFenced = false
    }
  }

  private favouredOf(kinds: readonly PlayKind[]): readonly PlayKind[] {
    const { favoured = [] } = this.options
    const found = favoured.filter(kind => kinds.includes(kind))
    return found.length > 0 ? found : kinds
  }

  /** The kinds of a round apart of one play. */
  private alone(): readonly PlayKind[] {
    return this.options.favoured === undefined ? APART : this.scene.pick([APART, this.favouredOf(APART)])
  }

  private async playTogether(plays: readonly Chosen[], restarted: ProcessUnderTest | undefined): Promise<void> {
    const { options } = this
    const { random } = this.scene
    // Some begin once the first one has ended, while others go on.
    const running: Promise<Ran>[] = []
    for (const { kind, play, process } of plays) {
      const after = running.length > 1 && random.below(3) === 0 ? running[0] : undefined
      running.push(this.runAfter(after, () => this.run(kind.name, play, process)))
    }
    if (options.restarts === "during") await restarted?.restart()
    const ran = await Promise.all(running)
    for (const [at, { failure }] of ran.entries()) {
      const refused = plays[at]
      const { own } = this.actorOf(must(refused, "each play has an answer").process)
      const isSame = this.own.includes(own)
      if (refused && isSame && failure !== undefined && NOT_DONE.has(failure) && random.below(2) === 0)
        this.again = [...this.again, refused]
    }
    await this.explain(ran)
  }

  /** Processes that were replaced since the last round are over, and all others know it. */
  private async noteRestarts(): Promise<void> {
    const { processes } = this.store
    const before = this.own
    this.own = processes.map(({ metadata }) => metadata.incarnations.own)
    for (const incarnation of before.filter(each => !this.own.includes(each))) {
      this.ended.add(incarnation)
      for (const process of processes) await process.learn(incarnation)
    }
  }

  private choose(kinds: readonly PlayKind[], others: readonly PlayKind[]): Chosen {
    const { scene } = this
    const process = scene.pick(this.store.processes)
    scene.actor = this.actorOf(process)
    // The objects that a kind needs may not exist: then any other kind is played.
    for (let from = kinds; ; from = others) {
      let at = scene.random.below(from.reduce((sum, { weight }) => sum + weight, 0))
      const kind = must(
        from.find(({ weight }) => (at -= weight) < 0),
        "a kind",
      )
      const play = kind.make(scene)
      if (play !== undefined) return { kind, play, process }
    }
  }

  private async runAfter(earlier: Promise<Ran> | undefined, run: () => Promise<Ran>): Promise<Ran> {
    await earlier
    return run()
  }

  private async run(name: string, play: Play, process: ProcessUnderTest): Promise<Ran> {
    const { own } = process.metadata.incarnations
    const record: Decided = { time: undefined, writes: false, objects: NO_OBJECTS, removed: NO_OBJECTS }
    const beganAt = this.nextMoment()
    const answer = await this.answerOf(play, process.metadata, record).then(
      result => ({ outcome: doneWith(result), failure: undefined }),
      (error: unknown) => ({ outcome: refusedWith(name, error), failure: asFailure(error).kind }),
    )
    this.count(name, answer.failure)
    const incarnations = this.incarnationsOf(process, record.time?.incarnations.own ?? own)
    return { name, play, incarnations, ...record, ...answer, beganAt, endedAt: this.nextMoment() }
  }

  private nextMoment(): number {
    this.moments += 1
    return this.moments
  }

  private count(name: string, failure: FailureKind | undefined): void {
    const counted = this.played.get(name) ?? { done: 0, refused: 0 }
    counted[failure === undefined ? "done" : "refused"] += 1
    this.played.set(name, counted)
    this.outcomes.push(`${name}: ${failure ?? "done"}`)
  }

  private async answerOf(play: Play, metadata: Metadata, record: Decided): Promise<unknown> {
    switch (play.kind) {
      case "command":
        return metadata.run(new Recorded(play.command, record))
      case "query":
        return metadata.ask(play.query)
      case "payload":
        return payloadAt(metadata, play.family, play.key)
    }
  }

  /** Finds an order of the plays that explains their answers and the rows. */
  private async explain(ran: readonly Ran[]): Promise<void> {
    const certain = ran.filter(({ failure }) => failure === undefined || !NOT_DONE.has(failure))
    this.checkTimestamps(ran)
    const changes = certain.filter(({ play, failure }) => play.kind === "command" && failure === undefined)
    const isAmbiguous = changes.length > 1 || certain.some(({ failure }) => failure === "indeterminate")
    const isDue = isAmbiguous || this.roundsSinceComparison >= COMPARE_EVERY
    const rows = isDue ? await this.rowsNow() : undefined
    const closest: { rows: ReadonlyMap<string, string> | undefined } = { rows: undefined }
    const after = await this.search(this.model.copy(), inOrderOfTimestamps(certain), rows, closest)
    if (after === undefined) {
      if (rows !== undefined && closest.rows !== undefined) assert.deepEqual(rows, closest.rows)
      const names = certain.map(({ name, outcome, time }) => `${name} at ${time?.position ?? "-"}: ${outcome}`)
      assert.fail(`no order explains these answers:\n${names.join("\n")}\n${await this.wanted(certain)}`)
    }
    this.model.become(after)
  }

  /** A change that ended before another began has an earlier timestamp, whatever the processes. */
  private checkTimestamps(ran: readonly Ran[]): void {
    const changes = ran.filter(({ writes, failure }) => writes && failure === undefined)
    for (const { name, time, beganAt } of changes) {
      const { commitUs } = must(time, "it was decided")
      const earlier = changes.filter(({ endedAt }) => endedAt < beganAt)
      const latestUs = Math.max(this.latestUs, ...earlier.map(each => must(each.time, "it was decided").commitUs))
      assert.ok(commitUs > latestUs, `${name}: its timestamp ${commitUs} is not after ${latestUs}`)
    }
    this.latestUs = Math.max(this.latestUs, ...changes.map(each => must(each.time, "it was decided").commitUs))
  }

  /** Returns the model's answers to the plays in their order. */
  private async wanted(ran: readonly Ran[]): Promise<string> {
    const model = this.model.copy()
    const answers: string[] = []
    for (const each of ran) answers.push(`${each.name}: ${await decided(model, each, this.model)}`)
    return `in this order the model answers:\n${answers.join("\n")}`
  }

  private async search(
    model: MemoryMetadata,
    left: readonly Ran[],
    rows: ReadonlyMap<string, string> | undefined,
    closest: { rows: ReadonlyMap<string, string> | undefined },
  ): Promise<MemoryMetadata | undefined> {
    if (left.length === 0) {
      if (rows === undefined) return model
      closest.rows = await dump(model)
      return isSame(rows, closest.rows) ? model : undefined
    }
    for (const next of left) {
      const others = left.filter(each => each !== next)
      // A play that ended before another began comes before it.
      if (others.some(({ endedAt }) => endedAt < next.beganAt)) continue
      // Changes of one object come in the order of their timestamps.
      if (others.some(each => isEarlier(each, next))) continue
      const tried = model.copy()
      const outcome = await decided(tried, next, this.model)
      const isExplained = next.failure === "indeterminate" ? next.time !== undefined : outcome === next.outcome
      const isMoved = next.play.kind === "payload" && left.length > 1 && next.outcome === GONE
      const found = isExplained || isMoved ? await this.search(tried, others, rows, closest) : undefined
      if (found !== undefined) return found
      if (next.failure !== "indeterminate") continue
      const without = await this.search(model.copy(), others, rows, closest)
      if (without !== undefined) return without
    }
    return undefined
  }

  private rowsNow(): Promise<ReadonlyMap<string, string>> {
    this.roundsSinceComparison = 0
    return dump(this.scene.pick(this.store.processes).metadata)
  }

  private async compareRows(): Promise<void> {
    const expected = await dump(this.model)
    for (const { metadata } of this.store.processes) assert.deepEqual(await dump(metadata), expected)
  }
}

/** Only these come in the order of their timestamps: an object of which no row is left may be made with any (decision 89). */
function inOrderOfTimestamps(ran: readonly Ran[]): readonly Ran[] {
  const removed = new Set(ran.flatMap(each => [...each.removed]))
  return ran.map(each => ({ ...each, objects: new Set([...each.objects].filter(row => !removed.has(row))) }))
}

function isEarlier(a: Ran, b: Ran): boolean {
  if (a.time === undefined || b.time === undefined || a.time.commitUs >= b.time.commitUs) return false
  for (const row of a.objects) if (b.objects.has(row)) return true
  return false
}

/** The payload was gone when it was read. */
const GONE = doneWith({ row: "without its payload" })

async function payloadAt(metadata: Metadata, family: "current" | "versions", key: RowKey): Promise<unknown> {
  const row: MetadataRow | undefined = await metadata.ask(rowAt(family, key))
  if (row?.payload === undefined) return row?.value
  const bytes = await owned(metadata.payload(family, key, row))
  return bytes === undefined ? { row: "without its payload" } : { value: row.value, bytes }
}

/**
 * Returns what the model answers at the time of the engine's decision. A bucket is closed by the counters of an earlier
 * moment, `before`: others may have put something into it meanwhile. Dropping it is decided by counters that are final.
 */
async function decided(model: MemoryMetadata, ran: Ran, before: MemoryMetadata): Promise<Outcome> {
  const { name, play, time, incarnations } = ran
  model.incarnations = incarnations
  try {
    if (play.kind === "query") return doneWith(await model.ask(play.query))
    if (play.kind === "payload") return doneWith(await payloadAt(model, play.family, play.key))
    if (time === undefined) return "not decided"
    return doneWith(model.runAt(play.command, { ...time, incarnations }))
  } catch (error) {
    // If decisions share an id, the one that wrote something came last.
    if (!isFailure(error)) return `not in this order: ${String(error)}`
    const isClosed = name === "CloseBucket" && ran.failure === undefined && isFailure(error, "bucketNotEmpty")
    if (!isClosed || play.kind !== "command" || time === undefined) return refusedWith(name, error)
    return closed(model, play.command, { ...time, incarnations }, before)
  }
}

function closed(model: MemoryMetadata, close: Command<unknown>, time: DecisionTime, before: MemoryMetadata): Outcome {
  const [bucket] = close.touches
  const key = must(bucket, "the bucket is touched")[1]
  const counts = [["counters", key] as const, ["usage", deletedUsageRowKey(bucketIdOfRowKey(key))] as const]
  const now = counts.map(([family, row]) => model.committed.get(family, row))
  const plant = (rows: readonly (MetadataRow | undefined)[]): void => {
    for (const [i, [family, row]] of counts.entries()) {
      const value = rows[i]?.value
      if (value === undefined) model.lose(family, row)
      else model.plant(family, row, value)
    }
  }
  try {
    plant(counts.map(([family, row]) => before.committed.get(family, row)))
    return doneWith(model.runAt(close, time))
  } catch (error) {
    return refusedWith("CloseBucket", error)
  } finally {
    plant(now)
  }
}

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
}
