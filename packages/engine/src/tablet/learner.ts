/**
 * Learner: a replica in preparation. It logs every entry that is committed from its beginning on, and between them the
 * rows that existed before, chunk by chunk.
 *
 * A chunk is logged behind the entries of the position at which its rows were read, so that a later entry always
 * overrides it; the reading needs no lasting view. Rows that are written while a chunk's payloads are being read are
 * left out of it: the learner has them from the entries.
 *
 * Promises  Only a step waits for it; its failure ends the learning and nothing else.
 * Refuses   To fall behind: see `LEARNER_LIMITS`.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { REPLICATED_FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import type { DeviceId, Epoch, Position, RowKey } from "@hayloft/base/ids.js"
import { owned, type LentSoon } from "@hayloft/base/memory/lent.js"
import { ENTRY_BYTES_MAX } from "@hayloft/base/limits.js"
import { entryBytes, type EntryWrite } from "../format/device/entry.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { TabletRow, TabletView } from "./contract.js"
import { END_OF_KEYS, LEARNER_LIMITS } from "./limits.js"
import { EncodedBatch, type Replica } from "./replica.js"
import { BATCH_BYTES_MAX } from "./primary-core.js"
import { ReplicaHandle } from "./replica-handle.js"
import { nameOfRow } from "../format/row-key.js"

/** Source of the rows that the learner copies. */
interface SnapshotSource {
  readonly committed: TabletView
  /** Returns undefined if the row has changed meanwhile. */
  payload(family: Family, key: RowKey, row: TabletRow): LentSoon
  /** Runs between two batches: the learner was sent exactly the entries that are committed. */
  atBoundary(task: (position: Position, epoch: Epoch) => void): Promise<void>
}

interface ReadRow {
  readonly family: Family
  readonly key: RowKey
  readonly row: TabletRow
}

interface Chunk {
  readonly rows: readonly ReadRow[]
  /** The place where the next one begins; undefined at the end. */
  readonly next: Cursor | undefined
}

interface Cursor {
  readonly family: Family
  /** Inclusive. */
  readonly start: RowKey
}

/** Bytes of a payload in an entry beside its content: its length and checksum. */
const ROW_OVERHEAD_BYTES = 12

export class Learner {
  readonly handle: ReplicaHandle
  private queue: EncodedBatch[] = []
  private queuedBytes = 0
  /** How many batches it was sent, and how many of them are durable. */
  private sentBatches = 0
  private durable = 0
  private draining: Promise<void> | undefined
  /** Callbacks that wait for the next write to the log to end. */
  private waiting: (() => void)[] = []
  private cursor: Cursor | undefined = { family: must(REPLICATED_FAMILIES[0], "families"), start: rowKeyOf("") }
  /** Rows written while a chunk is being read. */
  private written: Set<string> | undefined
  private rows = 0
  private hasBegun = false
  private isOver = false

  /** `onFailure`: the learning has ended by itself. */
  constructor(
    replica: Replica,
    private readonly source: SnapshotSource,
    private readonly onFailure: (id: DeviceId, failure: Failure) => void,
  ) {
    this.handle = new ReplicaHandle(replica)
  }

  get id(): DeviceId {
    return this.handle.id
  }

  /** All rows that existed before are durable; entries may still be on their way. */
  get isComplete(): boolean {
    return this.isOver
  }

  get rowsCopied(): number {
    return this.rows
  }

  get progress(): string {
    if (this.isOver) return `${this.rows} rows copied`
    const at = REPLICATED_FAMILIES.indexOf(this.cursor?.family ?? "current")
    return `${this.rows} rows copied, family ${at + 1} of ${REPLICATED_FAMILIES.length}`
  }

  /** From here on it is sent every batch. The history begins with an entry that contains its position. */
  begin(position: Position, epoch: Epoch): void {
    if (this.handle.left !== undefined) return
    this.hasBegun = true
    this.wake()
    this.enqueue(this.snapshot(position, epoch, []))
  }

  /** Sends a committed batch. */
  send(batch: EncodedBatch): void {
    if (!this.hasBegun || this.handle.left !== undefined) return
    if (this.written) {
      for (const { writes } of batch.entries) {
        for (const { family, key } of writes) this.written.add(nameOfRow(family, key))
      }
    }
    if (this.queuedBytes > LEARNER_LIMITS.queueBytesMax) {
      this.fail(fail("tooManyInFlight", { message: "the device logs more slowly than the others", device: this.id }))
    } else this.enqueue(batch)
  }

  /** Ends the learning without a call of `onFailure`. */
  end(reason: Failure): void {
    this.handle.leave(reason)
    this.queue = []
    this.wake()
  }

  private fail(failure: Failure): void {
    if (this.handle.left !== undefined) return
    this.end(failure)
    this.onFailure(this.id, failure)
  }

  private enqueue(batch: EncodedBatch): void {
    this.queue.push(batch)
    this.queuedBytes += batch.lengthBytes
    this.sentBatches += 1
    this.draining ??= this.drain()
  }

