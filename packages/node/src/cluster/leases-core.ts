/**
 * Leases of one process: which it has, which it may take, and which it gives up. Pure: moments come in as arguments, in
 * milliseconds of the process's own monotonic clock.
 *
 * Promises  A process counts a lease as its own only for LEASE_LIMITS.leaseMs less a margin after it sent the last renewal
 *           that was confirmed. Others take it at the earliest `leaseMs` after they saw that renewal, counted only while
 *           the database answers, or once its process is over. So two have it only if one was stopped meanwhile.
 */
import type { LeaseRow } from "@hayloft/engine/coordination/index.js"
import type { Incarnation } from "@hayloft/base/ids.js"

export const LEASE_LIMITS = {
  /** A lease that was not renewed for this long is free. */
  leaseMs: 15_000,
  /** How much earlier its process stops using it. */
  marginMs: 3_000,
  /** How often the rows are read. */
  watchEveryMs: 5_000,
  /** The longest gap between two answers of the database that counts. */
  gapMsMax: 12_000,
  /** A free lease is taken after a random delay, and later for each lease that the process already has. */
  delayMsMax: 1_000,
  delayPerLeaseMs: 1_000,
  /** A job that has failed, or not ended a step, for this long loses its lease … */
  stuckMs: 10 * 60_000,
  /** … and its process does not take it again for this long, unless no other process does. */
  restMs: 10 * 60_000,
} as const

/** The observed content of a lease's row. */
export type SeenLease = Omit<LeaseRow, "name">

interface Watched extends SeenLease {
  /** When this content was first seen: in time in which the database answered. */
  readonly sinceMs: number
}

interface Held {
  readonly incarnation: Incarnation
  /** When the last renewal that was confirmed was sent. */
  readonly renewedMs: number
}

export class LeaseTable {
  private readonly watched = new Map<string, Watched>()
  private readonly held = new Map<string, Held>()
  private readonly terms = new Map<string, number>()
  /** By lease, since when each of its jobs has tried, without success. */
  private readonly trying = new Map<string, Map<string, number>>()
  private readonly restsUntilMs = new Map<string, number>()

  /** All leases that the process may take. */
  constructor(private readonly names: readonly string[]) {}

  holds(name: string, own: Incarnation, nowMs: number): boolean {
    const held = this.held.get(name)
    return held?.incarnation === own && nowMs - held.renewedMs < LEASE_LIMITS.leaseMs - LEASE_LIMITS.marginMs
  }

  /** Returns the leases that the next heartbeat renews. */
  toRenew(own: Incarnation): readonly string[] {
    return [...this.held].filter(([, { incarnation }]) => incarnation === own).map(([name]) => name)
  }

  /** A heartbeat of this incarnation, sent at this moment, asked for these renewals, and some were made. */
  renewed(asked: readonly string[], kept: readonly string[], incarnation: Incarnation, sentMs: number): void {
    for (const name of asked) {
      if (!kept.includes(name)) this.held.delete(name)
      else if (this.held.has(name)) this.held.set(name, { incarnation, renewedMs: sentMs })
    }
  }

  taken(name: string, incarnation: Incarnation, sentMs: number): void {
    this.held.set(name, { incarnation, renewedMs: sentMs })
    this.terms.set(name, this.termOf(name) + 1)
    this.trying.delete(name)
  }

  /** How often the process has taken the lease. */
  termOf(name: string): number {
    return this.terms.get(name) ?? 0
  }

  /** The lease is given up, or lost. */
  drop(name: string): void {
    this.held.delete(name)
    this.trying.delete(name)
  }

  /** The process that had the lease when the rows were read last. */
  holderOf(name: string): Incarnation | undefined {
    return this.watched.get(name)?.incarnation
  }

  /** The rows as of `answeredMs`, in time in which the database answered. */
  observe(rows: readonly LeaseRow[], answeredMs: number): void {
    const names = new Set(rows.map(({ name }) => name))
    for (const name of this.watched.keys()) if (!names.has(name)) this.watched.delete(name)
    for (const { name, incarnation, beat } of rows) {
      const known = this.watched.get(name)
      if (known?.incarnation === incarnation && known?.beat === beat) continue
      this.watched.set(name, { incarnation, beat, sinceMs: answeredMs })
    }
  }

  /** Leases that are free, each as it was seen, in the order in which they are to be taken. */
  free(
    own: Incarnation,
    isOver: (incarnation: Incarnation) => boolean,
    answeredMs: number,
    nowMs: number,
  ): readonly (readonly [name: string, seen: SeenLease | undefined])[] {
    return this.names.flatMap(name => {
      const seen = this.watched.get(name)
      if (this.held.get(name)?.incarnation === own || seen?.incarnation === own) return []
      const silentMs = seen === undefined ? Infinity : answeredMs - seen.sinceMs
      const isExpired = silentMs >= LEASE_LIMITS.leaseMs
      const isFree = seen?.incarnation === undefined || isOver(seen.incarnation)
      if (!isFree && !isExpired) return []
      // Another process takes it meanwhile, if there is one.
      if ((this.restsUntilMs.get(name) ?? 0) > nowMs && silentMs < 2 * LEASE_LIMITS.leaseMs) return []
      return [[name, seen && { incarnation: seen.incarnation, beat: seen.beat }] as const]
    })
  }

  /** Leases whose row names this process although it does not count them as its own: an answer was lost. */
  forgotten(own: Incarnation): readonly string[] {
    return this.names.filter(
      name => this.watched.get(name)?.incarnation === own && this.held.get(name)?.incarnation !== own,
    )
  }

  /** A job of the lease begins a step. */
  stepBegan(name: string, job: string, nowMs: number): void {
    const jobs = this.trying.get(name) ?? new Map<string, number>()
    this.trying.set(name, jobs)
    if (!jobs.has(job)) jobs.set(job, nowMs)
  }

  /** A step of a job has ended without an error. */
  stepSucceeded(name: string, job: string): void {
    this.trying.get(name)?.delete(job)
  }

  /** Leases of jobs that make no progress. */
  stuck(nowMs: number): readonly string[] {
    return [...this.held.keys()].filter(name => {
      const sinceMs = Math.min(Infinity, ...(this.trying.get(name)?.values() ?? []))
      return nowMs - sinceMs >= LEASE_LIMITS.stuckMs
    })
  }

  rest(name: string, nowMs: number): void {
    this.drop(name)
    this.restsUntilMs.set(name, nowMs + LEASE_LIMITS.restMs)
  }
}
