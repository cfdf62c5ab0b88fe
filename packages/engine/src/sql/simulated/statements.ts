/**
 * The statements of the SQL engine as the simulated database runs them: part by part, with the snapshot, the locks and
 * the counts of their texts for PostgreSQL (`postgres/statements.ts`), which they must follow.
 */
import { must } from "@hayloft/base/assert.js"
import { afterFolded } from "@hayloft/base/rows/key-range.js"
import type { BucketId, StoreId } from "@hayloft/base/ids.js"
import { NO_COUNTS, type Counters } from "../../format/records.js"
import { bucketRowKey } from "../../format/row-key.js"
import { addUsage } from "../../format/objects/usage.js"
import { hasLimit, RESOLVE_JUMP } from "../database.js"
import type {
  AddedUsage,
  CommitOutcome,
  CommitRequest,
  ExpectedRow,
  Fetched,
  FetchRequest,
  IncarnationList,
  LaneId,
  LaneState,
  NodeProcess,
  Session,
  StoredKey,
  StoredRow,
} from "../database.js"
import { byStoredKey } from "../stored-key.js"
import type { RowLockMode } from "./table.js"
import {
  familyKey,
  laneKey,
  rowName,
  update,
  type CounterRow,
  type LaneRow,
  type SimulatedRow,
  type Running,
  type StoreRow,
  type Tables,
  type UsageRow,
} from "./tables.js"
import type { Transaction } from "./transactions.js"

function latestUs({ tables, transaction }: Running): number {
  const lanes = [...tables.lanes.scan(transaction)].map(({ row }) => row).filter(({ folded }) => !folded)
  return Math.max(storeRow(tables, transaction).timestamps, ...lanes.map(({ committed }) => committed))
}

function storeRow(tables: Tables, transaction: Transaction): StoreRow {
  const [found] = tables.store.scan(transaction)
  return must(found, "the store has a row").row
}

export async function fetch(on: Running, request: FetchRequest): Promise<Fetched> {
  const { tables, transaction } = on
  const { lane, keys, ranges, counters, usage, wantsTimestamps = false } = request
  const state = tables.lanes.find(transaction, laneKey(lane))?.row
  const sums = new Map<BucketId, Counters>()
  for (const { row } of tables.counters.scan(transaction)) {
    sums.set(row.bucketId, sumOf(sums.get(row.bucketId) ?? NO_COUNTS, row.counters))
  }
  return {
    lane: state && laneState(state),
    rows: keys.map(key => {
      const row = tables.rows.find(transaction, rowName(key))?.row
      return row && storedRow(row, row.payload)
    }),
    ranges: ranges.map(({ family, column, start, end, reverse, folding, max }) => {
      const names = { start: familyKey(family) + start, end: familyKey(family) + end, reverse }
      const rows: StoredRow[] = []
      let from = start
      for (const { row } of tables.rows.scan(transaction, names)) {
        if (rows.length === max) break
        if (row[column] === undefined || (folding !== undefined && row.key < from)) continue
        rows.push(storedRow(row, row.payload && "elsewhere"))
        if (folding !== undefined) from = afterFolded(row.key, folding)
      }
      return rows
    }),
    counters: counters.map(bucketId => sums.get(bucketId) ?? NO_COUNTS),
    usage: new Map(
      Array.from(tables.usage.scan(transaction), ({ row }) => [row.key, row.usage] as const).filter(
        ([key]) => usage === "all" || usage.includes(key),
      ),
    ),
    timestamps: wantsTimestamps ? { clockUs: on.clockUs, latestUs: latestUs(on) } : undefined,
  }
}

const laneState = ({ number, generation, isEnded }: LaneRow): LaneState => ({ number, generation, isEnded })
const storedRow = ({ key, version, value, head }: SimulatedRow, payload: StoredRow["payload"]): StoredRow => ({
  key,
  version,
  value,
  head,
  payload,
})

const sumOf = (a: Counters, b: Counters): Counters => ({
  objects: a.objects + b.objects,
  versions: a.versions + b.versions,
  bytes: a.bytes + b.bytes,
  uploads: a.uploads + b.uploads,
})

