/**
 * Steward: the process that watches over all others of the store, while it has the lease `steward`. It ends incarnations
 * whose process has been silent, reports nodes that are silent or cut off from the others to the decision that takes their
 * devices offline, advances epochs, and folds counters of incarnations that have ended.
 *
 * Promises  Silence and epochs are measured by this process's monotonic clock, only while the database answers and the
 *           lease is held: a database that is away, or returns with another clock, takes nothing offline. Two stewards at
 *           the same time only waste work: each step is a compare-and-swap, or may be done twice.
 * Limits    STEWARD_LIMITS.
 */
import { advanceEpoch, epochOfAge, nodeRows } from "@hayloft/engine/coordination/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import { RETENTION_LIMITS } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { SharedMetadata } from "../metadata/database.js"
import { AnsweredTime } from "./answered-time-core.js"
import { epochsKept, EpochTimer, factsOf } from "./epochs-core.js"
import type { RetentionSettings } from "./epochs.js"
import type { Leases } from "./leases.js"
import { Silences, withoutSilentDevices } from "./steward-core.js"

export const STEWARD_LEASE = "steward"

export const STEWARD_LIMITS = {
  watchEveryMs: 5_000,
  /** The longest gap between two answers of the database that counts. */
  gapMsMax: 15_000,
  /** Silence after which an incarnation is ended: its process begins another one once it is back. */
  endAfterMs: 5 * 60_000,
  /** The same for a process that has not announced itself yet: it may be recovering its devices. */
  endStartingAfterMs: 60 * 60_000,
  /** Silence, or time cut off, after which a node is reported to the decision about its devices. */
  reportAfterMs: 15 * 60_000,
  /** Rows of counters that one step folds. */
  countersPerStep: 1_000,
  /** How often the steward looks for counters to fold, if there were none. */
  countersEveryMs: 10 * 60_000,
} as const

/** The record after nodes were silent for so long, in milliseconds; the same record: nothing changes. */
type SilenceDecision = typeof withoutSilentDevices

interface StewardSeams {
  readonly clock: Clock
  readonly log: Log
  readonly metadata: Pick<
    SharedMetadata,
    "run" | "ask" | "incarnations" | "live" | "halt" | "endIncarnation" | "foldCounters"
  >
  readonly leases: Pick<Leases, "holds" | "stepBegan" | "stepSucceeded">
  /** Another one in tests. */
  readonly decideSilence?: SilenceDecision
  /** Changes the control record by compare-and-swap, unless the decision returns the same one. */
  readonly changeRecord: (decide: (record: ControlRecord) => ControlRecord) => Promise<unknown>
}

export class Steward implements BackgroundService {
  readonly name = "steward"
  private readonly time = new AnsweredTime(STEWARD_LIMITS.gapMsMax)
  private silences = new Silences()
  private readonly epochs: EpochTimer
  private countersDueMs = -Infinity

  constructor(
    private readonly seams: StewardSeams,
    private readonly retention: RetentionSettings = RETENTION_LIMITS,
  ) {
    this.epochs = new EpochTimer(retention.epochMs)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, leases, log } = this.seams
    while (!signal.aborted) {
      // Nothing ends, ages or goes offline while the store is halted.
      if (leases.holds(STEWARD_LEASE) && this.seams.metadata.halt === undefined) {
        try {
          leases.stepBegan(STEWARD_LEASE)
          await this.step(signal)
          leases.stepSucceeded(STEWARD_LEASE)
        } catch (error) {
          this.time.missed()
          log.warn("steward_step_failed", { error: String(error) })
        }
      } else this.rest()
      await clock.sleep(STEWARD_LIMITS.watchEveryMs, signal)
    }
  }

  /** Another process may be the steward: what is observed meanwhile is unknown. */
  private rest(): void {
    this.time.missed()
    this.silences = new Silences()
  }

  private async step(signal: AbortSignal): Promise<void> {
    const { metadata, clock, leases } = this.seams
    const { live } = metadata
    const rows = await metadata.ask(nodeRows())
    const newest = await metadata.ask(epochOfAge(0))
    // While this process cannot write, others may not be able to either.
    if (!leases.holds(STEWARD_LEASE)) return this.rest()
    const answeredMs = this.time.answered(clock.monotonicMs())
    this.silences.observe(rows, live, answeredMs)
    const number = newest?.number ?? 0
    if (this.epochs.isDue(number, answeredMs)) {
      await metadata.run(advanceEpoch(number, factsOf(live, rows), number - epochsKept(this.retention)))
    }
    if (signal.aborted) return
    // One that fails again and again must not keep the others, nor the measuring of silence, from going on.
    await this.duty("silent processes", () => this.endSilent())
    await this.duty("silent nodes", () => this.reportSilent())
    await this.duty("counters", () => this.foldCounters())
  }

  private async duty(name: string, work: () => Promise<void>): Promise<void> {
    const { leases, log } = this.seams
    leases.stepBegan(STEWARD_LEASE, name)
    try {
      await work()
      leases.stepSucceeded(STEWARD_LEASE, name)
    } catch (error) {
      log.warn("steward_step_failed", { duty: name, error: String(error) })
    }
  }

  private async endSilent(): Promise<void> {
    const { metadata, log, leases } = this.seams
    const { endAfterMs, endStartingAfterMs } = STEWARD_LIMITS
    const { own } = metadata.incarnations
    for (const incarnation of this.silences.processesSilentFor(endAfterMs, endStartingAfterMs, own)) {
      // A process that was stopped meanwhile does not act on what it saw before.
      if (!leases.holds(STEWARD_LEASE)) return
      const node = metadata.live.nodes.find(each => each.incarnation === incarnation)?.node
      await metadata.endIncarnation(incarnation)
      log.warn("silent_incarnation_ended", { node, incarnation, silentSeconds: endAfterMs / 1_000 })
    }
  }

  private async reportSilent(): Promise<void> {
    const silentMs = this.silences.ofNodesOutOfReach()
    const isReported = [...silentMs.values()].some(ms => ms >= STEWARD_LIMITS.reportAfterMs)
    if (!isReported || !this.seams.leases.holds(STEWARD_LEASE)) return
    const { changeRecord, clock, decideSilence = withoutSilentDevices } = this.seams
    await changeRecord(record => decideSilence(record, silentMs, clock.wallMs()))
  }

  private async foldCounters(): Promise<void> {
    const { metadata, clock } = this.seams
    const nowMs = clock.monotonicMs()
    if (nowMs < this.countersDueMs) return
    const folded = await metadata.foldCounters(STEWARD_LIMITS.countersPerStep)
    if (folded < STEWARD_LIMITS.countersPerStep) this.countersDueMs = nowMs + STEWARD_LIMITS.countersEveryMs
  }
}
