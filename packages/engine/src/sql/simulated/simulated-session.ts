/**
 * A connection to the simulated database. It may end at any moment; the statement that it sent goes on without it, or
 * arrives later.
 */
import type { StoreId } from "@hayloft/base/ids.js"
import type { DatabaseHealth } from "../../format/nodes/database-health.js"
import {
  ConnectionLost,
  TryAgain,
  type CommitOutcome,
  type CommitRequest,
  type Fetched,
  type FetchRequest,
  type IncarnationList,
  type LaneId,
  type LaneState,
  type NodeProcess,
  type Session,
} from "../database.js"
import type { Dice, FaultPlan } from "./faults.js"
import {
  begin,
  beginThread,
  claim,
  closeTo,
  commit,
  end,
  fetch,
  foldCounters,
  halt,
  incarnations,
  resolve,
  resume,
  skipIncarnations,
  skipTimestamps,
  storeId,
} from "./statements.js"
import type { Running } from "./tables.js"
import { BackendEnded, type Transaction } from "./transactions.js"

export interface SimulatedStatement<T> {
  readonly name: string
  run(on: Running): Promise<T>
  /** It changes nothing, so that its commit cannot be reported with a warning. */
  readonly isRead: boolean
  /** The result, for the record of the run. */
  describe(result: T): string
  /** The transaction of several statements that it is part of. */
  readonly within?: Block | undefined
}

/** A transaction of several statements; its snapshot is taken by the first. */
interface Block {
  transaction: Transaction | undefined
}

/** The parts of its database that a connection uses. */
export interface Server {
  faults(): FaultPlan
  readonly dice: Dice
  pass(maxMs: number): Promise<void>
  run<T>(statement: SimulatedStatement<T>, arrivesWithinMs: number): Promise<T>
  end(block: Block): void
  /** The connection ended while a statement was under way. */
  onLost(): void
  clockMs(): number
  health(): DatabaseHealth
  /** A statement ended after its connection. */
  onUnanswered(): void
  onClosed(): void
}

/** The fate of a statement's connection. */
type Fate = "answered" | "lostBefore" | "late" | "lostDuring" | "lostAfter"
const FATES: readonly Exclude<Fate, "answered">[] = ["lostBefore", "late", "lostDuring", "lostAfter"]

const READS: ReadonlySet<string> = new Set(["fetch", "incarnations", "store id", "clock", "health"])

export class SimulatedSession implements Session {
  isOpen = true
  /** The statement under way fails. */
  private lose: () => void = () => undefined
  /** Statements run one after the other. */
  private last: Promise<unknown> = Promise.resolve()
  /** They end with the connection. */
  private readonly blocks = new Set<Block>()

  constructor(private readonly server: Server) {}

  /** Ends the connection, as a failure of the network does. */
  cut(): void {
    this.isOpen = false
    this.lose()
    for (const block of this.blocks) this.server.end(block)
    this.server.onClosed()
  }

  async close(): Promise<void> {
    await this.last
    this.isOpen = false
    this.server.onClosed()
  }

  private send<T>(
    name: string,
    run: (on: Running) => Promise<T>,
    describe: (result: T) => string = String,
    within?: Block,
  ): Promise<T> {
    const isRead = READS.has(name)
    const sent = this.last.then(() => this.exchange({ name, isRead, run, describe, within }))
    this.last = sent.catch(() => undefined)
    return sent
  }

  private exchange<T>(statement: SimulatedStatement<T>): Promise<T> {
    if (!this.isOpen) return Promise.reject(new ConnectionLost("the connection is closed"))
    return new Promise((resolve, reject) => {
      this.lose = () => {
        this.lose = () => undefined
        this.server.onLost()
        reject(new ConnectionLost("the connection was lost"))
      }
      const answer = (give: () => void): void => {
        if (!this.isOpen) return
        this.lose = () => undefined
        give()
      }
      this.deliver(statement).then(
        value => answer(() => resolve(value)),
        (error: unknown) => answer(() => reject(error)),
      )
    })
  }

