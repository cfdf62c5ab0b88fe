/**
 * SQL engine: metadata in a transactional database that other processes use at the same time.
 *
 * Each start is an incarnation with a few lanes. A command goes to the lane of its first row, so that the commands of
 * one object keep their order after an unknown outcome. Queries go to readers.
 *
 * Promises  See `metadata/contract.ts`. A process whose incarnation has ended commits nothing more.
 * Limits    SQL_LIMITS.
 */
import { assert } from "../base/assert.js"
import { fail } from "../base/failures.js"
import type { Family } from "../base/families.js"
import { parseIncarnation, parsePosition, type Incarnation, type Position, type RowKey } from "../base/ids.js"
import { Lent, type LentSoon } from "../base/lent.js"
import type { Soon } from "../base/soon.js"
import { equalBytes } from "../base/bytes.js"
import { decisionIdOf, u64TextOf } from "../format/row-key.js"
import {
  query,
  type Command,
  type Incarnations,
  type Metadata,
  type MetadataRow,
  type Query,
} from "../metadata/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Log } from "../seams/telemetry/contract.js"
import type { Database, Session } from "./database.js"
import { Lane, type BatchTime, type LaneHost } from "./lane.js"
import { SQL_LIMITS } from "./limits.js"
import { Reader } from "./reader.js"
import { laneKeyOf } from "./stored-key.js"

interface SqlMetadataSettings {
  readonly clock: Clock
  readonly log: Log
  readonly database: Database
  /** Identifies the node: a new incarnation ends the earlier ones of the same node. */
  readonly node: string
}

/** Positions of one incarnation: those of a later one are higher. */
const POSITIONS = 2 ** 34

/** The payload with the row that it was read with. */
const payloadOfRow = query("PayloadOfRow", (view, family: Family, key: RowKey) => view.get(family, key))

/** Incarnations as last read from the database. One that it does not know is not over. */
class KnownIncarnations implements Incarnations {
  private live = new Set<number>()
  private highest = 0

  constructor(readonly own: Incarnation) {}

  learn({ live, highest }: Awaited<ReturnType<Session["incarnations"]>>): void {
    this.live = new Set(live)
    this.highest = highest
  }

  isOver(incarnation: Incarnation): boolean {
    return incarnation <= this.highest && !this.live.has(incarnation) && incarnation !== this.own
  }
}

export class SqlMetadata implements Metadata {
  private readonly stopping = new AbortController()
  private readonly lanes: readonly Lane[]
  private readonly readers: readonly Reader[]
  private nextReader = 0
  private positionNow: number
  /** Positions of batches that are neither committed nor certain not to be. */
  private readonly inFlight = new Set<number>()
  private generationNow: bigint | undefined
  private endedBecause: "ended" | "rolledBack" | undefined

  private constructor(
    private readonly settings: SqlMetadataSettings,
    private readonly known: KnownIncarnations,
  ) {
    const { clock, log, database } = settings
    const { own } = known
    this.positionNow = own * POSITIONS
    const host: LaneHost = {
      ...{ clock, log, database, incarnation: own, signal: this.stopping.signal },
      beginBatch: version => this.beginBatch(version),
      onGeneration: generation => this.onGeneration(generation),
      onEnded: reason => this.onEnded(reason),
    }
    this.lanes = Array.from({ length: SQL_LIMITS.lanes }, (_, lane) => new Lane(host, lane))
    const readerHost = {
      ...{ clock, database, incarnations: known, signal: this.stopping.signal },
      lane: { incarnation: own, lane: 0 },
      onState: (state: Parameters<LaneStateSeen>[0]) => this.onState(state),
      position: () => this.position,
    }
    this.readers = Array.from({ length: SQL_LIMITS.readers }, () => new Reader(readerHost))
  }

