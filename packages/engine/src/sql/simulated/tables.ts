/** The tables of the simulated database, as in `postgres/schema.ts`, and how its statements change their rows. */
import { FAMILIES } from "@hayloft/base/rows/families.js"
import type { BucketId, StoreId } from "@hayloft/base/ids.js"
import type { Counters } from "../../format/records.js"
import type { LaneId, LaneState, NewUsage, NodeProcess, StoredFamily, StoredKey } from "../database.js"
import { SimulatedTable } from "./table.js"
import type { Transaction, SimulatedTransactions } from "./transactions.js"

export interface StoreRow {
  readonly storeId: StoreId | undefined
  readonly generation: bigint
  readonly lastIncarnation: number
  readonly halt: Uint8Array | undefined
  readonly halts: number
  readonly reconciliations: number
  readonly timestamps: number
}

interface IncarnationRow extends NodeProcess {
  readonly incarnation: number
  readonly isEnded: boolean
  readonly parent?: number | undefined
}

export interface LaneRow extends LaneId, LaneState {
  readonly committed: number
  readonly closed: number
  readonly folded: boolean
}

export interface SimulatedRow extends StoredKey {
  readonly version: bigint
  readonly value: Uint8Array | undefined
  readonly head: Uint8Array | undefined
  readonly payload: Uint8Array | undefined
}

export type UsageRow = NewUsage

export interface CounterRow {
  readonly bucketId: BucketId
  readonly lane: LaneId
  readonly counters: Counters
}

export const number = (value: number): string => String(value).padStart(16, "0")
export const laneKey = ({ incarnation, lane }: LaneId): string => `${number(incarnation)} ${lane}`
export const familyKey = (family: StoredFamily): string => String(FAMILIES[family]).padStart(2, "0")
export const rowName = ({ family, key }: StoredKey): string => familyKey(family) + key

export class Tables {
  readonly store: SimulatedTable<StoreRow>
  readonly incarnations: SimulatedTable<IncarnationRow>
  readonly lanes: SimulatedTable<LaneRow>
  readonly rows: SimulatedTable<SimulatedRow>
  readonly counters: SimulatedTable<CounterRow>
  readonly usage: SimulatedTable<UsageRow>

  /** Tables with these rows; new ones have the store's row alone. */
  constructor(transactions: SimulatedTransactions, copy: TablesCopy = NEW) {
    this.store = new SimulatedTable<StoreRow>(transactions, () => "")
    this.incarnations = new SimulatedTable<IncarnationRow>(transactions, ({ incarnation }) => number(incarnation))
    this.lanes = new SimulatedTable<LaneRow>(transactions, laneKey)
    this.rows = new SimulatedTable<SimulatedRow>(transactions, rowName)
    this.counters = new SimulatedTable<CounterRow>(
      transactions,
      ({ bucketId, lane }) => `${number(bucketId)} ${laneKey(lane)}`,
    )
    this.usage = new SimulatedTable<UsageRow>(transactions, ({ key }) => key)
    const transaction = transactions.begin()
    for (const row of copy.store) this.store.load(transaction, row)
    for (const row of copy.incarnations) this.incarnations.load(transaction, row)
    for (const row of copy.lanes) this.lanes.load(transaction, row)
    for (const row of copy.rows) this.rows.load(transaction, row)
    for (const row of copy.counters) this.counters.load(transaction, row)
    for (const row of copy.usage) this.usage.load(transaction, row)
    transactions.end(transaction, "committed")
  }

  /** Everything that is committed. */
  copy(): TablesCopy {
    return {
      store: this.store.committed(),
      incarnations: this.incarnations.committed(),
      lanes: this.lanes.committed(),
      rows: this.rows.committed(),
      counters: this.counters.committed(),
      usage: this.usage.committed(),
    }
  }
}

/** The committed rows of one moment. */
export interface TablesCopy {
  readonly store: readonly StoreRow[]
  readonly incarnations: readonly IncarnationRow[]
  readonly lanes: readonly LaneRow[]
  readonly rows: readonly SimulatedRow[]
  readonly counters: readonly CounterRow[]
  readonly usage: readonly UsageRow[]
}

const NEW: TablesCopy = {
  store: [
    {
      storeId: undefined,
      generation: 1n,
      lastIncarnation: 0,
      halt: undefined,
      halts: 0,
      reconciliations: 0,
      timestamps: 0,
    },
  ],
  incarnations: [],
  lanes: [],
  rows: [],
  counters: [],
  usage: [],
}

/** A statement that is running. */
export interface Running {
  readonly tables: Tables
  readonly transaction: Transaction
  readonly clockUs: number
  /** Pauses between two parts of the statement, so that others may run. */
  between(): Promise<void>
  /** The rows in the order of a scan without an index: any order. */
  unordered<T>(rows: Iterable<T>): readonly T[]
}

/** UPDATE … WHERE … RETURNING: rows that match in the snapshot, and still match once they are locked. */
export async function update<Row>(
  on: Running,
  table: SimulatedTable<Row>,
  matches: (row: Row) => boolean,
  change: (row: Row) => Row,
): Promise<readonly Row[]> {
  const { transaction } = on
  const changed: Row[] = []
  for (const found of on.unordered(table.scan(transaction))) {
    if (!matches(found.row)) continue
    const version = await table.lock(transaction, found, "exclusive", matches)
    if (version === undefined) continue
    const row = change(version.row)
    table.replace(transaction, version, row)
    changed.push(row)
  }
  return changed
}
