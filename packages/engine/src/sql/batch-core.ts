/**
 * Batches: many commands decided on rows of one moment, and the one commit that makes their changes. Pure.
 *
 * Promises  No answer of a batch, not even a refusal, is given before its commit: any of them may rest on a change that
 *           an earlier command of the batch has made. A batch that changes nothing is answered at once.
 */
import { asFailure, type Failure } from "@hayloft/base/failures.js"
import type { BucketId, RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "../format/device/entry.js"
import { addCounters, NO_COUNTS, type Counters } from "../format/records.js"
import { isGuardsRowKey } from "../format/objects/transaction-record.js"
import { addUsage, NO_USAGE } from "../format/objects/usage.js"
import { isOfGeneration } from "../metadata/index.js"
import type { Command, CounterChange, DecisionTime, DecisionView, UsageChange } from "../metadata/index.js"
import type {
  AddedUsage,
  Column,
  CommitRequest,
  ExpectedRow,
  LaneId,
  NewRow,
  NewUsage,
  ReplacedRow,
} from "./database.js"
import { BatchView, LaterBatch, ROWS_MISSING, RowsMissing } from "./rows-core.js"
import type { ChangedRow, FetchedRows, UsageSoFar, Wants } from "./rows-core.js"
import { byStoredKey, storedIn } from "./stored-key.js"

/** A command whose answer can be given once what it saw is committed. */
export interface AnswerableCommand extends Pick<Command<unknown>, "touches"> {
  decide(view: DecisionView, time: DecisionTime): AnswerableDecision
}

interface AnswerableDecision {
  readonly writes: readonly EntryWrite[]
  readonly counts?: readonly CounterChange[] | undefined
  readonly usage?: readonly UsageChange[] | undefined
  readonly answer: () => void
}

interface Decided {
  /** Index of the command. */
  readonly command: number
  /** Gives the result, or is the refusal. */
  readonly outcome: (() => void) | Failure
}

export interface DecidedBatch {
  readonly decided: readonly Decided[]
  /** Indexes of commands that must be decided after this batch is committed. */
  readonly later: readonly number[]
  readonly changes: BatchChanges
}

/** The changes of a batch so far, and the rows that they rest on. */
class BatchChanges {
  readonly rows = new Map<string, ChangedRow>()
  private readonly expected = new Map<string, ExpectedRow>()
  readonly counts = new Map<BucketId, Counters>()
  private readonly droppedCounters = new Set<BucketId>()
  readonly usage = new Map<RowKey, UsageSoFar | "dropped">()
  private raisesGeneration = false
  /** A head of no versions says that a decision relies on the absence of an object. */
  private guardsAbsence = false
  get isEmpty(): boolean {
    return this.rows.size + this.counts.size + this.droppedCounters.size + this.usage.size === 0
  }

  apply(
    view: BatchView,
    { writes, counts = NO_COUNTER_CHANGES, usage = NO_USAGE_CHANGES }: Omit<AnswerableDecision, "answer">,
  ): void {
    if (writes.length + counts.length + usage.length === 0) return
    this.requireTrace(writes)
    for (const [name, { family, row }] of view.reads) {
      if (!isOfGeneration(family)) this.expected.set(name, { family, key: row.key, version: row.version })
    }
    for (const write of writes) this.write(view, write)
    for (const change of counts) this.count(change)
    for (const change of usage) this.changeUsage(change)
  }

  /**
   * A decision cannot remove an object that the batch makes: only a row that is inserted shows that the object was absent,
   * as the decision before relied on. Throws `LaterBatch`.
   */
  private requireTrace(writes: readonly EntryWrite[]): void {
    for (const { key, value } of writes) {
      const made = value === undefined ? this.rows.get(`current ${key}`) : undefined
      if (made === undefined || made.base !== undefined || !hasContent(made)) continue
      const after = { value: made.value, head: made.head }
      for (const write of writes) {
        const { family, column } = storedIn(write.family)
        if (family === "current" && write.key === key) after[column] = write.value
      }
      if (!hasContent(after)) throw new LaterBatch()
    }
  }

  private write(view: BatchView, { family, key, value, payload }: EntryWrite): void {
    this.raisesGeneration ||= isOfGeneration(family)
    this.guardsAbsence ||= family === "transactions" && value !== undefined && isGuardsRowKey(key)
    const { family: stored, column } = storedIn(family)
    const name = `${stored} ${key}`
    let row = this.rows.get(name)
    if (row === undefined) {
      // A row that the decision has not read is new: the database refuses to replace one.
      const base = view.reads.get(name)?.row
      const { value: before, head } = base ?? { value: undefined, head: undefined }
      row = { family: stored, key, base, value: before, head, payload: undefined, keepsPayload: base !== undefined }
      this.rows.set(name, row)
    }
    if (column === "head") row.head = value
    else {
      row.value = value
      row.payload = payload
      row.keepsPayload = false
    }
  }

  private count({ bucketId, change }: CounterChange): void {
    if (change === "drop") {
      this.counts.delete(bucketId)
      this.droppedCounters.add(bucketId)
      return
    }
    const before = this.counts.get(bucketId) ?? NO_COUNTS
    this.counts.set(bucketId, addCounters(before, change))
  }

  private changeUsage({ key, change, isNew, bytesMax = Infinity, objectsMax = Infinity }: UsageChange): void {
    if (change === "drop") {
      this.usage.set(key, "dropped")
      return
    }
    if (isNew === true) {
      this.usage.set(key, { ...UNCHANGED, added: change, isNew })
      return
    }
    const before = this.usage.get(key) ?? UNCHANGED
    if (before === "dropped") return
    const added = addUsage(before.added, change)
    // The sum after this command, not after the batch: one that makes room later does not help it.
    const bytesBeforeMax = Math.min(before.bytesBeforeMax, bytesMax - added.bytes - added.partBytes)
    const objectsBeforeMax = Math.min(before.objectsBeforeMax, objectsMax - added.objects)
    this.usage.set(key, { ...before, added, bytesBeforeMax, objectsBeforeMax })
  }

  private usageRequest(): Pick<CommitRequest, "usage" | "newUsage" | "droppedUsage"> {
    const [usage, newUsage, droppedUsage]: [AddedUsage[], NewUsage[], RowKey[]] = [[], [], []]
    for (const [key, change] of this.usage) {
      if (change === "dropped") droppedUsage.push(key)
      else if (change.isNew) newUsage.push({ key, usage: change.added })
      else {
        const bytesBeforeMax = finite(change.bytesBeforeMax)
        const objectsBeforeMax = finite(change.objectsBeforeMax)
        usage.push({ key, usage: change.added, bytesBeforeMax, objectsBeforeMax })
      }
    }
    return { usage: usage.sort((a, b) => (a.key < b.key ? -1 : 1)), newUsage, droppedUsage }
  }

  /** The commit of the batch. A row that was made and deleted within it leaves no trace; see `requireTrace`. */
  request(lane: LaneId, under: Pick<CommitRequest, "from" | "version" | "firstUs" | "lastUs">): CommitRequest {
    const rows = [...this.rows.values()].sort(byStoredKey)
    const replaced = rows.flatMap((row): ReplacedRow[] =>
      row.base && hasContent(row)
        ? [{ ...contentOf(row), before: row.base.version, keepsPayload: row.keepsPayload }]
        : [],
    )
    const deleted = rows.flatMap((row): ExpectedRow[] =>
      row.base && !hasContent(row) ? [{ family: row.family, key: row.key, version: row.base.version }] : [],
    )
    const added = rows.filter(row => row.base === undefined && hasContent(row)).map(contentOf)
    const expected = [...this.expected].filter(([name]) => !this.rows.has(name)).map(([, row]) => row)
    const reliesOnObjects = expected.some(({ family }) => family === "current")
    const changesObjects = rows.some(({ family }) => family === "current" || family === "versions")
    const counts = [...this.counts].filter(([, change]) => Object.values(change).some(count => count !== 0))
    return {
      lane,
      ...under,
      raisesGeneration: this.raisesGeneration,
      closesLanes: this.guardsAbsence || (reliesOnObjects && changesObjects),
      expected: expected.sort(byStoredKey),
      replaced,
      deleted,
      added,
      counts: counts.map(([bucketId, change]) => ({ bucketId, change })).sort((a, b) => a.bucketId - b.bucketId),
      droppedCounters: [...this.droppedCounters],
      ...this.usageRequest(),
    }
  }
}

const NO_COUNTER_CHANGES: readonly CounterChange[] = []
const NO_USAGE_CHANGES: readonly UsageChange[] = []
const UNCHANGED: UsageSoFar = {
  added: NO_USAGE,
  isNew: false,
  bytesBeforeMax: Infinity,
  objectsBeforeMax: Infinity,
}
const hasContent = ({ value, head }: Pick<ChangedRow, Column>): boolean => value !== undefined || head !== undefined
const finite = (most: number): number | undefined => (most === Infinity ? undefined : most)

/** Decides the commands in their order; undefined if rows are missing, which `wants` then has. See `BatchView` for `gathers`. */
export function decideBatch(
  commands: readonly AnswerableCommand[],
  fetched: FetchedRows,
  wants: Wants,
  timeOf: (command: number) => DecisionTime,
  gathers = false,
): DecidedBatch | undefined {
  const changes = new BatchChanges()
  const decided: Decided[] = []
  const later: number[] = []
  let isMissing = false
  for (const [number, command] of commands.entries()) {
    const view = new BatchView(fetched, wants, changes, gathers)
    try {
      const { answer, ...decision } = command.decide(view, timeOf(number))
      if (view.hasGathered) throw ROWS_MISSING
      changes.apply(view, decision)
      decided.push({ command: number, outcome: answer })
    } catch (error) {
      if (error instanceof RowsMissing || view.hasGathered) isMissing = true
      else if (error instanceof LaterBatch) later.push(number)
      else decided.push({ command: number, outcome: asFailure(error) })
    }
  }
  return isMissing ? undefined : { decided, later, changes }
}

const contentOf = ({ family, key, value, head, payload }: ChangedRow): NewRow => ({ family, key, value, head, payload })