  /** Sends the statement; its answer arrives only while the connection is open. */
  private async deliver<T>(statement: SimulatedStatement<T>): Promise<T> {
    const { server } = this
    const { requestMs, partMs, lateMs, answerMs } = server.faults()
    const fate = this.fate()
    if (fate === "lostBefore" || fate === "late" || fate === "lostDuring") {
      void server.pass(fate === "lostDuring" ? requestMs + 4 * partMs : requestMs).then(() => this.cut())
      if (fate === "lostBefore") return new Promise(() => undefined)
    }
    try {
      return await server.run(statement, fate === "late" ? lateMs : requestMs)
    } catch (error) {
      if (error instanceof BackendEnded) this.cut()
      throw error
    } finally {
      if (!this.isOpen) server.onUnanswered()
      await server.pass(answerMs)
      if (fate === "lostAfter") this.cut()
    }
  }

  private fate(): Fate {
    const faults = this.server.faults()
    return FATES.find(fate => this.server.dice.happens(faults[fate])) ?? "answered"
  }

  async snapshot<T>(work: (fetch: (request: FetchRequest) => Promise<Fetched>) => Promise<T>): Promise<T> {
    const block: Block = { transaction: undefined }
    this.blocks.add(block)
    try {
      return await work(request => this.fetch(request, block))
    } finally {
      this.blocks.delete(block)
      this.server.end(block)
    }
  }

  fetch(request: FetchRequest, within?: Block): Promise<Fetched> {
    const versionsOf = (rows: Fetched["rows"]): string => rows.map(row => String(row?.version ?? "-")).join(" ")
    return this.send(
      "fetch",
      on => fetch(on, request),
      ({ lane, rows, ranges }) => `${lane?.number}: ${versionsOf(rows)}; ${ranges.map(versionsOf).join("; ")}`,
      within,
    )
  }

  makeChanges(request: CommitRequest): Promise<CommitOutcome> {
    const { lane, from, version, replaced, deleted, added, expected } = request
    const rows = [replaced, deleted, added, expected].map(({ length }) => length).join("+")
    const name = `commit ${version} of ${rows} rows by ${lane.incarnation}/${lane.lane} from ${from.number}`
    return this.send(name, on => commit(on, request))
  }

  resolve(lane: LaneId): Promise<LaneState | undefined> {
    const name = `resolve ${lane.incarnation}/${lane.lane}`
    return this.send(
      name,
      on => resolve(on, lane),
      state => String(state?.number),
    )
  }

  storeId(): Promise<StoreId | undefined> {
    return this.send("store id", on => storeId(on))
  }

  claim(storeId: StoreId): Promise<StoreId> {
    return this.send(`claim ${storeId}`, on => claim(on, storeId))
  }

  begin(own: NodeProcess, lanes: number, highest: number, above = highest): Promise<number | undefined> {
    return this.send(`begin ${own.node} after ${highest}`, on => begin(on, { own, lanes, highest, above }))
  }

  beginThread(parent: number): Promise<number | undefined> {
    return this.send(`begin a thread of ${parent}`, on => beginThread(on, parent))
  }

  halt(...[note, above, list]: Parameters<Session["halt"]>): Promise<boolean> {
    return this.send("halt", on => halt(on, note, above, list))
  }

  resume(number: number): Promise<boolean> {
    return this.send(`resume ${number}`, on => resume(on, number))
  }

  async closeTo(us: number): Promise<number> {
    const closedUs = await this.send(`close to ${us}`, async on => (await closeTo(on, us)) ?? ("conflict" as const))
    if (closedUs === "conflict") throw new TryAgain("an incarnation has begun meanwhile")
    return closedUs
  }

  skipTimestamps(upToUs: number): Promise<void> {
    return this.send(`skip timestamps up to ${upToUs}`, on => skipTimestamps(on, upToUs))
  }

  skipIncarnations(upTo: number): Promise<void> {
    return this.send(`skip incarnations up to ${upTo}`, on => skipIncarnations(on, upTo))
  }

  end(incarnation: number): Promise<void> {
    return this.send(`end ${incarnation}`, on => end(on, incarnation))
  }

  incarnations(): Promise<IncarnationList> {
    return this.send(
      "incarnations",
      on => incarnations(on),
      ({ live }) => live.map(({ incarnation }) => incarnation).join(" "),
    )
  }

  foldCounters(rowsMax: number): Promise<number> {
    return this.send(`fold ${rowsMax} counters`, on => foldCounters(on, rowsMax))
  }

  clockMs(): Promise<number> {
    return this.send("clock", async () => this.server.clockMs())
  }

  health(): Promise<DatabaseHealth> {
    return this.send(
      "health",
      async () => this.server.health(),
      ({ connectionsLeft }) => `${connectionsLeft} connections are left`,
    )
  }
}