  private async drain(): Promise<void> {
    const { handle } = this
    try {
      while (this.queue.length > 0) {
        const untilSpace = handle.replica.device.spaceForWrites(false)
        if (untilSpace) await handle.wait(untilSpace)
        const batches = this.nextBatches()
        const batch = EncodedBatch.join(batches)
        const logged = await handle.wait(handle.replica.log(batch))
        logged.apply()
        this.queuedBytes -= batch.lengthBytes
        this.durable += batches.length
        this.wake()
      }
    } catch (error) {
      this.fail(asFailure(error))
    }
    this.draining = undefined
  }

  private wake(): void {
    const waiting = this.waiting
    this.waiting = []
    for (const wake of waiting) wake()
  }

  /** Throws the reason if the learning has ended. */
  private async until(isSo: () => boolean): Promise<void> {
    while (this.handle.left === undefined && !isSo()) {
      await new Promise<void>(resolve => this.waiting.push(resolve))
    }
    if (this.handle.left !== undefined) throw this.handle.left
  }

  /** Takes as many batches from the queue as fit into one write, but at least one if there is any. */
  private nextBatches(): readonly EncodedBatch[] {
    let lengthBytes = 0
    const over = this.queue.findIndex((batch, i) => (lengthBytes += batch.lengthBytes) > BATCH_BYTES_MAX && i > 0)
    return this.queue.splice(0, over < 0 ? this.queue.length : over)
  }

  /**
   * Waits, between two batches, until nothing remains to be logged. Throws `tooManyInFlight` if that would delay
   * commits.
   */
  async catchUp(): Promise<void> {
    assert(this.isOver, "a learner votes only once it has all rows")
    const untilSpace = this.handle.replica.device.spaceForWrites(false)
    untilSpace?.catch(() => undefined)
    if (untilSpace || this.queuedBytes > LEARNER_LIMITS.joinBytes) {
      throw fail("tooManyInFlight", { message: "the device has not caught up yet", device: this.id })
    }
    await this.until(() => this.durable === this.sentBatches)
  }

  /** Copies one chunk of rows, once the queue to the log is short enough. False: all rows were copied before. */
  async step(): Promise<boolean> {
    if (this.isOver) return false
    await this.until(() => this.hasBegun && this.queuedBytes <= LEARNER_LIMITS.paceBytes)
    if (this.cursor) await this.copy(this.cursor)
    if (this.cursor) return true
    const all = this.sentBatches
    await this.until(() => this.durable >= all)
    this.isOver = true
    return true
  }

  private async copy(from: Cursor): Promise<void> {
    assert(this.written === undefined, "one chunk is copied at a time")
    const chunk = this.read(from)
    this.written = new Set()
    try {
      const writes = await this.writesOf(chunk.rows)
      await this.source.atBoundary((position, epoch) => this.put(chunk, writes, position, epoch))
    } finally {
      this.written = undefined
    }
  }

  private put(chunk: Chunk, writes: readonly EntryWrite[], position: Position, epoch: Epoch): void {
    const current = writes.filter(({ family, key }) => this.written?.has(nameOfRow(family, key)) === false)
    this.cursor = chunk.next
    this.rows += current.length
    if (current.length > 0 && this.handle.left === undefined) this.enqueue(this.snapshot(position, epoch, current))
  }

  private snapshot(position: Position, epoch: Epoch, writes: readonly EntryWrite[]): EncodedBatch {
    const { tabletId } = this.handle.replica
    return EncodedBatch.of([{ tabletId, epoch, position, writes, isSnapshot: true }])
  }

  /** The next rows, as many as fit into one entry. */
  private read(from: Cursor): Chunk {
    const rows: ReadRow[] = []
    let lengthBytes = entryBytes([])
    let start = from.start
    for (const family of REPLICATED_FAMILIES.slice(REPLICATED_FAMILIES.indexOf(from.family))) {
      for (const [key, row] of this.source.committed.range(family, { start, end: END_OF_KEYS })) {
        lengthBytes += bytesOfRow(family, key, row)
        const isFull = rows.length >= LEARNER_LIMITS.chunkRowsMax || (lengthBytes > ENTRY_BYTES_MAX && rows.length > 0)
        if (isFull) return { rows, next: { family, start: key } }
        rows.push({ family, key, row })
      }
      start = rowKeyOf("")
    }
    return { rows, next: undefined }
  }

  private async writesOf(rows: readonly ReadRow[]): Promise<readonly EntryWrite[]> {
    const writes = await mapBounded(rows, LEARNER_LIMITS.payloadsAtOnce, read => this.writeOf(read))
    return writes.filter(write => write !== undefined)
  }

  /** Returns undefined if the row has changed meanwhile. */
  private async writeOf({ family, key, row }: ReadRow): Promise<EntryWrite | undefined> {
    const write = { family, key, value: Uint8Array.from(row.value) }
    if (!row.payload) return write
    try {
      const payload = await owned(this.source.payload(family, key, row))
      return payload && { ...write, payload }
    } catch (error) {
      // Damaged on every replica. The row is copied without its payload, and reads of it fail as damaged there as well.
      if (!isFailure(error, "corruptNeedle")) throw error
      return write
    }
  }
}

function bytesOfRow(family: Family, key: RowKey, { value, payload }: TabletRow): number {
  const payloadBytes = payload === undefined ? 0 : payload.in === "memory" ? payload.bytes.length : payload.lengthBytes
  return entryBytes([{ family, key, value }]) + ROW_OVERHEAD_BYTES + payloadBytes
}
