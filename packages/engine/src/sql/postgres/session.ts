/**
 * A session with PostgreSQL: one connection, whose statements are prepared once and whose values are binary both ways.
 *
 * Promises  A commit that the server reports with a warning throws `OutcomeUnknown`: "canceling wait for synchronous
 *           replication" means that a failover may lose it. No statement is cancelled.
 */
import { Client, DatabaseError, type ClientConfig, type CustomTypesConfig } from "pg"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { parseStoreId, rowKeyOf, type RowKey, type StoreId } from "@hayloft/base/ids.js"
import type { DatabaseHealth } from "../../format/nodes/database-health.js"
import { NO_COUNTS, type Counters } from "../../format/records.js"
import type { Usage } from "../../format/objects/usage.js"
import { ConnectionLost, OutcomeUnknown, TryAgain } from "../database.js"
import type {
  CommitOutcome,
  CommitRequest,
  Fetched,
  FetchRequest,
  IncarnationList,
  LaneId,
  LaneState,
  NodeProcess,
  Session,
  StoredFamily,
  StoredRow,
  Timestamps,
} from "../database.js"
import { readBinaryRows } from "./binary-rows.js"
import { bigintBytes, smallintBytes } from "./binary.js"
import { commitValues } from "./commit-parameters.js"
import { FETCHED, fetchValues } from "./fetch-parameters.js"
import { readHealth } from "./health.js"
import { keyOf } from "./row-keys.js"
import { CONFLICT_STATE, type SqlStatement, type Statements } from "./statements.js"
import { parseWire, type ConnectionProtection } from "./wire.js"

/** Statements that fail with these did nothing, and may succeed if they are sent again. 57014: a timeout of the server. */
const TRY_AGAIN = new Set(["40001", "40P01", "55P03", "57014"])
const DISK_FULL = "53100"
/** For each statement that reads the health of the server: it keeps other statements of the session waiting. */
const HEALTH_STATEMENT_MS_MAX = 1_000
/**
 * The server ends the session, or it is of no use any more: class 08 connection, 57P.. administrator, crash, start or
 * idle timeout, 25P03 timeout in a transaction, 25006 read-only since a failover.
 */
const SESSION_OVER = /^(08...|57P..|25P03|25006)$/

/**
 * Every statement finds rows by their keys, and its plan is made once. Left alone, the planner makes a plan for each
 * execution, since the lengths of arrays seem to matter, which costs more than most executions; and while a table is
 * small it prefers to read all of it. Behind a pooler in transaction mode these settings hold for some connections.
 */
export const PLANNER_SETTINGS = `SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off`

type Cell = Buffer | null
type Row = readonly Cell[]

/** Values stay bytes: the engine decodes them. */
const RAW_TYPES: CustomTypesConfig = { getTypeParser: () => (bytes: unknown) => bytes }

const TEXT_TYPES: CustomTypesConfig = { getTypeParser: () => (text: unknown) => String(text) }

const present = (cell: Cell | undefined): Buffer => must(cell ?? undefined, "the column has a value")
const bigintOf = (cell: Cell | undefined): bigint => present(cell).readBigInt64BE()
const numberOf = (cell: Cell | undefined): number => Number(bigintOf(cell))
const flagOf = (cell: Cell | undefined): boolean => present(cell)[0] === 1

function laneStateOf([number, generation, ended]: Row): LaneState {
  return { number: bigintOf(number), generation: bigintOf(generation), isEnded: flagOf(ended) }
}

export class PostgresSession implements Session {
  private hasWarning = false
  private isOver = false
  /** Statements on the server's health that it has refused: they are not sent again. */
  private readonly refused = new Set<string>()

  private constructor(
    private readonly client: Client,
    private readonly statements: Statements,
  ) {
    client.on("notice", ({ severity }) => (this.hasWarning ||= severity === "WARNING"))
    client.on("error", () => (this.isOver = true))
    client.on("end", () => (this.isOver = true))
  }

  /** Throws `ConnectionLost`. */
  static async open(config: ClientConfig, statements: Statements): Promise<PostgresSession> {
    const client = new Client(config)
    readBinaryRows(client)
    const session = new PostgresSession(client, statements)
    try {
      await client.connect()
      // A product without these settings plans in its own way.
      await session.script(PLANNER_SETTINGS).catch(error => {
        if (!(error instanceof DatabaseError)) throw error
      })
    } catch (error) {
      throw new ConnectionLost(String(error), { cause: error })
    }
    return session
  }

  get isOpen(): boolean {
    return !this.isOver
  }

  get protection(): ConnectionProtection {
    return parseWire(this.client).protection
  }

  /** The number of the server's process, as announced when the session began. */
  get announcedProcess(): number | undefined {
    return parseWire(this.client).announcedProcess
  }

  /** Ends the connection as a cut network does: the server goes on with what it has received. */
  cut(): void {
    this.isOver = true
    parseWire(this.client).destroy()
  }

  async close(): Promise<void> {
    this.isOver = true
    await this.client.end().catch(() => undefined)
  }

