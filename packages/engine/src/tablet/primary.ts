/**
 * Primary: the loop around the primary core. It waits, never decides; the order of its lines is the protocol: durable
 * on every replica, then applied, then answered.
 *
 * Replicas change while it runs. If the log of one fails while another has the batch, the primary stops reading that
 * replica, and the batch is committed once the configuration is certain to exclude it. A new replica begins as a
 * learner, and votes from a moment between two batches at which it has everything; the configuration names it after
 * that, so that every replica that it names has all that was answered.
 *
 * Limits  See `limits.ts`.
 */
import { assert } from "@hayloft/base/assert.js"
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { DeviceId, Epoch, Position, RowKey } from "@hayloft/base/ids.js"
import { owned, type LentSoon } from "@hayloft/base/memory/lent.js"
import { RowsRead, runOnce, withRows } from "@hayloft/base/rows/rows-needed.js"
import type { Soon } from "@hayloft/base/soon.js"
import { InOrder, mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { EntryWrite } from "../format/device/entry.js"
import { CommittedView } from "./committed-view.js"
import { ReplicaComparison } from "./comparison.js"
import {
  DecisionClock,
  isOfGeneration,
  type Command,
  type Incarnations,
  type Metadata,
  type Query,
} from "../metadata/index.js"
import type { ConfigurationStore, ReplicaIncarnationOf, TabletRow } from "./contract.js"
import { Learner } from "./learner.js"
import { COMMANDS_WAITING_MAX, MAX_CONCURRENT_REPLICAS, PAYLOAD_READS_MAX, ROW_READS_MAX } from "./limits.js"
import { EncodedBatch, type LoggedBatch, type Replica } from "./replica.js"
import { committedLayer, PayloadNeeded, PrimaryCore, type Batch } from "./primary-core.js"
import { RecordMemory } from "./record-memory.js"
import { ReplicaHandle } from "./replica-handle.js"
import { ReplicaVerification } from "./verification.js"

type Payloads = Map<RowKey, { readonly row: TabletRow; readonly bytes: Uint8Array }>

/** Outcome of a batch at one replica. */
type Outcome =
  | { readonly handle: ReplicaHandle; readonly logged: LoggedBatch }
  | { readonly handle: ReplicaHandle; readonly failure: Failure }

/** Work to be done between two batches. */
interface BoundaryTask {
  run(): Promise<void>
  refuse(failure: Failure): void
}

/** The tablet as recovery left it. */
interface RecoveredTablet {
  /** They agree; the first is the one that reads use. */
  readonly replicas: readonly Replica[]
  readonly epoch: Epoch
  readonly recovered: Position
  /** The random id of this process. */
  readonly opening?: number
}

export class Primary implements Metadata {
  private readonly core: PrimaryCore
  readonly committed: CommittedView
  private handles: readonly ReplicaHandle[]
  /** Memory in which the current batch is encoded. A replica that did not log it may still read it. */
  private readonly memory = new RecordMemory()
  private readonly verification: ReplicaVerification
  private learner: Learner | undefined
  private readonly watchers = new Set<(writes: readonly EntryWrite[]) => void>()
  /** Votes already, while it is not certain that the configuration names it. */
  private joining: ReplicaHandle | undefined
  private flushing: Promise<void> | undefined
  private boundaryTasks: BoundaryTask[] = []
  /** Changes of the configuration, one after another. */
  private readonly changing = new InOrder()
  /** While replicas are being removed nothing is committed; rejects permanently if that failed. */
  private removing: Promise<void> | undefined
  private readonly decisionClock: DecisionClock
  private state: "serving" | "halted" | "stopped" = "serving"

  constructor(
    { replicas, epoch, recovered, opening }: RecoveredTablet,
    clock: Clock,
    private readonly output: Log,
    private readonly configurations: ConfigurationStore,
    readonly incarnations: Incarnations,
  ) {
    this.decisionClock = new DecisionClock(() => clock.wallMs())
    this.handles = replicas.map(replica => new ReplicaHandle(replica))
    this.committed = new CommittedView(
      this.handles,
      (id, failure) => this.configurations.damaged(id, failure),
      () => this.core.committed,
      incarnations,
    )
    const damaged = (id: DeviceId, failure: Failure) => this.configurations.damaged(id, failure)
    this.verification = new ReplicaVerification(() => this.confirmed, clock, output, damaged)
    const { tabletId } = this.committed.reader.replica
    const committed = committedLayer(this.committed)
    this.core = new PrimaryCore(tabletId, epoch, recovered, committed, incarnations, opening)
  }

  get position(): Position {
    return this.core.committed
  }

  /** The greatest commit timestamp that a decision has got. */
  get lastTimestamp(): number {
    return this.core.lastTimestamp
  }

  get epoch(): Epoch {
    return this.core.epoch
  }

  get isServing(): boolean {
    return this.state === "serving"
  }

  /** The log failed on every replica: what it holds is known once it has been opened again. */
  get isHalted(): boolean {
    return this.state === "halted"
  }

  get commandsWaiting(): number {
    return this.core.backlog
  }

  readonly commandsWaitingMax = COMMANDS_WAITING_MAX
  readonly isDatabaseFull = false

  /** Returns why no command is accepted now; undefined: they are. */
  get trouble(): string | undefined {
    return this.isServing
      ? undefined
      : "the metadata log failed; writes are halted until the store has been opened again"
  }

  /** The first is the one that reads use. */
  get replicas(): readonly ReplicaIncarnationOf[] {
    return this.confirmed.map(({ replica }) => ({ id: replica.id, since: replica.since }))
  }

  /** Number of devices that have everything that is answered. */
  get durableCopies(): number {
    return this.joining ? this.handles.length - 1 : this.handles.length
  }

  private get confirmed(): readonly ReplicaHandle[] {
    return this.handles.filter(handle => handle !== this.joining)
  }

  payload(family: Family, key: RowKey, row: TabletRow): LentSoon {
    return this.committed.payload(family, key, row)
  }

  ask<Result>(query: Query<Result>): Soon<Result> {
    return withRows(() => query.answer(this.committed))
  }

  run<Result>(command: Command<Result>): Promise<Result> {
    const { handles } = this
    try {
      for (let step = 0; step < stepsOf(handles, command); step += 1) {
        const waiting = this.obstacle(handles, command, step)
        if (waiting) return this.runPatiently(handles, command, step + 1, waiting)
      }
      const outcome = this.decide(command, NO_PAYLOADS)
      if (outcome instanceof Promise) return outcome
      const first = outcome instanceof RowsRead ? outcome.read() : undefined
      return this.runPatiently(handles, command, stepsOf(handles, command), first)
    } catch (error) {
      return Promise.reject(asFailure(error))
    }
  }

  /**
   * Returns what a command has to wait for before it is decided, one after the other: space in the memtable of each device;
   * space on each, which those waits may have used up; and its rows.
   */
  private obstacle(
    handles: readonly ReplicaHandle[],
    { grows, touches }: Command<unknown>,
    step: number,
  ): Promise<void> | undefined {
    const handle = handles[step % handles.length]
    if (handle && step < handles.length) return spaceAt(handle, false)
    if (handle && step < 2 * handles.length) return grows ? spaceAt(handle, true) : undefined
    const touched = touches[step - 2 * handles.length]
    return touched && this.committed.warm(touched[0], touched[1])
  }

  private async runPatiently<Result>(
    handles: readonly ReplicaHandle[],
    command: Command<Result>,
    from: number,
    first: Promise<void> | undefined,
  ): Promise<Result> {
    if (first) await first
    for (let step = from; step < stepsOf(handles, command); step += 1) {
      const waiting = this.obstacle(handles, command, step)
      if (waiting) await waiting
    }
    const payloads: Payloads = new Map()
    for (let [repeatedReads, rowReads] = [0, 0]; repeatedReads <= PAYLOAD_READS_MAX;) {
      const outcome = this.decide(command, payloads, rowReads < ROW_READS_MAX)
      if (outcome instanceof Promise) return outcome
      if (outcome instanceof RowsRead) {
        await outcome.read()
        rowReads += 1
        continue
      }
      const bytes = await owned(this.payload(outcome.family, outcome.key, outcome.row))
      // A command may need the payloads of many rows, each once, unless they change.
      if (bytes === undefined || payloads.has(outcome.key)) repeatedReads += 1
      if (bytes) payloads.set(outcome.key, { row: outcome.row, bytes })
    }
    throw fail("conflict")
  }

  /** Returns why no more work is accepted. */
  private get ending(): Failure | undefined {
    if (this.state === "stopped") return fail("stopping")
    if (this.state === "halted") return fail("deviceFailed", { message: "the metadata log failed; writes are halted" })
    return undefined
  }

  /** Returns why commands are refused now. */
  private get refusal(): Failure | undefined {
    if (this.core.backlog >= COMMANDS_WAITING_MAX) return fail("tooManyInFlight")
    if (this.durableCopies < 2 && this.configurations.refusesSingleCopy()) {
      const message = "metadata has a single replica; writes are refused until a second is in sync"
      return fail("deviceFailed", { message, remedy: "add a disk, or start without --refuse-single-copy" })
    }
    return undefined
  }

  setEarliestTime(earliestMs: number): void {
    this.decisionClock.earliestMs = earliestMs
  }

  async closeTo(us?: number): Promise<number> {
    const at = this.core.momentOf(us, this.decisionClock.nowMs)
    if (this.core.isClosed(at)) return at
    for (const handle of this.handles) await spaceAt(handle, false)
    const refusal = this.ending ?? this.refusal
    if (refusal) throw refusal
    const closed = new Promise<number>((resolve, reject) => this.core.closeTo(at, { resolve, reject }))
    this.flushing ??= this.flush()
    return closed
  }

  /** `mayWait`: rows that are not in memory are read before it decides; otherwise while it does. */
  private decide<Result>(
    command: Command<Result>,
    payloads: Payloads,
    mayWait = true,
  ): Promise<Result> | PayloadNeeded | RowsRead {
    const refusal = this.ending ?? this.refusal
    if (refusal) throw refusal
    let needed: PayloadNeeded | RowsRead | undefined
    const answer = new Promise<Result>((resolve, reject) => {
      try {
        const decide = () => this.core.decide(command, this.decisionClock.nowMs, payloads, { resolve, reject })
        const outcome = mayWait ? runOnce(decide) : decide()
        if (outcome instanceof RowsRead) needed = outcome
      } catch (error) {
        assert(error instanceof PayloadNeeded, "decide only throws what it needs")
        needed = error
      }
    })
    if (needed) return needed
    this.flushing ??= this.flush()
    return answer
  }

  /**
   * Logs batch after batch until nothing is pending. One batch is in flight; the next one collects commands meanwhile.
   */
  private async flush(): Promise<void> {
    await Promise.resolve()
    try {
      for (;;) {
        for (let task = this.boundaryTasks.shift(); task; task = this.boundaryTasks.shift()) await task.run()
        const batch = this.core.takeBatch()
        if (!batch) break
        await this.commit(batch)
      }
    } catch (error) {
      this.halt(error)
    }
    this.flushing = undefined
  }

  private async commit(batch: Batch): Promise<void> {
    const encoded = EncodedBatch.of(batch.entries, lengthBytes => this.memory.take(lengthBytes))
    const outcomes = await mapBounded(this.handles, MAX_CONCURRENT_REPLICAS, handle => logAt(handle, encoded))
    const failed = outcomes.filter(outcome => "failure" in outcome && outcome.handle.left === undefined)
    const hasSomebody = outcomes.some(outcome => "logged" in outcome && outcome.handle.left === undefined)
    if (!hasSomebody) return this.nobodyLogged(failed.map(failureOf))
    if (failed.length > 0) this.leave(failed)
    if (this.removing) await this.removing
    const holders = outcomes.filter(outcome => "logged" in outcome && outcome.handle.left === undefined)
    if (holders.length === 0) throw noHolder()
    for (const outcome of holders) if ("logged" in outcome) outcome.logged.apply()
    this.core.commit(batch)
    if (batch.entries.some(isOfBucketsOrIdentities)) this.noteGeneration()
    this.tell(batch)
    if (this.learner && !this.joining) this.learner.send(encoded)
    else if (outcomes.every(outcome => "logged" in outcome)) this.memory.giveBack()
  }

  private noteGeneration(): void {
    this.generation += 1
    this.committed.markGeneration()
  }

  /** A log without space has begun nothing (see `CommitLog`): if that is true of all replicas, nothing happened. */
  private async nobodyLogged(failures: readonly Failure[]): Promise<void> {
    if (this.removing) await this.removing
    const [first = noHolder()] = failures
    if (!failures.every(lacksSpace) || failures.length === 0) throw first
    this.output.warn("metadata_log_full", { error: String(first) })
    this.core.abandon(first)
  }

  /** Removes replicas that lack entries which others have logged. */
  private leave(failed: readonly Outcome[]): void {
    const byFullness = [true, false].map(full => failed.filter(each => lacksSpace(failureOf(each)) === full))
    for (const outcomes of byFullness) {
      const [first] = outcomes
      if (!first) continue
      const [handles, reason] = [outcomes.map(({ handle }) => handle), failureOf(first)]
      const ids = handles.map(({ id }) => id)
      this.output.error("metadata_replicas_dropped", {
        devices: ids.join(" "),
        error: String(reason),
      })
      // Commits wait for the removal; a failure halts writes.
      this.remove(handles, reason, () => this.configurations.leave(ids, reason)).catch(() => undefined)
    }
  }

  /** From now on the replicas are neither read nor written; nothing is committed until `change` has taken effect. */
  private remove(handles: readonly ReplicaHandle[], reason: Failure, change: () => Promise<Epoch>): Promise<void> {
    this.handles = this.handles.filter(handle => !handles.includes(handle))
    this.committed.readFrom(this.handles)
    for (const handle of handles) handle.leave(reason)
    if (this.joining && handles.includes(this.joining)) this.forgetLearner()
    const [before, changed] = [this.removing, this.reconfigure(change)]
    const removing = changed.then(() => before)
    this.removing = removing
    return removing.then(
      () => {
        if (this.removing === removing) this.removing = undefined
      },
      (error: unknown) => {
        this.halt(error)
        throw error
      },
    )
  }

  private reconfigure(change: () => Promise<Epoch>): Promise<void> {
    return this.changing.run(async () => this.core.raiseEpoch(await change()))
  }

  /**
   * Drops devices, as replicas or learner: from now on they are neither read nor waited for. `change` makes the
   * configuration without them and returns its epoch, as `ConfigurationStore.leave` does; if replicas are dropped, a
   * rejection halts writes. Throws `deviceFailed`, and does nothing, if no replica would remain.
   */
  async dropReplicas(ids: readonly DeviceId[], reason: Failure, change: () => Promise<Epoch>): Promise<void> {
    const leaving = this.handles.filter(({ id }) => ids.includes(id))
    if (this.confirmed.every(handle => leaving.includes(handle))) throw noHolder()
    if (this.learner && ids.includes(this.learner.id)) {
      this.learner.end(reason)
      this.forgetLearner()
    }
    await (leaving.length > 0 ? this.remove(leaving, reason, change) : this.reconfigure(change))
  }

  private forgetLearner(): void {
    this.learner = undefined
    this.joining = undefined
  }

  /** Nothing is committed any more from which it could learn. A learner that votes already stays. */
  private endLearning(reason: Failure): void {
    if (this.joining) return
    this.learner?.end(reason)
    this.learner = undefined
  }

  /**
   * Calls the watcher with all writes from now on, in the turn in which queries see them: once for all that take the position
   * forward together. Returns the unsubscriber.
   */
  watch(watcher: (writes: readonly EntryWrite[]) => void): () => void {
    this.watchers.add(watcher)
    return () => void this.watchers.delete(watcher)
  }

  private tell({ entries }: Batch): void {
    if (this.watchers.size === 0) return
    const writes = entries.flatMap(entry => entry.writes)
    for (const watcher of this.watchers) watcher(writes)
  }

  /** The device that is on its way to become a replica. */
  get learning(): Learner | undefined {
    return this.learner
  }

  /**
   * Begins to bring a device all rows; it has no vote yet. `epoch` is that of the configuration that names it as a
   * learner, and no earlier than the replica's `since`.
   */
  addLearner(replica: Replica, epoch: Epoch): void {
    assert(this.learner === undefined, "one device learns at a time")
    assert(epoch >= replica.since, "a learner is sent entries of its incarnation only")
    this.core.raiseEpoch(epoch)
    const source = {
      committed: this.committed,
      payload: (family: Family, key: RowKey, row: TabletRow) => this.payload(family, key, row),
      atBoundary: (task: (position: Position, epoch: Epoch) => void) =>
        this.atBoundary(async () => task(this.core.committed, this.core.epoch)),
    }
    const learner = new Learner(replica, source, (id, failure) => {
      this.forgetLearner()
      this.configurations.learningFailed(id, failure)
    })
    this.learner = learner
    // A batch that is under way is of an earlier epoch.
    this.atBoundary(async () => learner.begin(this.core.committed, this.core.epoch)).catch((error: unknown) => {
      if (this.learner === learner) this.endLearning(asFailure(error))
    })
  }

  /** Copies some rows to the learner. False: there is nothing to copy now. Throws the reason if it has ended. */
  async stepLearning(): Promise<boolean> {
    return (await this.learner?.step()) ?? false
  }

  /**
   * Makes a learner that has all rows a replica: it votes from now on, and then `change` makes the configuration that
   * names it, and returns its epoch. Throws `tooManyInFlight` if it has not caught up (it continues to learn), and the
   * error of `change`: then it keeps its vote, since the stored configuration is unknown, and this can be called again.
   */
  async promote(id: DeviceId, change: () => Promise<Epoch>): Promise<void> {
    const { learner } = this
    if (learner?.id !== id || !learner.isComplete) {
      throw fail("conflict", { message: "the device is not learning, or not ready", device: id })
    }
    if (!this.joining) await this.atBoundary(() => this.count(learner))
    await this.reconfigure(change)
    if (this.learner === learner) this.forgetLearner()
    if (learner.handle.left) throw learner.handle.left
  }

  private async count(learner: Learner): Promise<void> {
    await learner.catchUp()
    if (this.learner !== learner || this.joining) return
    this.joining = learner.handle
    this.handles = [...this.handles, learner.handle]
    this.committed.readFrom(this.handles)
  }

  /**
   * Runs a task when no batch is under way. Throws the error of the task, or the reason if there will be no such
   * moment.
   */
  private atBoundary(task: () => Promise<void>): Promise<void> {
    const { ending } = this
    if (ending) return Promise.reject(ending)
    return new Promise((resolve, reject) => {
      this.boundaryTasks.push({ run: () => task().then(resolve, reject), refuse: reject })
      this.flushing ??= this.flush()
    })
  }

  private halt(error: unknown): void {
    if (this.state !== "halted") {
      this.output.error("metadata_log_failed", { error: String(error) })
    }
    this.state = "halted"
    this.core.abandon()
    this.refuseTasks(asFailure(error))
    this.endLearning(asFailure(error))
  }

  private refuseTasks(failure: Failure): void {
    const tasks = this.boundaryTasks
    this.boundaryTasks = []
    for (const task of tasks) task.refuse(failure)
  }

  /** One pass over all rows that finds where replicas differ. */
  compareReplicas(): ReplicaComparison {
    return new ReplicaComparison(() => this.confirmed.map(({ replica }) => replica))
  }

  known<Result>(query: Query<Result>): Soon<Result> {
    return this.ask(query)
  }

  /** No other process changes rows. */
  confirm(): undefined {
    return undefined
  }

  /** It counts batches with changes of rows of buckets and identities. */
  generation = 0

  async askEveryReplica<Result>(verifiedSinceMs: number, query: Query<Result>): Promise<readonly Result[] | undefined> {
    if (this.confirmed.length < this.configurations.replicasWanted()) return undefined
    return this.verification.queryAll(verifiedSinceMs, query, this.committed)
  }

  /** Verifies the replicas that are due, one after another; true if there was any. */
  verifyReplicas(signal: AbortSignal): Promise<boolean> {
    return this.verification.step(signal)
  }

  /** Replicas whose metadata differs from what was written. */
  get metadataDamages(): readonly string[] {
    return this.verification.damages
  }

  get verificationProgress(): string {
    return this.verification.progress
  }

  /** Refuses new commands and waits for those under way. */
  async stop(): Promise<void> {
    if (this.state === "serving") this.state = "stopped"
    this.endLearning(fail("stopping"))
    while (this.flushing) await this.flushing
    await this.changing.ended()
  }
}

const stepsOf = (handles: readonly ReplicaHandle[], { touches }: Command<unknown>): number =>
  2 * handles.length + touches.length

const NO_PAYLOADS: Payloads = new Map()

const isOfBucketsOrIdentities = ({ writes }: { readonly writes: readonly EntryWrite[] }): boolean =>
  writes.some(({ family }) => isOfGeneration(family))

const failureOf = (outcome: Outcome): Failure => ("failure" in outcome ? outcome.failure : fail("internal"))

const noHolder = (): Failure => fail("deviceFailed", { message: "no device would be left that holds names" })

async function logAt(handle: ReplicaHandle, batch: EncodedBatch): Promise<Outcome> {
  try {
    return { handle, logged: await handle.wait(handle.replica.log(batch)) }
  } catch (error) {
    return { handle, failure: asFailure(error) }
  }
}

/** Waits until a replica's device has space; one that leaves meanwhile needs none. Undefined: there is space. */
function spaceAt(handle: ReplicaHandle, grows: boolean): Promise<void> | undefined {
  const untilSpace = handle.left === undefined ? handle.replica.device.spaceForWrites(grows) : undefined
  return untilSpace && orLeft(handle, untilSpace)
}

async function orLeft(handle: ReplicaHandle, untilSpace: Promise<void>): Promise<void> {
  try {
    await handle.wait(untilSpace)
  } catch (error) {
    if (handle.left === undefined) throw error
  }
}
