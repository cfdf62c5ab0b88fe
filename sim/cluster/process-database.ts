/**
 * The database as one simulated process reaches it: over a path of its own, which may be refused, or hold back requests
 * or answers.
 *
 * Promises  Requests that were held back are sent when the path is open again, also if the process has ended meanwhile:
 *           they were on their way. Answers pass the gate of the process.
 */
import {
  ConnectionLost,
  type CommitRequest,
  type Database,
  type Fetched,
  type FetchRequest,
  type LaneId,
  type Session,
} from "@hayloft/engine/sql/database.js"
import type { StoreId } from "@hayloft/base/ids.js"
import type { SimulatedDatabase } from "@hayloft/engine/sql/simulated/simulated-database.js"
import type { Gate } from "./gate.js"

type SimulatedSession = Awaited<ReturnType<SimulatedDatabase["connect"]>>

/** The way between a machine and the database; it outlives processes. */
export class DatabasePath {
  /** New connections are refused. */
  isRefused = false
  private readonly held = { requests: false, answers: false }
  private waiting: (() => void)[] = []

  hold(what: "requests" | "answers"): void {
    this.held[what] = true
  }

  open(): void {
    this.isRefused = false
    this.held.requests = this.held.answers = false
    const waiting = this.waiting
    this.waiting = []
    for (const wake of waiting) wake()
  }

  /** Resolves when such messages arrive. */
  async travel(what: "requests" | "answers"): Promise<void> {
    while (this.held[what]) await new Promise<void>(resolve => this.waiting.push(resolve))
  }
}

export class ProcessDatabase implements Database {
  private readonly sessions = new Set<SimulatedSession>()

  constructor(
    private readonly database: SimulatedDatabase,
    private readonly path: DatabasePath,
    private readonly gate: Gate,
  ) {}

  /** Describes what the process has not closed. */
  get left(): string | undefined {
    const open = [...this.sessions].filter(({ isOpen }) => isOpen).length
    return open === 0 ? undefined : `${open} sessions of the database are open`
  }

  /** Ends all connections; statements under way go on. */
  cut(): void {
    for (const session of this.sessions) if (session.isOpen) session.cut()
    this.sessions.clear()
  }

  migrate(): Promise<void> {
    return this.gate.pass(this.database.migrate())
  }

  connect(): Promise<Session> {
    return this.gate.pass(this.connected())
  }

  private async connected(): Promise<Session> {
    if (this.path.isRefused) throw new ConnectionLost("the connection is refused")
    await this.path.travel("requests")
    const session = await this.database.connect()
    await this.path.travel("answers")
    if (this.gate.hasEnded) session.cut()
    for (const each of this.sessions) if (!each.isOpen) this.sessions.delete(each)
    this.sessions.add(session)
    return new ProcessSession(session, this.path, this.gate)
  }
}

class ProcessSession implements Session {
  constructor(
    private readonly session: SimulatedSession,
    private readonly path: DatabasePath,
    private readonly gate: Gate,
  ) {}

  get isOpen(): boolean {
    return this.session.isOpen
  }

  private exchange<T>(send: () => Promise<T>): Promise<T> {
    return this.gate.pass(this.travelled(send))
  }

  private async travelled<T>(send: () => Promise<T>): Promise<T> {
    await this.path.travel("requests")
    try {
      return await send()
    } finally {
      // The end of a connection is noticed on this side.
      if (this.session.isOpen) await this.path.travel("answers")
    }
  }

  storeId() {
    return this.exchange(() => this.session.storeId())
  }

  claim(storeId: StoreId) {
    return this.exchange(() => this.session.claim(storeId))
  }

  fetch(request: FetchRequest) {
    return this.exchange(() => this.session.fetch(request))
  }

  snapshot<T>(work: (fetch: (request: FetchRequest) => Promise<Fetched>) => Promise<T>): Promise<T> {
    return this.session.snapshot(fetch => work(request => this.exchange(() => fetch(request))))
  }

  makeChanges(request: CommitRequest) {
    return this.exchange(() => this.session.makeChanges(request))
  }

  resolve(lane: LaneId) {
    return this.exchange(() => this.session.resolve(lane))
  }

  begin(...request: Parameters<Session["begin"]>) {
    return this.exchange(() => this.session.begin(...request))
  }

  beginThread(parent: number) {
    return this.exchange(() => this.session.beginThread(parent))
  }

  closeTo(us: number) {
    return this.exchange(() => this.session.closeTo(us))
  }

  skipTimestamps(upToUs: number) {
    return this.exchange(() => this.session.skipTimestamps(upToUs))
  }

  skipIncarnations(upTo: number) {
    return this.exchange(() => this.session.skipIncarnations(upTo))
  }

  end(incarnation: number) {
    return this.exchange(() => this.session.end(incarnation))
  }

  incarnations() {
    return this.exchange(() => this.session.incarnations())
  }

  foldCounters(rowsMax: number) {
    return this.exchange(() => this.session.foldCounters(rowsMax))
  }

  halt(...request: Parameters<Session["halt"]>) {
    return this.exchange(() => this.session.halt(...request))
  }

  resume(halt: number) {
    return this.exchange(() => this.session.resume(halt))
  }

  clockMs() {
    return this.exchange(async () => this.session.clockMs())
  }

  health() {
    return this.exchange(() => this.session.health())
  }

  close(): Promise<void> {
    return this.exchange(() => this.session.close())
  }
}
