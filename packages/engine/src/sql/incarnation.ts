/**
 * One incarnation of this process in the database: its lanes, its readers, and what it knows of other incarnations.
 *
 * Promises  Once it has ended, nothing of it is committed any more, and further work is refused.
 * Limits    SQL_LIMITS.
 */
import { assert, must } from "@hayloft/base/assert.js"
import type { Failure } from "@hayloft/base/failures.js"
import { parseIncarnation, parsePosition, type Incarnation, type Position, type RowKey } from "@hayloft/base/ids.js"
import { decodeHaltNote } from "../format/nodes/halt-note.js"
import type { Soon } from "@hayloft/base/soon.js"
import { decisionIdOf, u64TextOf } from "../format/row-key.js"
import {
  command,
  POSITIONS_OF_INCARNATION,
  type Command,
  type DecisionClock,
  type Halt,
  type Incarnations,
  type LiveIncarnations,
  type Query,
  type SeenIncarnations,
} from "../metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { SqlConnection } from "./connection.js"
import type { Database, Fetched, IncarnationList, LaneState } from "./database.js"
import { endedFailure, haltedFailure, type EndReason } from "./end-reason.js"
import type { KnownRows } from "./known-rows.js"
import { Lane, type BatchTime, type LaneHost } from "./lane.js"
import { SQL_LIMITS } from "./limits.js"
import { Reader } from "./reader.js"
import type { Wants } from "./rows-core.js"
import { laneKeyOf } from "./stored-key.js"

export interface SqlSeams {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly database: Database
}

/** Incarnations as last read from the database. One that it does not know is not over. */
export class KnownIncarnations implements Incarnations {
  private liveNumbers: ReadonlySet<number> = new Set()
  private list: IncarnationList = { live: [], highest: 0, halt: undefined, reconciliations: 0 }
  private haltNow: Halt | undefined
  /** The live incarnations that were read last, all at one moment. Each reading makes another object. */
  live: LiveIncarnations = { highest: parseIncarnation(0), nodes: [] }

  constructor(readonly own: Incarnation) {}

  learn(list: IncarnationList): void {
    this.liveNumbers = new Set(list.live.map(({ incarnation }) => incarnation))
    this.list = list
    const { number, note } = list.halt ?? {}
    if (number !== this.haltNow?.number) {
      this.haltNow = number === undefined || note === undefined ? undefined : { number, ...decodeHaltNote(note) }
    }
    const processes = list.live.filter(({ parent }) => parent === undefined)
    this.live = {
      highest: parseIncarnation(list.highest),
      nodes: processes.map(({ node, incarnation }) => ({ node, incarnation: parseIncarnation(incarnation) })),
    }
  }

  /** The same for the threads of this process. */
  get seen(): SeenIncarnations {
    return {
      next: parseIncarnation(this.list.highest + 1),
      live: [this.own, ...[...this.liveNumbers].filter(each => each !== this.own).map(parseIncarnation)],
      ended: this.ended,
      reconciliations: this.reconciliations,
      isHalted: this.halt !== undefined,
    }
  }

  get oldestLive(): Incarnation {
    return parseIncarnation(Math.min(this.own, ...this.liveNumbers))
  }

  get ended(): number {
    return this.list.highest - this.list.live.length
  }

  /** The store is halted: see `Session.halt`. */
  get halt(): Halt | undefined {
    return this.haltNow
  }

  get reconciliations(): number {
    return this.list.reconciliations
  }

  /** While the store is halted, none counts as over: the database may have lost that it was used. */
  isOver(incarnation: Incarnation): boolean {
    return this.halt === undefined && this.hasEnded(incarnation)
  }

  /** Returns true if the incarnation commits nothing any more. */
  hasEnded(incarnation: Incarnation): boolean {
    return incarnation <= this.list.highest && !this.liveNumbers.has(incarnation) && incarnation !== this.own
  }
}