export async function commit(on: Running, request: CommitRequest): Promise<CommitOutcome> {
  const { replaced, deleted, added, expected } = request
  if (!(await advanceLanes(on, request))) return "conflict"
  await on.between()
  const changed = [...replaced.map(({ family, key, before }) => ({ family, key, version: before })), ...deleted]
  if (!(await lockRows(on, changed, "exclusive"))) return "conflict"
  await on.between()
  if (!(await lockRows(on, expected, "share"))) return "conflict"
  await on.between()
  if ((await replaceRows(on, request)) !== replaced.length) return "conflict"
  if ((await deleteRows(on, request)) !== deleted.length) return "conflict"
  if ((await insertRows(on, request)) !== added.length) return "conflict"
  await on.between()
  await dropCounters(on, request)
  await count(on, request)
  return (await changeUsage(on, request)) ? "committed" : "conflict"
}

function advanceLanes(on: Running, request: CommitRequest): Promise<boolean> {
  if (request.raisesGeneration) return advanceAllLanes(on, request)
  return request.closesLanes ? advanceAndClose(on, request) : advanceOwnLane(on, request)
}

async function advanceOwnLane(on: Running, { lane, from, firstUs, lastUs }: CommitRequest): Promise<boolean> {
  const isUnchanged = (row: LaneRow) => row.number === from.number && row.generation === from.generation && !row.isEnded
  const changed = await update(
    on,
    on.tables.lanes,
    row => isLane(row, lane) && isUnchanged(row) && row.closed < firstUs,
    row => ({ ...row, number: row.number + 1n, committed: lastUs }),
  )
  return changed.length === 1
}

const isLane = (row: LaneRow, { incarnation, lane }: LaneId): boolean =>
  row.incarnation === incarnation && row.lane === lane

async function advanceAllLanes(on: Running, { lane, from, firstUs, lastUs }: CommitRequest): Promise<boolean> {
  const { tables } = on
  const [seen] = tables.store.scan(on.transaction)
  const hasSameLanes = (row: StoreRow): boolean => row.lastIncarnation === seen?.row.lastIncarnation
  const stores = await update(
    on,
    tables.store,
    row => row.generation === from.generation && hasSameLanes(row),
    row => ({ ...row, generation: row.generation + 1n }),
  )
  if (stores.length !== 1) return false
  await on.between()
  const lanes = await update(
    on,
    tables.lanes,
    row => !row.isEnded,
    row => ({
      ...row,
      generation: from.generation + 1n,
      ...(isLane(row, lane) && { number: row.number + 1n, committed: lastUs }),
    }),
  )
  const isOwn = (row: LaneRow) => isLane(row, lane) && row.number === from.number + 1n && row.closed < firstUs
  return lanes.filter(isOwn).length === 1
}

async function advanceAndClose(on: Running, { lane, from, firstUs, lastUs }: CommitRequest): Promise<boolean> {
  const { lastIncarnation } = storeRow(on.tables, on.transaction)
  const stores = await update(
    on,
    on.tables.store,
    row => row.lastIncarnation === lastIncarnation,
    row => ({ ...row, timestamps: Math.max(row.timestamps, lastUs) }),
  )
  if (stores.length !== 1) return false
  await on.between()
  const lanes = await update(
    on,
    on.tables.lanes,
    ({ isEnded }) => !isEnded,
    row => ({
      ...row,
      ...(isLane(row, lane)
        ? { number: row.number + 1n, committed: lastUs }
        : { closed: Math.max(row.closed, lastUs) }),
    }),
  )
  const { number, generation } = from
  return lanes.some(
    row => isLane(row, lane) && row.number === number + 1n && row.generation === generation && row.closed < firstUs,
  )
}

/** Locks rows in the order of their keys. False: some were not found, or have another version. */
async function lockRows(
  { tables: { rows }, transaction }: Running,
  expected: readonly ExpectedRow[],
  mode: RowLockMode,
): Promise<boolean> {
  let count = 0
  for (const row of [...expected].sort(byStoredKey)) {
    const matches = ({ version }: SimulatedRow): boolean => version === row.version
    const found = rows.find(transaction, rowName(row))
    if (found === undefined || !matches(found.row)) continue
    if (await rows.lock(transaction, found, mode, matches)) count += 1
  }
  return count === expected.length
}

