/**
 * Leases: which process of the store does a job that one process at a time should do. They save work; they are no fence:
 * a process that was stopped may go on for a moment after another has taken over. Every step of such a job must
 * therefore be safe if two processes take it.
 *
 * A background service reads the rows and takes free leases. Heartbeats renew them: see `beginRenewal`.
 *
 * Promises  See `leases-core.ts`. Without an answer of the database the process loses its leases by itself. A job that
 *           fails for LEASE_LIMITS.stuckMs loses its lease, so that a node that cannot work does not keep it.
 * Limits    LEASE_LIMITS.
 */
import type { Incarnation } from "@hayloft/base/ids.js"
import { leaseRows, releaseLeases, takeLease } from "@hayloft/engine/coordination/index.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { SharedMetadata } from "../metadata/database.js"
import { AnsweredTime } from "./answered-time-core.js"
import { LEASE_LIMITS, LeaseTable, type SeenLease } from "./leases-core.js"

interface LeaseSeams {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metadata: Pick<SharedMetadata, "run" | "ask" | "incarnations" | "live">
}

interface LeaseSettings {
  /** All leases that this process may take. */
  readonly names: readonly string[]
  /** False: the process releases all leases and takes none, for instance because it cannot reach its devices. */
  readonly mayWork?: () => boolean
  /** A lease was taken: its job may begin at once. */
  readonly onTaken?: (name: string) => void
}

/** The renewals of one heartbeat. */
interface Renewal {
  /** The leases that the heartbeat renews. */
  readonly names: readonly string[]
  /** Call it with what the heartbeat returned; not at all if it failed. */
  confirm(kept: readonly string[]): void
}

export class Leases implements BackgroundService {
  readonly name = "leases"
  private readonly table: LeaseTable
  private readonly time = new AnsweredTime(LEASE_LIMITS.gapMsMax)

  constructor(
    private readonly seams: LeaseSeams,
    private readonly settings: LeaseSettings,
  ) {
    this.table = new LeaseTable(settings.names)
  }

  private get own(): Incarnation {
    return this.seams.metadata.incarnations.own
  }

  private get nowMs(): number {
    return this.seams.clock.monotonicMs()
  }

  /** Returns true if this process does the job now. */
  holds(name: string): boolean {
    return this.table.holds(name, this.own, this.nowMs)
  }

  /** How often this process has taken the lease: each time it starts the job over. */
  termOf(name: string): number {
    return this.table.termOf(name)
  }

  /** The node that had the lease when the rows were last read; undefined: none that is live. */
  holder(name: string): string | undefined {
    const incarnation = this.table.holderOf(name)
    return this.seams.metadata.live.nodes.find(each => each.incarnation === incarnation)?.node
  }

  /** Call it when a heartbeat is sent. */
  beginRenewal(): Renewal {
    const { own, nowMs: sentMs, table } = this
    const names = table.toRenew(own)
    return { names, confirm: kept => table.renewed(names, kept, own, sentMs) }
  }

  /** A job of the lease begins a step. */
  stepBegan(name: string, job = name): void {
    this.table.stepBegan(name, job, this.nowMs)
  }

  /** A step of a job has ended without an error. */
  stepSucceeded(name: string, job = name): void {
    this.table.stepSucceeded(name, job)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.seams
    while (!signal.aborted) {
      try {
        await this.watch(signal)
      } catch (error) {
        this.time.missed()
        log.debug("leases_unknown", { error: String(error) })
      }
      const { watchEveryMs } = LEASE_LIMITS
      await clock.sleep(watchEveryMs / 2 + random.below(watchEveryMs / 2), signal)
    }
    await this.release(this.table.toRenew(this.own)).catch((error: unknown) => {
      log.debug("leases_not_released", { error: String(error) })
    })
  }

  private async watch(signal: AbortSignal): Promise<void> {
    const { metadata } = this.seams
    const { table } = this
    await this.giveUp()
    const rows = await metadata.ask(leaseRows())
    const answeredMs = this.time.answered(this.nowMs)
    table.observe(rows, answeredMs)
    await this.release(table.forgotten(this.own))
    if (this.settings.mayWork?.() === false) return
    const isOver = (incarnation: Incarnation) => metadata.incarnations.isOver(incarnation)
    for (const [name, seen] of table.free(this.own, isOver, answeredMs, this.nowMs)) {
      if (!signal.aborted) await this.take(name, seen, signal)
    }
  }

  private async take(name: string, seen: SeenLease | undefined, signal: AbortSignal): Promise<void> {
    const { clock, random, log, metadata } = this.seams
    const { delayMsMax, delayPerLeaseMs } = LEASE_LIMITS
    // A process that has fewer is faster, so that the work spreads.
    const delayMs = random.below(delayMsMax) + delayPerLeaseMs * this.table.toRenew(this.own).length
    await clock.sleep(delayMs, signal)
    if (signal.aborted) return
    const { own, nowMs: sentMs } = this
    if (!(await metadata.run(takeLease(name, seen))) || own !== this.own) return
    this.table.taken(name, own, sentMs)
    log.info("lease_taken", { lease: name, incarnation: own })
    this.settings.onTaken?.(name)
  }

  /** Gives up what this process cannot do. */
  private async giveUp(): Promise<void> {
    const { nowMs, own, table } = this
    const stuck = table.stuck(nowMs)
    for (const name of stuck) {
      table.rest(name, nowMs)
      this.seams.log.warn("lease_given_up", { lease: name, reason: "its job makes no progress" })
    }
    const idle = this.settings.mayWork?.() === false ? table.toRenew(own) : []
    await this.release([...stuck, ...idle])
  }

  private async release(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    for (const name of names) this.table.drop(name)
    await this.seams.metadata.run(releaseLeases(names))
  }
}