/** It changes nothing. Once a lane has run it, whatever the lane was given before has an outcome. */
export const settle = command<[], void>({ name: "Settle", decide: () => ({ writes: [], result: undefined }) })

/** It reads and writes nothing but rows that nodes share to work together. */
const isOfCoordination = ({ touches }: Command<unknown>): boolean =>
  touches.length > 0 && touches.every(([family]) => family === "cluster")

export class SqlIncarnation {
  private readonly stopping = new AbortController()
  private readonly lanes: readonly Lane[]
  private readonly readers: readonly Reader[]
  private readonly connections: readonly SqlConnection[]
  private positionNow: number
  /** Positions of batches that are neither committed nor certain not to be. */
  private readonly inFlight = new Set<number>()
  private endedBecause: EndReason | undefined
  /** The greatest commit timestamp that a batch of this process has got. */
  private lastUs = 0

  constructor(
    private readonly seams: SqlSeams & { readonly decisionClock: DecisionClock },
    readonly known: KnownIncarnations,
    private readonly rows: KnownRows,
    private readonly onEnded: (reason: EndReason) => void,
  ) {
    const { clock, log } = seams
    const { own } = known
    const { signal } = this.stopping
    this.positionNow = own * POSITIONS_OF_INCARNATION
    const connect = () => new SqlConnection(seams, signal)
    this.connections = Array.from({ length: SQL_LIMITS.lanes + SQL_LIMITS.readers }, connect)
    const connectionAt = (at: number) => must(this.connections[at], "each lane and reader has a connection")
    const host: LaneHost = {
      clock,
      log,
      incarnation: own,
      beginBatch: (version, commands) => this.beginBatch(version, commands),
      onGeneration: generation => this.noteGeneration(generation),
      onEnded: reason => this.end(reason),
    }
    this.lanes = Array.from({ length: SQL_LIMITS.lanes }, (_, lane) => new Lane(host, lane, connectionAt(lane)))
    const readerHost = {
      clock,
      incarnations: known,
      lane: () => this.lanes.reduce((latest, lane) => (lane.committedMs > latest.committedMs ? lane : latest)).state,
      onState: (state: LaneState | undefined, before: bigint) => this.onState(state, before),
      onRows: (state: LaneState, wants: Wants, found: Fetched) => this.keepRows(state, wants, found),
      markOf: (generation: bigint) => this.markOf(generation),
      refusal: () => this.whyNotRead,
      position: () => this.position,
    }
    this.readers = Array.from(
      { length: SQL_LIMITS.readers },
      (_, at) => new Reader(readerHost, connectionAt(SQL_LIMITS.lanes + at)),
    )
  }

  /** Below the positions of all batches that are under way. */
  get position(): Position {
    return parsePosition(Math.min(this.positionNow, ...[...this.inFlight].map(position => position - 1)))
  }

  get commandsWaiting(): number {
    return this.lanes.reduce((sum, { waiting }) => sum + waiting, 0)
  }

  /** Returns why a connection does not work; undefined: all of them do. */
  get trouble(): string | undefined {
    return this.connections.map(connection => connection.trouble).find(trouble => trouble !== undefined)
  }

  /** `passesHalt`: also while the store is halted. Rows of coordination do anyway. */
  run<Result>(command: Command<Result>, passesHalt = false): Promise<Result> {
    const { halt } = this.known
    const isRefused = halt !== undefined && !passesHalt && !isOfCoordination(command)
    const refusal = this.refusal ?? (isRefused ? haltedFailure(halt) : undefined)
    return refusal ? Promise.reject(refusal) : this.laneOf(command).run(command)
  }

  ask<Result>(query: Query<Result>, passesHalt = false): Promise<Result> {
    return this.refusal ? Promise.reject(this.refusal) : this.reader().ask(query, passesHalt)
  }

  /** The first that is quick, since one statement for many queries costs less; else the one with the shortest queue. */
  private reader(): Reader {
    const quick = this.readers.find(({ isQuick }) => isQuick)
    return quick ?? this.readers.reduce((best, each) => (each.waiting < best.waiting ? each : best))
  }

