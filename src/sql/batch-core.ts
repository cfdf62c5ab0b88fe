/**
 * Batches: many commands decided on rows of one moment, and the one commit that makes their changes. Pure.
 *
 * Promises  No answer of a batch, not even a refusal, is given before its commit: any of them may rest on a change that
 *           an earlier command of the batch has made. A batch that changes nothing is answered at once.
 */
import { asFailure, fail, type Failure } from "../base/failures.js"
import type { BucketId } from "../base/ids.js"
import { COMMAND_ROWS_MAX } from "../base/limits.js"
import { entryBytes, type EntryWrite } from "../format/entry.js"
import { NO_COUNTS, type Counters } from "../format/records.js"
import { isOfGeneration } from "../metadata/index.js"
import type { Command, CounterChange, DecisionTime, DecisionView } from "../metadata/index.js"
import type { CommitRequest, ExpectedRow, LaneId, LaneState, NewRow, ReplacedRow, Version } from "./database.js"
import { SQL_LIMITS } from "./limits.js"
import { BatchView, LaterBatch, RowsMissing, type ChangedRow, type FetchedRows, type Wants } from "./rows-core.js"
import { byStoredKey, storedIn } from "./stored-key.js"

/** A command whose answer can be given once what it saw is committed. */
export interface AnswerableCommand extends Pick<Command<unknown>, "touches"> {
  decide(view: DecisionView, time: DecisionTime): AnswerableDecision
}

interface AnswerableDecision {
  readonly writes: readonly EntryWrite[]
  readonly counts?: CounterChange | undefined
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
  private raisesGeneration = false
  get isEmpty(): boolean {
    return this.rows.size === 0 && this.counts.size === 0 && this.droppedCounters.size === 0
  }

  apply(view: BatchView, writes: readonly EntryWrite[], counts: CounterChange | undefined): void {
    if (writes.length === 0 && counts === undefined) return
    for (const [name, { family, row }] of view.reads) {
      if (!isOfGeneration(family)) this.expected.set(name, { family, key: row.key, version: row.version })
    }
    for (const write of writes) this.write(view, write)
    if (counts !== undefined) this.count(counts)
  }

  private write(view: BatchView, { family, key, value, payload }: EntryWrite): void {
    this.raisesGeneration ||= isOfGeneration(family)
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
    this.counts.set(bucketId, {
      objects: before.objects + change.objects,
      versions: before.versions + change.versions,
      bytes: before.bytes + change.bytes,
      uploads: before.uploads + change.uploads,
    })
  }

  /** The commit of the batch. A row that was made and deleted within it leaves no trace. */
  request(lane: LaneId, from: Pick<LaneState, "number" | "generation">, version: Version): CommitRequest {
    const rows = [...this.rows.values()].sort(byStoredKey)
    const hasContent = ({ value, head }: ChangedRow): boolean => value !== undefined || head !== undefined
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
    const counts = [...this.counts].filter(([, change]) => Object.values(change).some(count => count !== 0))
    return {
      ...{ lane, from, version, raisesGeneration: this.raisesGeneration },
      ...{ expected: expected.sort(byStoredKey), replaced, deleted, added },
      counts: counts.map(([bucketId, change]) => ({ bucketId, change })).sort((a, b) => a.bucketId - b.bucketId),
      droppedCounters: [...this.droppedCounters],
    }
  }
}

/** Decides the commands in their order; undefined if rows are missing, which `wants` then has. */
export function decideBatch(
  commands: readonly AnswerableCommand[],
  fetched: FetchedRows,
  wants: Wants,
  timeOf: (command: number) => DecisionTime,
): DecidedBatch | undefined {
  const changes = new BatchChanges()
  const decided: Decided[] = []
  const later: number[] = []
  let isMissing = false
  for (const [number, command] of commands.entries()) {
    const view = new BatchView(fetched, wants, changes)
    try {
      const { writes, counts, answer } = command.decide(view, timeOf(number))
      checkSize(writes)
      changes.apply(view, writes, counts)
      decided.push({ command: number, outcome: answer })
    } catch (error) {
      if (error instanceof RowsMissing) isMissing = true
      else if (error instanceof LaterBatch) later.push(number)
      else decided.push({ command: number, outcome: asFailure(error) })
    }
  }
  return isMissing ? undefined : { decided, later, changes }
}

function checkSize(writes: readonly EntryWrite[]): void {
  const lengthBytes = entryBytes(writes)
  if (writes.length <= COMMAND_ROWS_MAX && lengthBytes <= SQL_LIMITS.commandBytesMax) return
  throw fail("invalidRequest", { message: "the change is too large", lengthBytes })
}

const contentOf = ({ family, key, value, head, payload }: ChangedRow): NewRow => ({ family, key, value, head, payload })