async function replaceRows(on: Running, { replaced, version }: CommitRequest): Promise<number> {
  const { tables, transaction } = on
  let count = 0
  for (const row of replaced) {
    const found = await lockForChange(on, row)
    if (found === undefined) continue
    const { family, key, value, head, keepsPayload } = row
    const payload = keepsPayload ? found.row.payload : row.payload
    tables.rows.replace(transaction, found, { family, key, version, value, head, payload })
    count += 1
  }
  return count
}

async function deleteRows(on: Running, { deleted }: CommitRequest): Promise<number> {
  let count = 0
  for (const row of deleted) {
    const found = await lockForChange(on, row)
    if (found === undefined) continue
    on.tables.rows.remove(on.transaction, found)
    count += 1
  }
  return count
}

/** The newest version of a row that the snapshot shows: locked by now, so that nobody is waited for. */
async function lockForChange({ tables: { rows }, transaction }: Running, key: StoredKey) {
  const found = rows.find(transaction, rowName(key))
  return found && rows.lock(transaction, found, "exclusive", () => true)
}

/** INSERT … ON CONFLICT DO NOTHING; returns how many were inserted. */
async function insertRows({ tables, transaction }: Running, { added, version }: CommitRequest): Promise<number> {
  let count = 0
  for (const row of added) {
    if ((await tables.rows.insert(transaction, { ...row, version })) === "inserted") count += 1
  }
  return count
}

async function dropCounters({ tables, transaction }: Running, { droppedCounters }: CommitRequest): Promise<void> {
  for (const found of tables.counters.scan(transaction)) {
    if (!droppedCounters.includes(found.row.bucketId)) continue
    const version = await tables.counters.lock(transaction, found, "exclusive", () => true)
    if (version) tables.counters.remove(transaction, version)
  }
}

async function count({ tables, transaction }: Running, { counts, lane }: CommitRequest): Promise<void> {
  for (const { bucketId, change } of counts) {
    await tables.counters.insertOrReplace(transaction, { bucketId, lane, counters: change }, row => ({
      ...row,
      counters: sumOf(row.counters, change),
    }))
  }
}

/** Changes counts. Returns false if a row is absent or has too much, or a new one is present. */
async function changeUsage(on: Running, { usage, newUsage, droppedUsage }: CommitRequest): Promise<boolean> {
  const { tables, transaction } = on
  const table = tables.usage
  const locked: AddedUsage[] = []
  for (const added of usage) {
    const { key, bytesBeforeMax = Infinity, objectsBeforeMax = Infinity } = added
    const hasRoom = ({ usage: { bytes, partBytes, objects } }: UsageRow): boolean =>
      bytes + partBytes <= bytesBeforeMax && objects <= objectsBeforeMax
    const found = table.find(transaction, key)
    if (found === undefined || !hasRoom(found.row)) continue
    if (await table.lock(transaction, found, "exclusive", hasRoom)) locked.push(added)
  }
  if (locked.filter(hasLimit).length !== usage.filter(hasLimit).length) return false
  await on.between()
  for (const { key, usage: added } of locked) {
    const found = must(table.find(transaction, key), "the row is locked")
    const version = must(await table.lock(transaction, found, "exclusive", () => true), "the row is locked")
    table.replace(transaction, version, { key, usage: addUsage(version.row.usage, added) })
  }
  let inserted = 0
  for (const row of newUsage) if ((await table.insert(transaction, row)) === "inserted") inserted += 1
  for (const key of droppedUsage) {
    const found = table.find(transaction, key)
    const version = found && (await table.lock(transaction, found, "exclusive", () => true))
    if (version) table.remove(transaction, version)
  }
  return inserted === newUsage.length
}

export async function resolve({ tables, transaction }: Running, lane: LaneId): Promise<LaneState | undefined> {
  const found = tables.lanes.find(transaction, laneKey(lane))
  const version = found && (await tables.lanes.lock(transaction, found, "exclusive", () => true))
  if (version === undefined) return undefined
  tables.lanes.replace(transaction, version, { ...version.row, number: version.row.number + RESOLVE_JUMP })
  return laneState(version.row)
}

/** @returns undefined if an incarnation has begun meanwhile. */
export async function closeTo(on: Running, upToUs: number): Promise<number | undefined> {
  const { tables } = on
  const us = Math.min(upToUs, Math.max(on.clockUs, latestUs(on)))
  const { lastIncarnation } = storeRow(tables, on.transaction)
  const stores = await update(
    on,
    tables.store,
    row => row.lastIncarnation === lastIncarnation,
    row => ({ ...row, timestamps: Math.max(row.timestamps, us) }),
  )
  if (stores.length === 0) return undefined
  await on.between()
  await update(
    on,
    tables.lanes,
    row => !row.isEnded,
    row => ({ ...row, closed: Math.max(row.closed, us) }),
  )
  return us
}

