/**
 * Checkpoint: brings the base up to a log position. The only code that writes the base.
 *
 * It reads the committed entries from the log itself (last write wins), appends their inline payloads
 * to the device's payload volume, takes the unlogged families' changes from their sources, and commits
 * all in one transaction that also holds the positions it contains. In the same transaction it tidies
 * up, in bounded portions: rows of ended memberships go, and payloads leave volumes that are mostly dead.
 * It runs beside a serving process (on a worker thread) and shares nothing with it but files.
 *
 * Promises  After a crash at any moment the base holds exactly the checkpoint before or this one.
 */
import { decodeEntry, type Entry } from "../format/entry.js"
import { encodeBaseRow, decodeBaseRow, type VolumePlace } from "../format/base-row.js"
import { FIRST_EPOCH, STORE_PREFIX_BYTES, storePrefixEnd, storePrefixOf } from "../format/membership.js"
import { assert, must } from "../base/assert.js"
import { fail, isFailure } from "../base/failures.js"
import { FAMILIES, REPLICATED_FAMILIES, type Family } from "../base/families.js"
import { parseLogSequence, parsePosition, rowKeyOf } from "../base/ids.js"
import type { Epoch, LogSequence, Position, RowKey, TabletId } from "../base/ids.js"
import type { StoreReader, StoreWrite, StoreWriter } from "../seams/store/contract.js"
import type { CheckpointSource, LoggedRecord, Memberships, PayloadSink } from "./contract.js"
import { PayloadBooks } from "./payload-books.js"
import type { PayloadUpkeep } from "./payload-upkeep.js"

export interface CheckpointRequest {
  /** Contain every batch up to and including this one. */
  readonly upTo: LogSequence
  /** Entries of other tablets, and of earlier memberships, are passed over. */
  readonly memberships: Memberships
  /** Payload volumes that an earlier checkpoint called empty, and that all readers know to be. */
  readonly emptied: readonly number[]
}

export interface CheckpointResult {
  readonly rows: number
  readonly payloads: number
  /** Rows of ended memberships that were deleted; at `DEAD_ROWS_MAX` there may be more. */
  readonly deadRows: number
  /** Payloads that were moved out of volumes that are mostly dead. */
  readonly moved: number
  /** Payload volumes that no row points into now, to be named in the next request once readers know it. */
  readonly emptied: readonly number[]
  /** Payload volumes that are gone. */
  readonly removed: readonly number[]
  /** Another checkpoint would find more to tidy up, also without new rows. */
  readonly isMore: boolean
}

/** The log as a checkpoint reads it. */
export interface LogReader {
  records(after: LogSequence, upTo: LogSequence): AsyncIterable<LoggedRecord>
}

const LOG_MARK = rowKeyOf("log")
const TABLET_MARKS = { start: rowKeyOf("tablet/"), end: rowKeyOf("tablet0") }
const tabletMark = (tabletId: TabletId, since: Epoch): RowKey =>
  rowKeyOf(since === FIRST_EPOCH ? `tablet/${tabletId}` : `tablet/${tabletId}/${since}`)
export const sourceMark = (name: string): RowKey => rowKeyOf(`source/${name}`)

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

/** The last position of a membership that the base contains; undefined where it contains nothing of it. */
export function containedPosition(store: StoreReader, tabletId: TabletId, since: Epoch): Position | undefined {
  const mark = tabletMark(tabletId, since)
  return readMark(store, mark) && parsePosition(readNumberMark(store, mark))
}

/** The mark that a source left in the base. */
export const readSourceMark = (store: StoreReader, name: string): Uint8Array | undefined =>
  readMark(store, sourceMark(name))

interface Pending {
  readonly family: Family
  readonly key: RowKey
  readonly value: Uint8Array | undefined
  readonly payload: Uint8Array | undefined
}

/** Sorts by family, then key. */
const nameOf = (family: Family, key: RowKey): string => String.fromCharCode(FAMILIES[family]) + key

/** The last write of each row, in base order. */
export class LastWrites {
  private readonly byKey = new Map<string, Pending>()

  private readonly lastPositions = new Map<TabletId, Position>()

  add(entry: Entry, memberships: Memberships): void {
    const since = memberships.get(entry.tabletId)
    if (since === undefined || entry.epoch < since) return
    const prefix = storePrefixOf(since)
    this.lastPositions.set(entry.tabletId, entry.position)
    for (const { family, key, value, payload } of entry.writes) {
      this.put({ family, key: rowKeyOf(prefix + key), value, payload })
    }
  }

  get positions(): ReadonlyMap<TabletId, Position> {
    return this.lastPositions
  }

  put(pending: Pending): void {
    this.byKey.set(nameOf(pending.family, pending.key), pending)
  }

  has(family: Family, key: RowKey): boolean {
    return this.byKey.has(nameOf(family, key))
  }

  /** By family, then key: neighbouring rows share pages. */
  sorted(): readonly Pending[] {
    return [...this.byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pending]) => pending)
  }
}

/** Rows of ended memberships that one checkpoint deletes. */
export const DEAD_ROWS_MAX = 20_000
const BEHIND_ALL_PREFIXES = "\xff".repeat(STORE_PREFIX_BYTES + 1)