  /** Statements without parameters; returns the rows of the last one, as text. Throws what the server reports. */
  async script(text: string): Promise<readonly (readonly string[])[]> {
    const query = { text, rowMode: "array", types: TEXT_TYPES } as const
    // The library returns a list for several statements.
    const results = [await this.client.query<string[]>(query)].flat()
    return results.at(-1)?.rows ?? []
  }

  /** False for a standby, and for a server that is set to read-only. Throws `ConnectionLost`. */
  async acceptsWrites(): Promise<boolean> {
    try {
      const [[readOnly] = []] = await this.script("SHOW transaction_read_only")
      return readOnly === "off"
    } catch (error) {
      throw this.failureOf(error)
    }
  }

  private async run({ name, text }: SqlStatement, values: readonly Buffer[]): Promise<readonly Row[]> {
    if (this.isOver) throw new ConnectionLost("the connection is closed")
    try {
      const query = { name, text, values: [...values], binary: true, rowMode: "array", types: RAW_TYPES } as const
      const { rows } = await this.client.query<Cell[]>(query)
      return rows
    } catch (error) {
      throw this.failureOf(error)
    }
  }

  /** Runs a statement that writes. Throws `OutcomeUnknown` if the server commits it with a warning. */
  private async change(statement: SqlStatement, values: readonly Buffer[]): Promise<readonly Row[]> {
    this.hasWarning = false
    const rows = await this.run(statement, values)
    if (this.hasWarning) throw new OutcomeUnknown("the database committed with a warning")
    return rows
  }

  private failureOf(error: unknown): unknown {
    const state = error instanceof DatabaseError ? error.code : undefined
    if (state !== undefined && TRY_AGAIN.has(state)) return new TryAgain(String(error), { cause: error })
    if (state === DISK_FULL) return fail("deviceFull", { message: "the database has no space left" }, error)
    if (state !== undefined && !SESSION_OVER.test(state)) return error
    // Also after a timeout: an answer that is still to come must not be taken for that of another statement.
    this.cut()
    return new ConnectionLost(String(error), { cause: error })
  }

  async fetch(request: FetchRequest): Promise<Fetched> {
    const { keys, ranges, counters } = request
    const { fetch, fetchWide } = this.statements
    const parameters = fetchValues(request)
    const found = await this.run(parameters.isWide ? fetchWide : fetch, parameters.values)
    let state: LaneState | undefined
    let timestamps: Timestamps | undefined
    const rows = new Array<StoredRow | undefined>(keys.length).fill(undefined)
    const ofRanges: StoredRow[][] = ranges.map(() => [])
    const sums: Counters[] = counters.map(() => NO_COUNTS)
    const usage = new Map<RowKey, Usage>()
    for (const row of found) {
      const at = numberOf(row[1]) - 1
      const kind = present(row[0]).readInt32BE()
      switch (kind) {
        case FETCHED.lane:
          state = { number: bigintOf(row[2]), generation: bigintOf(row[4]), isEnded: flagOf(row[8]) }
          if (row[5]) timestamps = { clockUs: numberOf(row[5]), latestUs: numberOf(row[6]) }
          break
        case FETCHED.row:
          rows[at] = storedRow(must(keys[at], "rows are of the keys").family, row)
          break
        case FETCHED.counters:
          sums[at] = {
            objects: numberOf(row[2]),
            versions: numberOf(row[4]),
            bytes: numberOf(row[5]),
            uploads: numberOf(row[6]),
          }
          break
        case FETCHED.usage: {
          const found = { bytes: numberOf(row[2]), objects: numberOf(row[4]), partBytes: numberOf(row[5]) }
          usage.set(rowKeyOf(present(row[3]).toString("latin1")), found)
          break
        }
        default: {
          const { range, at: place } = must(parameters.rangeOf(kind, at), "rows are of the ranges")
          ofRanges[place]?.push(storedRow(range.family, row))
        }
      }
    }
    return { lane: state, rows, ranges: ofRanges, counters: sums, usage, timestamps }
  }

  async snapshot<T>(work: (fetch: (request: FetchRequest) => Promise<Fetched>) => Promise<T>): Promise<T> {
    await this.control("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try {
      return await work(request => this.fetch(request))
    } finally {
      // Nothing was written: a connection that cannot end the transaction is not used again.
      await this.control("COMMIT").catch(() => this.cut())
    }
  }

  private async control(text: string): Promise<readonly (readonly string[])[]> {
    if (this.isOver) throw new ConnectionLost("the connection is closed")
    try {
      return await this.script(text)
    } catch (error) {
      throw this.failureOf(error)
    }
  }

  async makeChanges(request: CommitRequest): Promise<CommitOutcome> {
    try {
      await this.change(this.commitOf(request), commitValues(request))
    } catch (error) {
      if (error instanceof DatabaseError && error.code === CONFLICT_STATE) return "conflict"
      throw error
    }
    return "committed"
  }

  /** Raising the generation closes no lanes: decisions under another one get later timestamps anyway. */
  private commitOf({ raisesGeneration, closesLanes }: CommitRequest): SqlStatement {
    const { commit, commitAndRaise, commitAndClose } = this.statements
    return raisesGeneration ? commitAndRaise : closesLanes ? commitAndClose : commit
  }