export async function skipTimestamps(on: Running, upToUs: number): Promise<void> {
  await update(
    on,
    on.tables.store,
    () => true,
    row => ({ ...row, timestamps: Math.max(row.timestamps, upToUs) }),
  )
}

export async function storeId({ tables, transaction }: Running): Promise<StoreId | undefined> {
  const [store] = tables.store.scan(transaction)
  return store?.row.storeId
}

export async function claim(on: Running, storeId: StoreId): Promise<StoreId> {
  const [store] = await update(
    on,
    on.tables.store,
    () => true,
    row => ({ ...row, storeId: row.storeId ?? storeId }),
  )
  return must(store?.storeId, "the store has a row")
}

export async function skipIncarnations(on: Running, upTo: number): Promise<void> {
  await update(
    on,
    on.tables.store,
    () => true,
    row => ({ ...row, lastIncarnation: Math.max(row.lastIncarnation, upTo) }),
  )
}

interface NewIncarnation {
  readonly own: NodeProcess
  readonly lanes: number
  /** No incarnation has begun since this one was the highest. */
  readonly highest: number
  /** The new number is above this one, too. */
  readonly above: number
}

export async function begin(on: Running, { own, lanes, highest, above }: NewIncarnation): Promise<number | undefined> {
  const { tables, transaction } = on
  const over = [...tables.lanes.scan(transaction)].filter(({ row }) => isOver(row))
  const lastUs = Math.max(0, ...over.map(({ row }) => row.committed))
  const [store] = await update(
    on,
    tables.store,
    row => row.lastIncarnation === highest,
    row => ({
      ...row,
      lastIncarnation: Math.max(row.lastIncarnation, above) + 1,
      timestamps: Math.max(row.timestamps, lastUs),
    }),
  )
  if (store === undefined) return undefined
  await on.between()
  for (const found of over) {
    const lane = await tables.lanes.lock(transaction, found, "exclusive", isOver)
    if (lane) tables.lanes.replace(transaction, lane, { ...lane.row, folded: true })
  }
  const old = await update(
    on,
    tables.incarnations,
    row => row.node === own.node && !row.isEnded,
    row => ({ ...row, isEnded: true }),
  )
  await on.between()
  await endLanes(on, new Set(old.map(({ incarnation }) => incarnation)))
  const { lastIncarnation: incarnation, generation, timestamps: closed } = store
  await tables.incarnations.insert(transaction, { ...own, incarnation, isEnded: false })
  for (let lane = 0; lane < lanes; lane += 1) {
    const state = { number: 0n, generation, isEnded: false, committed: 0, closed, folded: false }
    await tables.lanes.insert(transaction, { incarnation, lane, ...state })
  }
  return incarnation
}

/** @returns undefined if the process has ended. */
export async function beginThread(on: Running, parent: number): Promise<number | undefined> {
  const { tables, transaction } = on
  const isParent = (row: { readonly incarnation: number; readonly isEnded: boolean }): boolean =>
    row.incarnation === parent && !row.isEnded
  const found = [...tables.incarnations.scan(transaction)].find(({ row }) => isParent(row))
  if (found === undefined) return undefined
  const [store] = await update(
    on,
    tables.store,
    () => true,
    row => ({ ...row, lastIncarnation: row.lastIncarnation + 1 }),
  )
  const { lastIncarnation: incarnation } = must(store, "the store has a row")
  await on.between()
  const { node, process } = found.row
  await tables.incarnations.insert(transaction, { node, process, incarnation, isEnded: false, parent })
  return incarnation
}

/** The lane has ended, and its timestamp is not in the store's row yet. */
const isOver = ({ isEnded, folded }: LaneRow): boolean => isEnded && !folded

async function endLanes(on: Running, incarnations: ReadonlySet<number>): Promise<void> {
  await update(
    on,
    on.tables.lanes,
    row => incarnations.has(row.incarnation),
    row => ({ ...row, isEnded: true }),
  )
}