/** Deletes rows that lie under prefixes of no membership, as many as one checkpoint may. */
function deadRows(store: StoreReader, memberships: Memberships): readonly StoreWrite[] {
  const lives = [...memberships.values()].sort((a, b) => a - b)
  const starts = ["", ...lives.map(storePrefixEnd)]
  const ends = [...lives.map(storePrefixOf), BEHIND_ALL_PREFIXES]
  const dead: StoreWrite[] = []
  for (const family of REPLICATED_FAMILIES) {
    for (const [i, start] of starts.entries()) {
      const range = { start: rowKeyOf(start), end: rowKeyOf(must(ends[i], "each gap has an end")) }
      for (const [key] of store.range(family, range)) {
        if (dead.length >= DEAD_ROWS_MAX) return dead
        dead.push({ family, key, value: undefined })
      }
    }
  }
  return dead
}

function deadMarks(store: StoreReader, memberships: Memberships): readonly StoreWrite[] {
  const lives = new Set([...memberships].map(([tabletId, since]) => tabletMark(tabletId, since)))
  const marks = [...store.range("marks", TABLET_MARKS)].map(([key]) => key)
  return marks.flatMap(key => (lives.has(key) ? [] : ({ family: "marks", key, value: undefined } as const)))
}

/** What the log and the sources have for the base, and the marks that say so. */
async function collect(
  store: StoreReader,
  log: LogReader,
  sources: readonly CheckpointSource[],
  { upTo, memberships }: CheckpointRequest,
): Promise<LastWrites> {
  const last = new LastWrites()
  for await (const { bytes } of log.records(containedSequence(store), upTo)) {
    last.add(decodeEntry(bytes), memberships)
  }
  for (const source of sources) {
    for await (const { family, key, value } of source.collect(readSourceMark(store, source.name))) {
      last.put({ family, key, value, payload: undefined })
    }
  }
  return last
}

/** The rows as they will be in the base; payloads are appended to volumes. */
function rowWrites(rows: readonly Pending[], payloads: PayloadSink, books: PayloadBooks): StoreWrite[] {
  return rows.map(({ family, key, value, payload }) => {
    if (!value) return { family, key, value: undefined }
    let place: VolumePlace | undefined
    if (payload) {
      const written = payloads.append({ family, key, payload })
      assert(written.in === "volume", "checkpoints put payloads into volumes")
      place = written
      books.placed(family, key, place)
    }
    return { family, key, value: encodeBaseRow(family, key, value, place) }
  })
}

function marksAfter(
  last: LastWrites,
  sources: readonly CheckpointSource[],
  { upTo, memberships }: CheckpointRequest,
): StoreWrite[] {
  const positions = [...last.positions].map(([tabletId, position]) => {
    const since = must(memberships.get(tabletId), "only entries of memberships were taken")
    return numberMark(tabletMark(tabletId, since), position)
  })
  const marks = sources.map(source => markWrite(sourceMark(source.name), source.markAfter()))
  return [numberMark(LOG_MARK, upTo), ...positions, ...marks]
}

/** `upkeep`: the device's, with the volumes that take the payloads. */
export async function runCheckpoint(
  store: StoreWriter,
  log: LogReader,
  sources: readonly CheckpointSource[],
  upkeep: PayloadUpkeep,
  request: CheckpointRequest,
): Promise<CheckpointResult> {
  const { shelf } = upkeep
  const books = PayloadBooks.open(store, (key, lengthBytes) => shelf.bytesOf(key, lengthBytes))
  const removed = await upkeep.remove(store, books, request.emptied)
  const last = await collect(store, log, sources, request)
  const rows = last.sorted()
  const dead = deadRows(store, request.memberships)
  for (const { family, key } of [...rows, ...dead]) books.replacing(store, family, key)
  const writes = rowWrites(rows, shelf, books)
  await shelf.flush()
  const rewritten = new Set(dead.map(({ family, key }) => nameOf(family, key)))
  const isWritten = (family: Family, key: RowKey): boolean =>
    last.has(family, key) || rewritten.has(nameOf(family, key))
  const moves = await upkeep.move(store, books, isWritten)
  await commit(store, shelf, [
    ...writes,
    ...moves.writes,
    ...dead,
    ...deadMarks(store, request.memberships),
    ...books.writes(),
    ...marksAfter(last, sources, request),
  ])
  moves.done()
  const emptied = upkeep.emptied(books)
  return {
    rows: writes.length,
    payloads: rows.reduce((count, { payload }) => count + (payload === undefined ? 0 : 1), 0),
    deadRows: dead.length,
    moved: moves.writes.length,
    emptied,
    removed,
    isMore: dead.length >= DEAD_ROWS_MAX || moves.writes.length > 0 || emptied.length > 0,
  }
}

/** A full disk fails a commit before anything of it counts, and the payloads that it was for are in the way. */
async function commit(store: StoreWriter, payloads: PayloadSink, writes: readonly StoreWrite[]): Promise<void> {
  const before = containedSequence(store)
  try {
    await store.commit(writes)
  } catch (error) {
    if (isFailure(error, "deviceFull")) {
      store.refresh()
      if (containedSequence(store) === before) await payloads.rollBack()
    }
    throw error
  }
  payloads.keep()
}
