/**
 * Checkpoint: brings the metadata store up to a log position. The only code that writes the metadata store.
 *
 * It reads the committed entries from the log itself (last write wins, see `last-writes.ts`), appends their inline
 * payloads to the device's payload volume, collects the unlogged families' changes from their sources, and commits all
 * in one transaction that also contains the positions reached. In the same transaction it tidies up, in bounded
 * portions: rows of ended replica incarnations are deleted, and payloads leave volumes that are mostly dead. Rows that
 * the store refuses are set aside in that transaction (see `rows-aside.ts`). It runs
 * beside a serving process (on a worker thread) and shares nothing with it but files.
 *
 * Promises  After a crash at any moment the metadata store contains exactly the checkpoint before or this one.
 */
import { encodeStoredRow, decodeStoredRow, type VolumePlace } from "../../format/tables/stored-row.js"
import {
  FIRST_EPOCH,
  STORE_PREFIX_BYTES,
  storePrefixEnd,
  storePrefixOf,
} from "../../format/device/replica-incarnation.js"
import { assert, must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import { REPLICATED_FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import { parseLogSequence, parsePosition, rowKeyOf } from "@hayloft/base/ids.js"
import type { Epoch, LogSequence, Position, RowKey, TabletId } from "@hayloft/base/ids.js"
import type { MergeUrgency, StoreReader, StoreWrite, StoreWriter } from "@hayloft/base/seams/store/contract.js"
import type { CheckpointSource, ReplicaIncarnations, PayloadSink } from "../contract.js"
import { LastWrites, type TakeLast } from "../log/last-writes.js"
import type { LogReader } from "../log/log-reader.js"
import { PayloadUsage } from "./payload-usage.js"
import { rowName as nameOf, setAside } from "./rows-aside.js"
import type { PayloadUpkeep } from "./payload-upkeep.js"

export interface CheckpointRequest {
  /** The last batch to contain. */
  readonly upTo: LogSequence
  /** Entries of other tablets, and of earlier incarnations, are skipped. */
  readonly replicaIncarnations: ReplicaIncarnations
  /** Payload volumes that an earlier checkpoint reported empty, which all readers have learned since. */
  readonly emptied: readonly number[]
  /** Bytes that may be written to move payloads, which gives space back only later; absent: no bound. */
  readonly moveBytesMax?: number
  /** Payload volumes up to this one are to be emptied, however little of them is dead. */
  readonly emptyUpTo?: number
  /** The device is short of space. */
  readonly isShort?: boolean
}

export interface CheckpointResult {
  /** Durable generation of the store. */
  readonly generation: number
  readonly rows: number
  readonly payloads: number
  /** Rows of ended incarnations that were deleted; at `DEAD_ROWS_MAX` there may be more. */
  readonly deadRows: number
  /** Payloads that were moved out of volumes that are mostly dead. */
  readonly moved: number
  /** Payload volumes that no row points into now; name them in the next request once readers were informed. */
  readonly emptied: readonly number[]
  /** Payload volumes that were removed. */
  readonly removed: readonly number[]
  /** Another checkpoint would find more to tidy up, even without new rows. */
  readonly isMore: boolean
}

const LOG_MARK = rowKeyOf("log")
const TABLET_MARKS = { start: rowKeyOf("tablet/"), end: rowKeyOf("tablet0") }
const tabletMark = (tabletId: TabletId, since: Epoch): RowKey =>
  rowKeyOf(since === FIRST_EPOCH ? `tablet/${tabletId}` : `tablet/${tabletId}/${since}`)
export const sourceMark = (name: string): RowKey => rowKeyOf(`source/${name}`)

function readMark(store: StoreReader, key: RowKey): Uint8Array | undefined {
  const bytes = store.get("marks", key)
  return bytes && decodeStoredRow("marks", key, bytes).value
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
  value: encodeStoredRow(value, undefined),
})

/** The last log batch in the metadata store; 0 for a new store. */
export const containedSequence = (store: StoreReader): LogSequence => parseLogSequence(readNumberMark(store, LOG_MARK))

/** The last position of a replica incarnation in the metadata store; undefined if it contains nothing of it. */
export function containedPosition(store: StoreReader, tabletId: TabletId, since: Epoch): Position | undefined {
  const mark = tabletMark(tabletId, since)
  return readMark(store, mark) && parsePosition(readNumberMark(store, mark))
}

/** The mark that a source left in the metadata store. */
export const readSourceMark = (store: StoreReader, name: string): Uint8Array | undefined =>
  readMark(store, sourceMark(name))

/** Rows of ended incarnations that one checkpoint deletes. */
const DEAD_ROWS_MAX = 20_000
const BEHIND_ALL_PREFIXES = "\xff".repeat(STORE_PREFIX_BYTES + 1)

/**
 * Deletes rows under prefixes of no current incarnation, as many as one checkpoint may. Rows that cannot be read are
 * left to a later checkpoint.
 */
function deadRows(store: StoreReader, replicaIncarnations: ReplicaIncarnations): readonly StoreWrite[] {
  const current = [...replicaIncarnations.values()].sort((a, b) => a - b)
  const starts = ["", ...current.map(storePrefixEnd)]
  const ends = [...current.map(storePrefixOf), BEHIND_ALL_PREFIXES]
  const dead: StoreWrite[] = []
  for (const family of REPLICATED_FAMILIES) {
    for (const [i, start] of starts.entries()) {
      const range = { start: rowKeyOf(start), end: rowKeyOf(must(ends[i], "each gap has an end")) }
      try {
        for (const [key] of store.range(family, range)) {
          if (dead.length >= DEAD_ROWS_MAX) return dead
          dead.push({ family, key, value: undefined })
        }
      } catch (error) {
        if (!isFailure(error, "corruptRow", "deviceFailed")) throw error
      }
    }
  }
  return dead
}

function deadMarks(store: StoreReader, replicaIncarnations: ReplicaIncarnations): readonly StoreWrite[] {
  const current = new Set([...replicaIncarnations].map(([tabletId, since]) => tabletMark(tabletId, since)))
  const marks = [...store.range("marks", TABLET_MARKS)].map(([key]) => key)
  return marks.flatMap(key => (current.has(key) ? [] : ({ family: "marks", key, value: undefined } as const)))
}

/** The rows of the log in the form in which the metadata store contains them; payloads are appended to volumes. */
async function logged(
  log: LogReader,
  last: LastWrites,
  range: readonly [after: LogSequence, upTo: LogSequence],
  payloads: PayloadSink,
  usage: PayloadUsage,
): Promise<{ readonly rows: StoreWrite[]; readonly payloads: number }> {
  for await (const records of log.batches(...range)) last.note(records)
  const rows: StoreWrite[] = []
  let payloadCount = 0
  const take: TakeLast = (family, key, value, payload) => {
    let place: VolumePlace | undefined
    if (value && payload) {
      const written = payloads.append({ family, key, payload })
      assert(written.in === "volume", "checkpoints put payloads into volumes")
      place = written
      usage.placed(key, place)
      payloadCount += 1
    }
    rows.push({ family, key, value: value && encodeStoredRow(value, place) })
  }
  for await (const records of log.batches(...range)) last.take(records, take)
  return { rows, payloads: payloadCount }
}

/** The rows of the sources; a later row replaces an earlier one of the same key. */
async function sourced(store: StoreReader, sources: readonly CheckpointSource[]): Promise<StoreWrite[]> {
  const rows = new Map<string, StoreWrite>()
  for (const source of sources) {
    for await (const { family, key, value } of source.collect(readSourceMark(store, source.name))) {
      rows.set(nameOf(family, key), { family, key, value: value && encodeStoredRow(value, undefined) })
    }
  }
  return [...rows.values()]
}

function marksAfter(
  last: LastWrites,
  sources: readonly CheckpointSource[],
  { upTo, replicaIncarnations }: CheckpointRequest,
): StoreWrite[] {
  const positions = [...last.positions].map(([tabletId, position]) => {
    const since = must(replicaIncarnations.get(tabletId), "only entries of memberships were taken")
    return numberMark(tabletMark(tabletId, since), position)
  })
  const marks = sources.map(source => markWrite(sourceMark(source.name), source.markAfter()))
  return [numberMark(LOG_MARK, upTo), ...positions, ...marks]
}

/** `upkeep`: the device's, with the volumes that store the payloads. */
export async function runCheckpoint(
  store: StoreWriter,
  log: LogReader,
  sources: readonly CheckpointSource[],
  upkeep: PayloadUpkeep,
  request: CheckpointRequest,
): Promise<CheckpointResult> {
  const { shelf } = upkeep
  upkeep.emptyUpTo = request.emptyUpTo ?? 0
  upkeep.isShort = request.isShort ?? false
  const usage = PayloadUsage.open(store, (key, lengthBytes) => shelf.bytesOf(key, lengthBytes))
  const removed = await upkeep.remove(store, usage, request.emptied)
  const last = new LastWrites(request.replicaIncarnations)
  const { rows, payloads } = await logged(log, last, [containedSequence(store), request.upTo], shelf, usage)
  const writes = [...rows, ...(await sourced(store, sources))]
  const writable = setAside(store, writes, request.replicaIncarnations)
  const dead = deadRows(store, request.replicaIncarnations)
  await shelf.flush()
  const rewritten = new Set(dead.map(({ family, key }) => nameOf(family, key)))
  const isWritten = (family: Family, key: RowKey): boolean =>
    last.has(family, key) || rewritten.has(nameOf(family, key))
  const moves = await upkeep.move(store, usage, isWritten, request.moveBytesMax)
  await commit(store, shelf, [
    ...writable,
    ...moves.writes,
    ...dead,
    ...deadMarks(store, request.replicaIncarnations),
    ...usage.writes(),
    ...marksAfter(last, sources, request),
  ])
  moves.done()
  const emptied = upkeep.emptied(usage)
  return {
    generation: store.generation,
    rows: writes.length,
    payloads,
    deadRows: dead.length,
    moved: moves.writes.length,
    emptied,
    removed,
    isMore: dead.length >= DEAD_ROWS_MAX || moves.writes.length > 0 || emptied.length > 0,
  }
}

/**
 * On a full disk the commit fails before any of it counts, and its payloads take up space. They stay where rows may
 * point at them: a commit may have failed after the moment from which it counts.
 */
async function commit(store: StoreWriter, payloads: PayloadSink, writes: readonly StoreWrite[]): Promise<void> {
  try {
    await store.commit(writes)
  } catch (error) {
    if (lacksSpace(error) && store.isCertain) await payloads.rollBack()
    else payloads.keep()
    throw error
  }
  payloads.keep()
}

export interface MergeRequest {
  readonly urgency: MergeUrgency
  /** Bytes that a step of the merge may write, unless even the smallest one is larger. */
  readonly spaceBytes: number
  /** Numbers of files that could not be read lately. */
  readonly unread: readonly number[]
}

export interface MergeOutcome {
  /** Durable generation of the store. */
  readonly generation: number
  /** Rows that were written; undefined if there was nothing to do. */
  readonly rows: number | undefined
  readonly emptied: readonly number[]
  /** A checkpoint would find payload volumes to tidy up. */
  readonly isMore: boolean
  /** New rows should wait until more has been merged. */
  readonly isCrowded: boolean
}

/** One step of merging the tables of the store. The payloads of rows that it drops are dead from then on. */
export async function runMerge(
  store: StoreWriter,
  upkeep: PayloadUpkeep,
  request: MergeRequest,
): Promise<MergeOutcome> {
  if (request.urgency === "full") upkeep.isShort = true
  const usage = PayloadUsage.open(store, (key, lengthBytes) => upkeep.shelf.bytesOf(key, lengthBytes))
  const rows = await store.merge({ ...request, dropped: usage.dropped, marks: () => usage.writes() })
  const emptied = upkeep.emptied(usage)
  const { generation, isCrowded } = store
  return { generation, rows, emptied, isMore: emptied.length > 0 || upkeep.hasVictim(usage), isCrowded }
}