  /** From known rows, if they suffice and the store is not halted. */
  askKnown<Result>(query: Query<Result>): Soon<Result> {
    const { known } = this
    const found = this.refusal || known.halt !== undefined ? undefined : this.rows.answer(query, known, this.position)
    return found === undefined ? this.ask(query) : found.result
  }

  /** Resolves once known rows are as new as this call. */
  confirm(): Promise<void> {
    return this.refusal ? Promise.reject(this.refusal) : this.reader().confirm()
  }

  /**
   * Resolves once everything that was given to this incarnation before has taken effect, or never will: also commands that were
   * answered with `indeterminate`. Throws `databaseUnreachable`, `tooManyInFlight`, `stopping`.
   */
  async settled(): Promise<void> {
    if (this.refusal) throw this.refusal
    for (const lane of this.lanes) await lane.run(settle())
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
    const text: RowKey | string = first === undefined ? name : laneKeyOf(...first)
    let hash = 0
    for (let i = 0; i < text.length; i += 1) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) >>> 0
    return must(this.lanes[hash % this.lanes.length], "there are lanes")
  }

  private get refusal(): Failure | undefined {
    return this.endedBecause && endedFailure(this.endedBecause)
  }

  /** Returns why only rows of coordination are read; also those that came with the answer that has shown a rollback. */
  private get whyNotRead(): Failure | undefined {
    const { halt } = this.known
    if (this.endedBecause === "rolledBack") return endedFailure("rolledBack")
    return halt && haltedFailure(halt)
  }

  private beginBatch(version: bigint, commands: number): BatchTime {
    this.positionNow += 1
    assert(
      this.positionNow < (this.known.own + 1) * POSITIONS_OF_INCARNATION,
      "an incarnation has no more positions: restart the node",
    )
    const position = this.positionNow
    this.inFlight.add(position)
    const { nowMs } = this.seams.decisionClock
    let firstUs = 0
    return {
      get firstUs() {
        return firstUs
      },
      get lastUs() {
        return firstUs + commands - 1
      },
      onFetched: ({ clockUs, latestUs }) => {
        if (latestUs < firstUs) return
        firstUs = Math.max(clockUs, latestUs + 1, this.lastUs + 1)
        this.lastUs = firstUs + commands - 1
      },
      timeOf: command => ({
        nowMs,
        commitUs: firstUs + command,
        position: parsePosition(position),
        incarnations: this.known,
        id: `${decisionIdOf(parsePosition(position))}${u64TextOf(version)}${String.fromCharCode(command)}`,
      }),
      end: () => void this.inFlight.delete(position),
    }
  }

  /** Learns of other incarnations, and whether this one has ended. */
  learn(list: IncarnationList): void {
    const { own } = this.known
    this.known.learn(list)
    if (!list.live.some(({ incarnation }) => incarnation === own)) this.end("ended")
  }

  private onState(state: LaneState | undefined, before: bigint): void {
    if (state === undefined || state.number < before) this.end("rolledBack")
    else if (state.isEnded) this.end("ended")
    else this.noteGeneration(state.generation)
  }

  // Once the incarnation has ended, what still arrives may be of a time that the database has lost.

  private noteGeneration(generation: bigint): void {
    if (this.endedBecause === undefined) this.rows.note(generation)
  }

  private markOf(generation: bigint): object | undefined {
    return this.endedBecause === undefined ? this.rows.markOf(generation) : undefined
  }

  private keepRows({ generation }: LaneState, wants: Wants, found: Fetched): void {
    if (this.endedBecause === undefined) this.rows.keep(generation, wants, found)
  }

  /** The numbers that its lanes have reached, as acknowledged to them. */
  get numbers(): readonly number[] {
    return this.lanes.map(({ state }) => Number(state.number))
  }

  end(reason: EndReason): void {
    if (this.endedBecause !== undefined) return
    this.endedBecause = reason
    this.onEnded(reason)
  }
}
