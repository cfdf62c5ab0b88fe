/**
 * Servers with a disk each, and the network between them, for studies of quorums: disks are slow at times, servers vanish and
 * return, the network splits. The same for both designs.
 */
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { between, exponential, isDrawn } from "../draws.js"
import type { Events } from "../events.js"

export const SERVER_TIMES = {
  /** One way. */
  latencyMs: [0.2, 1],
  /** A durable write and a read, on average. */
  writeMs: 4,
  readMs: 2,
  /** Some of both take so much longer. */
  stragglers: 0.01,
  stragglerMs: [100, 500],
  /** A call that is not answered fails. */
  timeoutMs: 2_000,
  /** A server that does not answer is not called any more (`docs/design/studies/gossip.md`). */
  noticedMs: 3_000,
  /** A statement of the database, with the way there. */
  statementMs: 3,
} as const

export class Servers {
  private readonly down = new Set<number>()
  private readonly slow = new Set<number>()
  private sideOf: (server: number) => number = () => 0
  /** When reachability changed last. */
  private changedMs = -Infinity

  constructor(
    readonly events: Events,
    readonly random: Random,
    readonly count: number,
  ) {}

  /** Its disk keeps what it has. */
  vanish(server: number): void {
    this.down.add(server)
    this.changedMs = this.events.nowMs
  }

  comeBack(): void {
    this.down.clear()
    this.slow.clear()
    this.sideOf = () => 0
  }

  split(sideOf: (server: number) => number): void {
    this.sideOf = sideOf
    this.changedMs = this.events.nowMs
  }

  slowDown(server: number): void {
    this.slow.add(server)
  }

  isUp(server: number): boolean {
    return !this.down.has(server)
  }

  /** The database is beside server 0. */
  reachesDatabase(from: number): boolean {
    return this.isUp(from) && this.sideOf(from) === this.sideOf(0)
  }

  private reaches(from: number, to: number): boolean {
    return this.isUp(to) && this.sideOf(from) === this.sideOf(to)
  }

  /** Returns true if the caller still expects an answer. */
  isCallable(from: number, to: number): boolean {
    return this.reaches(from, to) || this.events.nowMs - this.changedMs < SERVER_TIMES.noticedMs
  }

  /** Calls a server, whose disk serves it; an answer that cannot come back is a failure too. */
  call<T>(
    from: number,
    to: number,
    kind: "write" | "read",
    serve: () => T,
    ended: (answer: T | undefined) => void,
  ): void {
    const startedMs = this.events.nowMs
    const fail = (): void => {
      this.events.after(startedMs + SERVER_TIMES.timeoutMs - this.events.nowMs, () => ended(undefined))
    }
    this.events.after(this.latencyMs() + this.diskMs(to, kind), () => {
      if (!this.reaches(from, to)) return fail()
      const answer = serve()
      this.events.after(this.latencyMs(), () => (this.reaches(to, from) ? ended(answer) : fail()))
    })
  }

  /** A statement of the database, which is one place; undefined: it was out of reach, and nothing has happened. */
  statement<T>(from: number, decide: () => T, ended: (answer: T | undefined) => void): void {
    if (!this.reachesDatabase(from)) return this.events.after(SERVER_TIMES.timeoutMs, () => ended(undefined))
    this.events.after(exponential(this.random, SERVER_TIMES.statementMs), () => {
      const answer = decide()
      this.events.after(this.latencyMs(), () => ended(answer))
    })
  }

  private latencyMs(): number {
    const [least, most] = SERVER_TIMES.latencyMs
    return between(this.random, least, most)
  }

  private diskMs(server: number, kind: "write" | "read"): number {
    const [least, most] = SERVER_TIMES.stragglerMs
    const isLate = this.slow.has(server) || isDrawn(this.random, SERVER_TIMES.stragglers)
    return exponential(this.random, SERVER_TIMES[`${kind}Ms`]) + (isLate ? between(this.random, least, most) : 0)
  }
}

/** How a write ended: `refused`: it certainly has no effect; `unknown`: it may have one, at any time from its start on. */
export type WriteEnd = "done" | "refused" | "unknown"

export interface ReadEnd {
  /** The write is undefined if the key does not exist. */
  readonly write: string | undefined
}

/** A store under study. A write replaces the value of its key. */
export interface StoreUnderStudy {
  write(by: number, key: number, write: string, ended: (end: WriteEnd) => void): void
  /** The same if the value is still this one (`If-Match`, `If-None-Match`); absent if the rule cannot decide that. */
  writeIf?(by: number, key: number, write: string, current: string | undefined, ended: (end: WriteEnd) => void): void
  /** The end is undefined if the key could not be read. */
  read(by: number, key: number, ended: (end: ReadEnd | undefined) => void): void
  /** By acknowledged write: how many arbitrary disks may be lost in the moment of the acknowledgement. */
  readonly survives: ReadonlyMap<string, number>
  /** Bytes that were written to disks for each byte of a value. */
  readonly bytesPerByte: number
  /** Returns true if the value of the first write is replaced by that of the second, once all replicas agree. */
  replaces(earlier: string, later: string): boolean
}
