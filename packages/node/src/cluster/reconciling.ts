/**
 * Reconciling: ends the halt of a store whose database was rolled back, as an operator decides. First it compares bytes
 * and rows and makes a plan; once that is confirmed it puts back what is certain, raises numbers above all that devices
 * have seen, and lets the store go on. Any node does it.
 *
 * Promises  Without a confirmation nothing changes. A plan puts nothing back once another node has reconciled the store.
 *           The halt ends by compare-and-swap: not if a node has noticed another rollback meanwhile. After an
 *           interruption it begins again from the start, and loses nothing.
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { DeviceId, Incarnation } from "@hayloft/base/ids.js"
import { nodeRows, restartEpochs } from "@hayloft/engine/coordination/index.js"
import { POLICY_VERSION_MAX } from "@hayloft/engine/format/device/control-record.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import { reconciledSums, type ReconciledSums } from "@hayloft/features/index.js"
import type { ReconcileEntry, ReconcilePlan, Reconciliation } from "@hayloft/upkeep/index.js"
import type { Halt } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { RecordManager } from "../control/record-manager.js"
import type { SharedMetadata } from "../metadata/database.js"
import { factsOf } from "./epochs-core.js"

const LOOK_EVERY_MS = 200
const ENTRIES_PER_PAGE = 1_000

interface ReconcileReport extends ReconciledSums {
  /** `none`: nothing was requested of this node. */
  readonly phase: "none" | "comparing" | "planned" | "applying" | "done" | "failed"
  readonly progress: string
  /** The reason why the store is halted; absent if it is not. */
  readonly halt?: string
  readonly putBack: number
  readonly listed: number
  readonly missing: number
  /** The text that confirms a plan. */
  readonly confirmBy?: string
  /** The error of a failure. */
  readonly error?: string
}

interface ReconcileSeams {
  readonly clock: Clock
  readonly log: Log
  readonly metadata: SharedMetadata
  readonly records: RecordManager
  readonly reconciliation: Reconciliation
  readonly isReached: (id: DeviceId) => boolean
}

interface Planned extends ReconcilePlan {
  readonly halt: Halt
}

export class Reconciling implements BackgroundService {
  readonly name = "reconciliation"
  private phase: ReconcileReport["phase"] = "none"
  private requested: ((signal: AbortSignal) => Promise<void>) | undefined
  private planned: Planned | undefined
  private found: readonly ReconcileEntry[] = []
  private error: string | undefined

  constructor(private readonly seams: ReconcileSeams) {}

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const work = this.requested
      if (work !== undefined) await this.attempt(work, signal)
      await this.seams.clock.sleep(LOOK_EVERY_MS, signal)
    }
  }

  report(): ReconcileReport {
    const { metadata, reconciliation } = this.seams
    const { halt } = metadata
    const rows = this.found.flatMap(each => ("uploadId" in each || each.outcome !== "putBack" ? [] : [each]))
    const count = (outcome: ReconcileEntry["outcome"]) => this.found.filter(each => each.outcome === outcome).length
    return {
      phase: this.phase,
      progress: reconciliation.progress,
      putBack: count("putBack") - rows.length,
      listed: count("listed"),
      missing: count("missing"),
      ...reconciledSums(rows, reconciliation.counts),
      ...(halt === undefined ? {} : { halt: halt.reason }),
      ...(this.planned === undefined ? {} : { confirmBy: confirmationOf(this.planned) }),
      ...(this.error === undefined ? {} : { error: this.error }),
    }
  }

  /** Some entries from this one on. */
  entries(from: number): { readonly entries: readonly ReconcileEntry[]; readonly next?: number } {
    const next = from + ENTRIES_PER_PAGE
    return { entries: this.found.slice(from, next), ...(next < this.found.length ? { next } : {}) }
  }

  /** Begins to compare, without these devices. Throws `conflict` if others are out of reach, or nothing is to be done. */
  compare(without: readonly DeviceId[]): ReconcileReport {
    const { halt } = this.seams.metadata
    if (halt === undefined)
      throw fail("conflict", { message: "the store is not halted: there is nothing to reconcile" })
    const missing = this.seams.records.record.devices.filter(
      ({ id }) => !this.seams.isReached(id) && !without.includes(id),
    )
    if (missing.length > 0) {
      const names = missing.map(
        ({ id, pathHint, home }) => `${id} (${home === undefined ? "" : `${home.node}:`}${pathHint})`,
      )
      throw fail("conflict", {
        message: `devices are out of reach: ${names.join(", ")}. What only they have would not be found: bring them back, or pass --without for each`,
      })
    }
    this.request("comparing", async signal => {
      const { highest, live } = halt
      const isSuspect = (incarnation: Incarnation) => incarnation > highest || live.includes(incarnation)
      const { blockBytes } = this.seams.records.record
      const scope = { isSuspect, isAllRead: without.length === 0, blockBytes }
      const plan = await this.seams.reconciliation.plan(scope, signal)
      this.planned = { ...plan, halt }
      this.found = plan.entries
      this.phase = "planned"
    })
    return this.report()
  }

  /** Carries out the plan. Throws `conflict` if there is none that this confirms. */
  apply(confirm: string): ReconcileReport {
    const { planned } = this
    if (planned === undefined || confirmationOf(planned) !== confirm)
      throw fail("conflict", { message: "there is no plan that this confirms: compare again" })
    this.planned = undefined
    this.request("applying", async signal => {
      this.found = await this.seams.reconciliation.apply(planned, () => this.checkHalt(planned.halt), signal)
      await this.finish(planned)
      this.phase = "done"
    })
    return this.report()
  }

  /**
   * Throws `conflict` unless the store is still in the halt in which it was compared: clients may have written since.
   * Throws `databaseUnreachable` if that is unknown.
   */
  private async checkHalt({ number }: Halt): Promise<void> {
    const { metadata } = this.seams
    if (!(await metadata.learn())) throw fail("databaseUnreachable")
    if (metadata.halt?.number === number) return
    throw fail("conflict", {
      message:
        "the store was reconciled, or halted again, since it was compared: nothing more is put back; if it is halted, compare again",
    })
  }

  private request(phase: "comparing" | "applying", work: (signal: AbortSignal) => Promise<void>): void {
    if (this.requested !== undefined) throw fail("conflict", { message: "this node reconciles the store already" })
    this.error = undefined
    this.phase = phase
    this.requested = work
  }

  private async attempt(work: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await work(signal)
    } catch (error) {
      this.phase = "failed"
      this.error = asFailure(error).message
      this.seams.log.error("reconciliation_failed", { error: String(error) })
    } finally {
      this.requested = undefined
    }
  }

  /** Numbers above all that devices have seen; then the store goes on. */
  private async finish({ halt, highestGeneration }: Planned): Promise<void> {
    const { metadata, records, log } = this.seams
    const policyVersion = Math.min(highestGeneration, POLICY_VERSION_MAX)
    await records.change("reconciliation", record =>
      record.policyVersion >= policyVersion ? record : { ...record, policyVersion },
    )
    await metadata.run(restartEpochs(factsOf(metadata.live, await metadata.ask(nodeRows()))))
    if (!(await metadata.resume(halt.number)))
      throw fail("conflict", { message: "a node has noticed another rollback meanwhile: reconcile again" })
    log.warn("store_reconciled_by_operator", { halt: halt.reason })
  }
}

const confirmationOf = ({ halt, putBacks, entries }: Planned): string =>
  `${halt.number}-${putBacks.length}-${entries.length}`