  /** Begins a new incarnation of the node. Throws `ConnectionLost`. */
  static async open(settings: SqlMetadataSettings): Promise<SqlMetadata> {
    const session = await settings.database.connect()
    try {
      const own = parseIncarnation(await session.begin(settings.node, SQL_LIMITS.lanes))
      const known = new KnownIncarnations(own)
      known.learn(await session.incarnations())
      return new SqlMetadata(settings, known)
    } finally {
      await session.close()
    }
  }

  get incarnations(): Incarnations {
    return this.known
  }

  /** Below the positions of all batches that are under way. */
  get position(): Position {
    return parsePosition(Math.min(this.positionNow, ...[...this.inFlight].map(position => position - 1)))
  }

  /** Of buckets and identities: increases with each change of one, by any process. Undefined: nothing was read yet. */
  get generation(): bigint | undefined {
    return this.generationNow
  }

  run<Result>(command: Command<Result>): Promise<Result> {
    const refusal = this.refusal()
    if (refusal) return Promise.reject(refusal)
    return this.laneOf(command).run(command)
  }

  ask<Result>(query: Query<Result>): Soon<Result> {
    const refusal = this.refusal()
    if (refusal) return Promise.reject(refusal)
    this.nextReader = (this.nextReader + 1) % this.readers.length
    const [first, ...others] = [...this.readers.slice(this.nextReader), ...this.readers.slice(0, this.nextReader)]
    const reader = others.reduce((best, each) => (each.waiting < best.waiting ? each : best), first ?? this.noReader())
    return reader.ask(query)
  }

  private noReader(): never {
    throw fail("stopping")
  }

  /** The database is the only replica. */
  async askEveryReplica<Result>(_verifiedSinceMs: number, query: Query<Result>): Promise<readonly Result[]> {
    return [await this.ask(query)]
  }

  payload(family: Family, key: RowKey, row: MetadataRow): LentSoon {
    if (row.payload === undefined) return Promise.resolve(undefined)
    if (row.payload.bytes) return new Lent(row.payload.bytes)
    const now = Promise.resolve(this.ask(payloadOfRow(family, key)))
    return now.then(found => (found && equalBytes(found.value, row.value) ? found.payload?.bytes : undefined))
  }

  /** Answers what is under way, and closes all connections. */
  async stop(): Promise<void> {
    const stopped = [...this.lanes, ...this.readers].map(each => each.stop())
    this.stopping.abort()
    await Promise.all(stopped)
  }

  /** All commands of one object use one lane. */
  private laneOf({ name, touches }: Command<unknown>): Lane {
    const [first] = touches
    const text = first === undefined ? name : laneKeyOf(...first)
    let hash = 0
    for (let i = 0; i < text.length; i += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) >>> 0
    return this.lanes[hash % this.lanes.length] ?? this.noReader()
  }

  private refusal() {
    if (this.endedBecause === undefined) return undefined
    return fail("stopping", { message: `this node's metadata incarnation is over (${this.endedBecause})` })
  }

  private beginBatch(version: bigint): BatchTime {
    this.positionNow += 1
    assert(
      this.positionNow < (this.known.own + 1) * POSITIONS,
      "an incarnation has no more positions: restart the node",
    )
    const position = this.positionNow
    this.inFlight.add(position)
    const nowMs = this.settings.clock.wallMs()
    return {
      timeOf: command => ({
        ...{ nowMs, position: parsePosition(position), incarnations: this.known },
        id: `${decisionIdOf(parsePosition(position))}${u64TextOf(version)}${String.fromCharCode(command)}`,
      }),
      end: () => void this.inFlight.delete(position),
    }
  }

  private onState(state: Parameters<LaneStateSeen>[0]): void {
    if (state === undefined) this.onEnded("rolledBack")
    else this.onGeneration(state.generation)
  }

  private onGeneration(generation: bigint): void {
    this.generationNow = generation
  }

  private onEnded(reason: "ended" | "rolledBack"): void {
    if (this.endedBecause !== undefined) return
    this.endedBecause = reason
    this.settings.log.error("metadata_incarnation_over", { incarnation: this.known.own, reason })
  }
}

type LaneStateSeen = (state: { readonly generation: bigint } | undefined) => void
