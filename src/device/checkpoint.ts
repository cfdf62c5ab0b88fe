/**
 * Checkpoint: brings the base up to a log position. The only code that writes the base.
 *
 * It reads the committed entries from the log itself (last write wins), appends their inline payloads
 * to the device's payload volume, takes the unlogged families' changes from their sources, and commits
 * all in one transaction that also holds the positions it contains. It runs beside a serving process
 * (on a worker thread) and shares nothing with it but files.
 *
 * Promises  After a crash at any moment the base holds exactly the checkpoint before or this one.
 */
import { decodeEntry, type Entry } from "../format/entry.js"
import { encodeBaseRow, decodeBaseRow, type VolumePlace } from "../format/base-row.js"
import { assert } from "../base/assert.js"
import { fail } from "../base/failures.js"
import { FAMILIES, type Family } from "../base/families.js"
import { parseLogSequence, parsePosition, rowKeyOf } from "../base/ids.js"
import type { LogSequence, Position, RowKey, TabletId } from "../base/ids.js"
import type { StoreReader, StoreWrite, StoreWriter } from "../seams/store/contract.js"
import type { CheckpointSource, LoggedRecord, PayloadSink, TabletPrefixes } from "./contract.js"

export interface CheckpointRequest {
  /** Contain every batch up to and including this one. */
  readonly upTo: LogSequence
  /** Store prefixes of this device's tablets; entries of other tablets are dropped ones. */
  readonly prefixes: TabletPrefixes
}

export interface CheckpointResult {
  readonly rows: number
  readonly payloads: number
}

/** The log as a checkpoint reads it. */
export interface LogReader {
  records(after: LogSequence, upTo: LogSequence): AsyncIterable<LoggedRecord>
}

const LOG_MARK = rowKeyOf("log")
const tabletMark = (tabletId: TabletId): RowKey => rowKeyOf(`tablet/${tabletId}`)
const sourceMark = (name: string): RowKey => rowKeyOf(`source/${name}`)

function readMark(store: StoreReader, key: RowKey): Uint8Array | undefined {
  const bytes = store.get("marks", key)
  return bytes && decodeBaseRow("marks", key, bytes).value
}

function readNumberMark(store: StoreReader, key: RowKey): number {
  const mark = readMark(store, key)
  if (!mark) return 0
  if (mark.length !== 8) throw fail("corruptRow", { family: "marks" })
  return Number(Buffer.from(mark).readBigUInt64LE(0))
}

function numberMark(key: RowKey, value: number): StoreWrite {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return markWrite(key, bytes)
}

const markWrite = (key: RowKey, value: Uint8Array): StoreWrite => ({
  family: "marks",
  key,
  value: encodeBaseRow("marks", key, value, undefined),
})

/** The last log batch that the base contains; 0 for a new one. */
export const containedSequence = (store: StoreReader): LogSequence => parseLogSequence(readNumberMark(store, LOG_MARK))

/** The last position of a tablet that the base contains; 0 for a new one. */
export const containedPosition = (store: StoreReader, tabletId: TabletId): Position =>
  parsePosition(readNumberMark(store, tabletMark(tabletId)))

/** The mark that a source left in the base. */
export const readSourceMark = (store: StoreReader, name: string): Uint8Array | undefined =>
  readMark(store, sourceMark(name))

interface Pending {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array | undefined
  readonly payload: Uint8Array | undefined
}

/** The last write of each row, in base order. */
export class LastWrites {
  private readonly byKey = new Map<string, Pending>()

  private readonly lastPositions = new Map<TabletId, Position>()

  add(entry: Entry, prefixes: TabletPrefixes): void {
    const prefix = prefixes.get(entry.tabletId)
    if (prefix === undefined) return
    this.lastPositions.set(entry.tabletId, entry.position)
    for (const { family, key, value, payload } of entry.writes) {
      this.put({ family, key: rowKeyOf(prefix + key), value, payload })
    }
  }

  get positions(): ReadonlyMap<TabletId, Position> {
    return this.lastPositions
  }

  put(pending: Pending): void {
    this.byKey.set(String.fromCharCode(FAMILIES[pending.family]) + pending.key, pending)
  }

  /** By family, then key: neighbouring rows share pages. */
  sorted(): readonly Pending[] {
    return [...this.byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pending]) => pending)
  }
}

export async function runCheckpoint(
  store: StoreWriter,
  log: LogReader,
  sources: readonly CheckpointSource[],
  payloads: PayloadSink,
  request: CheckpointRequest,
): Promise<CheckpointResult> {
  const last = new LastWrites()
  for await (const { bytes } of log.records(containedSequence(store), request.upTo)) {
    last.add(decodeEntry(bytes), request.prefixes)
  }
  for (const source of sources) {
    for await (const { family, key, value } of source.collect(readSourceMark(store, source.name))) {
      last.put({ family, key, value, payload: undefined })
    }
  }
  const rows = last.sorted()
  let count = 0
  const writes: StoreWrite[] = rows.map(({ family, key, value, payload }) => {
    if (!value) return { family, key, value: undefined }
    let place: VolumePlace | undefined
    if (payload) {
      const written = payloads.append({ family, key, payload })
      assert(written.in === "volume", "checkpoints put payloads into volumes")
      place = written
      count += 1
    }
    return { family, key, value: encodeBaseRow(family, key, value, place) }
  })
  await payloads.flush()
  await store.commit([
    ...writes,
    numberMark(LOG_MARK, request.upTo),
    ...[...last.positions].map(([tabletId, position]) => numberMark(tabletMark(tabletId), position)),
    ...sources.map(source => markWrite(sourceMark(source.name), source.markAfter())),
  ])
  return { rows: writes.length, payloads: count }
}