export async function halt(on: Running, ...[note, above, list]: Parameters<Session["halt"]>): Promise<boolean> {
  const { tables } = on
  const stores = await update(
    on,
    tables.store,
    row => row.lastIncarnation === list.highest && row.reconciliations === list.reconciliations,
    row => ({
      ...row,
      halt: row.halt ?? note,
      halts: row.halts + 1,
      lastIncarnation: Math.max(row.lastIncarnation, above),
    }),
  )
  if (stores.length === 0) return false
  await on.between()
  const old = await update(
    on,
    tables.incarnations,
    row => !row.isEnded,
    row => ({ ...row, isEnded: true }),
  )
  await on.between()
  await endLanes(on, new Set(old.map(({ incarnation }) => incarnation)))
  return true
}

export async function resume(on: Running, number: number): Promise<boolean> {
  const { tables } = on
  const [seen] = tables.store.scan(on.transaction)
  const hasSameLanes = (row: StoreRow): boolean => row.lastIncarnation === seen?.row.lastIncarnation
  const [store] = await update(
    on,
    tables.store,
    row => hasSameLanes(row) && row.halt !== undefined && row.halts === number,
    row => ({
      ...row,
      halt: undefined,
      reconciliations: row.reconciliations + 1,
      generation: row.generation + 1n,
    }),
  )
  if (store === undefined) return false
  await on.between()
  await update(
    on,
    tables.lanes,
    row => !row.isEnded,
    row => ({ ...row, generation: store.generation }),
  )
  return true
}

export async function end(on: Running, incarnation: number): Promise<void> {
  await update(
    on,
    on.tables.incarnations,
    row => row.incarnation === incarnation,
    row => ({ ...row, isEnded: true }),
  )
  await on.between()
  await endLanes(on, new Set([incarnation]))
}

export async function foldCounters(on: Running, rowsMax: number): Promise<number> {
  const { tables, transaction } = on
  const ended = new Set(
    [...tables.incarnations.scan(transaction)].filter(({ row }) => row.isEnded).map(({ row }) => row.incarnation),
  )
  const hasBucket = ({ bucketId }: CounterRow): boolean =>
    tables.rows.find(transaction, rowName({ family: "buckets", key: bucketRowKey(bucketId) })) !== undefined
  const gone: CounterRow[] = []
  for (const found of [...tables.counters.scan(transaction)]) {
    if (gone.length === rowsMax) break
    if (!ended.has(found.row.lane.incarnation)) continue
    const version = await tables.counters.lock(transaction, found, "exclusive", () => true)
    if (version === undefined) continue
    tables.counters.remove(transaction, version)
    gone.push(version.row)
  }
  await on.between()
  for (const row of gone.filter(hasBucket)) {
    const { bucketId, counters } = row
    await tables.counters.insertOrReplace(transaction, { bucketId, lane: FOLDED, counters }, before => ({
      ...before,
      counters: sumOf(before.counters, counters),
    }))
  }
  for (const found of [...tables.counters.scan(transaction)]) {
    if (found.row.lane.incarnation !== FOLDED.incarnation || hasBucket(found.row)) continue
    const version = await tables.counters.lock(transaction, found, "exclusive", () => true)
    if (version) tables.counters.remove(transaction, version)
  }
  return gone.length
}

const FOLDED: LaneId = { incarnation: 0, lane: 0 }

export async function incarnations({ tables, transaction }: Running): Promise<IncarnationList> {
  const rows = [...tables.incarnations.scan(transaction)].map(({ row }) => row)
  const lanes = [...tables.lanes.scan(transaction)].map(({ row }) => row)
  const numbersOf = (incarnation: number) =>
    lanes.filter(lane => lane.incarnation === incarnation).map(lane => lane.number)
  const hasEnded = new Set(rows.filter(({ isEnded }) => isEnded).map(({ incarnation }) => incarnation))
  const live = rows.filter(({ isEnded, parent }) => !isEnded && !(parent !== undefined && hasEnded.has(parent)))
  const { lastIncarnation: highest, halt, halts, reconciliations } = storeRow(tables, transaction)
  return {
    live: live.map(({ isEnded: _, ...row }) => ({ ...row, numbers: numbersOf(row.incarnation) })),
    highest,
    reconciliations,
    halt: halt && { note: halt, number: halts },
  }
}