  async resolve({ incarnation, lane }: LaneId): Promise<LaneState | undefined> {
    const [row] = await this.change(this.statements.resolve, [bigintBytes(BigInt(incarnation)), smallintBytes(lane)])
    return row && laneStateOf(row)
  }

  async storeId(): Promise<StoreId | undefined> {
    const [row] = await this.run(this.statements.storeId, [])
    return row && parseStoreId(hexOf(present(row[0])))
  }

  async claim(storeId: StoreId): Promise<StoreId> {
    const [row] = await this.change(this.statements.claim, [Buffer.from(storeId, "hex")])
    return parseStoreId(hexOf(present(row?.[0])))
  }

  async begin(
    { node, process }: NodeProcess,
    lanes: number,
    highest: number,
    above = highest,
  ): Promise<number | undefined> {
    const [row] = await this.change(this.statements.begin, [
      Buffer.from(node),
      smallintBytes(lanes),
      bigintBytes(BigInt(highest)),
      Buffer.from(process),
      bigintBytes(BigInt(above)),
    ])
    return row && numberOf(row[0])
  }

  async beginThread(parent: number): Promise<number | undefined> {
    const [row] = await this.change(this.statements.beginThread, [bigintBytes(BigInt(parent))])
    return row && numberOf(row[0])
  }

  async halt(...[note, above, list]: Parameters<Session["halt"]>): Promise<boolean> {
    const rows = await this.change(this.statements.halt, [
      Buffer.from(note),
      ...[above, list.highest, list.reconciliations].map(number => bigintBytes(BigInt(number))),
    ])
    return rows.length > 0
  }

  async resume(halt: number): Promise<boolean> {
    return (await this.change(this.statements.resume, [bigintBytes(BigInt(halt))])).length > 0
  }

  async closeTo(us: number): Promise<number> {
    const [row] = await this.change(this.statements.closeTo, [bigintBytes(BigInt(us))])
    if (row === undefined) throw new TryAgain("an incarnation has begun meanwhile")
    return numberOf(row[0])
  }

  async skipTimestamps(upToUs: number): Promise<void> {
    await this.change(this.statements.skipTimestamps, [bigintBytes(BigInt(upToUs))])
  }

  async skipIncarnations(upTo: number): Promise<void> {
    await this.change(this.statements.skipIncarnations, [bigintBytes(BigInt(upTo))])
  }

  async end(incarnation: number): Promise<void> {
    await this.change(this.statements.end, [bigintBytes(BigInt(incarnation))])
  }

  async incarnations(): Promise<IncarnationList> {
    const live = new Map<number, NodeProcess & { numbers: bigint[]; parent: number | undefined }>()
    let store: Omit<IncarnationList, "live"> = { highest: 0, halt: undefined, reconciliations: 0 }
    for (const [incarnation, node, text, number, lane, of] of await this.run(this.statements.incarnations, [])) {
      if (node) {
        const known = live.get(numberOf(incarnation))
        const parent = of ? numberOf(of) : undefined
        const found = known ?? { node: node.toString(), process: present(text).toString(), numbers: [], parent }
        if (number) found.numbers[numberOf(lane)] = bigintOf(number)
        live.set(numberOf(incarnation), found)
      } else {
        const halt = text ? { note: text, number: numberOf(number) } : undefined
        store = { highest: numberOf(incarnation), halt, reconciliations: numberOf(lane) }
      }
    }
    return { ...store, live: Array.from(live, ([incarnation, found]) => ({ incarnation, ...found })) }
  }

  async foldCounters(rowsMax: number): Promise<number> {
    const [row] = await this.change(this.statements.foldCounters, [bigintBytes(BigInt(rowsMax))])
    return numberOf(row?.[0])
  }

  async clockMs(): Promise<number> {
    const [[seconds] = []] = await this.control("SELECT extract(epoch FROM clock_timestamp())::text")
    return 1_000 * Number(seconds)
  }

  health(): Promise<DatabaseHealth> {
    return readHealth(statement => this.askServer(statement), this.statements.tables.text)
  }

  /** The rows of a statement on the server's health; undefined if it refuses it, or takes too long. */
  private async askServer(statement: string): Promise<readonly (readonly string[])[] | undefined> {
    if (this.refused.has(statement)) return undefined
    try {
      // Both are one transaction, which ends with them.
      return await this.control(`SET LOCAL statement_timeout = ${HEALTH_STATEMENT_MS_MAX}; ${statement}`)
    } catch (error) {
      if (error instanceof ConnectionLost) throw error
      if (!(error instanceof TryAgain)) this.refused.add(statement)
      return undefined
    }
  }
}

function storedRow(family: StoredFamily, row: Row): StoredRow {
  const [, , bucket, key, version, value, head, payload, hasPayload] = row
  return {
    key: keyOf(family, present(bucket), present(key)),
    version: bigintOf(version),
    value: value ?? undefined,
    head: head ?? undefined,
    payload: payload ?? (flagOf(hasPayload) ? "elsewhere" : undefined),
  }
}
