/**
 * Status: what the admin port reports about a running store: whether it is safe, what is wrong, and what is being
 * done about it.
 *
 * Promises  Responds without I/O, from memory, whatever devices do. The number of disks that may fail is
 *           evaluated when the control record, the devices or their disks have changed, and otherwise at
 *           most every `EVALUATE_EVERY_MS`.
 * Runs      a background service that samples progress counters every `SAMPLE_EVERY_MS`, for rates.
 */
import type { HealthReport, NodesReport, ProgressReport } from "./contract.js"
import type { RepairReport, StoreReport, StoreStatus } from "./contract.js"
import type { StoreId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { textOfPolicy, tolerance } from "@hayloft/base/policy.js"
import { layoutOf, SafetyEvaluator, type Safety } from "@hayloft/engine/cluster/index.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { isEncryptedAtRest } from "../control/at-rest.js"
import { databaseReport } from "./database-core.js"
import { nodesReport, nodeTroubles } from "./nodes-core.js"
import { Rate } from "./rate-core.js"
import { deviceReports, deviceTroubles, safetyInputOf, safetyReport, beforeFirstScan, byBlock } from "./status-core.js"
import { namesOf, type ReencodingView, type RepairView, type StatusSources, type Work } from "./status-sources.js"

const SAMPLE_EVERY_MS = 5_000
const EVALUATE_EVERY_MS = 5_000

interface StatusFacts {
  readonly storeId: StoreId
  readonly version: string
  readonly region: string
  readonly compatibility: readonly string[]
  readonly startedMs: number
}

interface Evaluation {
  /** A key of everything that the evaluation depends on, except the contents. */
  readonly from: string
  readonly contentsVersion: number
  readonly atMs: number
  readonly safety: Safety
}

export class RunningStatus implements StoreStatus, BackgroundService {
  readonly name = "status"
  private readonly startedAtMs: number
  private readonly rates = new Map<string, Rate>()
  private readonly evaluator = new SafetyEvaluator()
  private evaluation: Evaluation | undefined
  private isListening = false
  private unhealthy: () => string | undefined = () => undefined
  private held: string | undefined
  private alarm = ""
  private owedShards = false

  constructor(
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly facts: StatusFacts,
    private readonly sources: StatusSources,
  ) {
    this.startedAtMs = clock.monotonicMs()
  }

  /** The S3 port is bound: from now on the store may be ready. */
  setListening(): void {
    this.isListening = true
  }

  /** No request reaches the store any more, for this reason. */
  setHeld(reason: string): void {
    this.held = reason
  }

  /** `unhealthy`: why the process should be restarted; undefined: it need not. */
  setLiveness(unhealthy: () => string | undefined): void {
    this.unhealthy = unhealthy
  }

  liveness(): HealthReport {
    const reason = this.unhealthy()
    return { ready: reason === undefined, reasons: reason === undefined ? [] : [reason] }
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.sample()
      await nextBeat(this.clock, SAMPLE_EVERY_MS, signal)
    }
  }

  private sample(): void {
    for (const view of this.sources.scrub() ?? []) this.see(`scrub ${view.device}`, view)
    this.raiseAlarm()
  }

  private see(name: string, work: Work | undefined): void {
    if (work !== undefined) this.rateOf(name).see(this.clock.monotonicMs(), work)
  }

  private rateOf(name: string): Rate {
    const rate = this.rates.get(name) ?? new Rate()
    this.rates.set(name, rate)
    return rate
  }

  private progressOf(name: string, work: Work): ProgressReport {
    return this.rateOf(name).progress(work)
  }

  /** Logs when data can no longer survive another lost disk, and when it can again. */
  private raiseAlarm(): void {
    const { now, whole, causes } = this.safety()
    // Nothing has been scanned yet.
    if (causes.isUnseen) return
    const alarm = now.disks < whole.disks && now.disks <= 0 ? this.safetyReport().sentence : ""
    if (alarm !== "" && this.alarm === "") this.log.error("no_further_disk_may_fail", { safety: alarm })
    if (alarm === "" && this.alarm !== "") this.log.info("further_disk_may_fail_again")
    this.alarm = alarm
    const owesShards = this.owesShards()
    if (this.owedShards && !owesShards) this.log.info("repair_done")
    this.owedShards = owesShards
  }

  health(isListening = this.isListening): HealthReport {
    const { record, devices, offlineReason, metadata, repair, orphans } = this.sources
    const open = devices()
    const reports = deviceReports(record(), open, offlineReason)
    const { trouble, damages, isDatabaseFull } = metadata()
    const { isStopped, abortedBlocks, abortedBlocksMax } = orphans()
    const unread = trouble === undefined ? this.whyUnreadable() : undefined
    const { lostBlocks = 0, singleCopyBlocks = 0, isShortOfSpace = false } = repair() ?? {}
    const reasons = [
      ...(isListening ? [] : ["the S3 port is not open yet"]),
      ...(this.held === undefined ? [] : [this.held]),
      ...(trouble === undefined ? [] : [trouble]),
      ...(unread === undefined ? [] : [unread]),
      ...(isDatabaseFull
        ? ["the disk of the database is full: changes are refused, deletes too, until it has space; reads go on"]
        : []),
      ...this.threadTroubles(),
      ...this.nodeTroubles(),
      ...deviceTroubles(reports, open),
      ...(this.owesShards() ? ["devices lack shards that they should have; repair is writing them"] : []),
      ...(lostBlocks > 0
        ? [`${lostBlocks} blocks have fewer shards than a read needs; hayloft repair status names their objects`]
        : []),
      // A policy without redundancy makes single copies intentionally: not a reason.
      ...(singleCopyBlocks > 0 && tolerance(record().policy) > 0
        ? [`${singleCopyBlocks} blocks exist as a single copy until they are re-encoded`]
        : []),
      ...damages,
      ...this.jobTroubles(),
      ...this.keyServiceTroubles(),
      ...this.keyTroubles(),
      ...(isStopped ? [stoppedOrphans(abortedBlocks, abortedBlocksMax)] : []),
      ...(isShortOfSpace ? ["repair waits for space: devices that lack shards are full"] : []),
    ]
    const ready = isListening && this.held === undefined && trouble === undefined && unread === undefined
    const isFull = isDatabaseFull || reports.some(({ state }) => state === "full")
    return { ready, reasons, ...(isFull && { refusesWrites: true }) }
  }

  private threadTroubles(): readonly string[] {
    const { wanted, running, reason } = this.sources.threads?.() ?? { wanted: 0, running: 0 }
    if (!this.isListening || reason !== undefined || running >= wanted) return []
    return [`${running} of ${wanted} front threads serve; those that have ended are started again`]
  }

  private jobTroubles(): readonly string[] {
    // The error is in the list of jobs: health is for everybody.
    return this.sources
      .failingJobs()
      .map(
        ({ name, failuresInARow }) =>
          `the background job ${name} has failed ${failuresInARow} times in a row; hayloft jobs list shows its last error`,
      )
  }

  /** Returns why something that was acknowledged cannot be read until devices are back; undefined: all that is there can. */
  private whyUnreadable(): string | undefined {
    if (!this.sources.record().devices.some(({ state }) => state === "offline")) return undefined
    const { now, whole, causes } = this.safety()
    // A device that is rebuilding may have what it is not yet known to have.
    const isKnown = !causes.isUnseen && causes.rebuilding.length === 0
    if (!isKnown || now.disks >= 0 || whole.disks < 0) return undefined
    return "some objects cannot be read until devices that are offline are back"
  }

  private keyServiceTroubles(): readonly string[] {
    // Not the reason: health is for everybody.
    return (this.sources.keyServices?.() ?? []).flatMap(({ name, state }) => {
      if (state === "reachable") return []
      const trouble = state === "unreachable" ? "cannot be reached" : "refuses the credentials of this store"
      return [`the key service ${name} ${trouble}: objects under its keys cannot be written or read`]
    })
  }

  private keyTroubles(): readonly string[] {
    // The log has names and causes: health is for everybody.
    const buckets = this.bucketsWithoutKeys
    const whose = buckets === 1 ? "a bucket" : `${buckets} buckets`
    return [
      ...(this.isShortOfKeys
        ? ["a device does not have the newest keys: requests that need a new key fail; the log names the cause"]
        : []),
      ...(buckets === 0
        ? []
        : [`keys of ${whose} are unavailable: encrypted objects cannot be written or read; the log names the cause`]),
    ]
  }

  private get isShortOfKeys(): boolean {
    return this.sources.isShortOfKeys?.() ?? false
  }

  private get bucketsWithoutKeys(): number {
    return this.sources.bucketsWithoutKeys?.() ?? 0
  }

  private nodeTroubles(): readonly string[] {
    const nodes = this.nodes()
    return nodes === undefined ? [] : nodeTroubles(nodes)
  }

  private nodes(): NodesReport | undefined {
    const view = this.sources.nodes?.()
    return view && nodesReport(this.sources.record(), view)
  }

  private owesShards(): boolean {
    const { lacking } = this.sources.contents() ?? {}
    return lacking !== undefined && [...lacking.values()].some(flags => flags.includes(1))
  }

  /** The last evaluation, or a new one if something has changed. */
  safety(): Safety {
    const [record, open, contents] = [this.sources.record(), this.sources.devices(), this.sources.contents()]
    const devices = open.map(({ id, trouble, space }) => `${id} ${space?.fileSystemId} ${trouble === undefined}`)
    const from = `${record.generation} ${contents?.isKnown} ${contents?.isCounted} ${devices.join()}`
    const [atMs, contentsVersion] = [this.clock.monotonicMs(), contents?.version ?? 0]
    const { evaluation } = this
    if (evaluation?.from === from) {
      const isFresh = evaluation.contentsVersion === contentsVersion || atMs - evaluation.atMs < EVALUATE_EVERY_MS
      if (isFresh) return evaluation.safety
    }
    const seen = this.evaluator.evaluate(safetyInputOf(record, open, contents))
    const safety =
      contents === undefined
        ? seen
        : !contents.isKnown
          ? beforeFirstScan(seen)
          : contents.isCounted
            ? byBlock(seen)
            : seen
    this.evaluation = { from, contentsVersion, atMs, safety }
    return safety
  }

  private safetyReport(): StoreReport["safety"] {
    const { record, devices, repair, offlineReason } = this.sources
    const { isPaused = false, isShortOfSpace = false, lostObjectsMin = 0 } = repair() ?? {}
    return safetyReport(this.safety(), devices(), {
      record: record(),
      nowMs: this.clock.wallMs(),
      offlineReason,
      isRepairPaused: isPaused,
      isShortOfSpace,
      lostObjectsMin,
      wholeInSeconds: this.wholeInSeconds(),
      heldBack: this.nodes()?.heldBack ?? [],
    })
  }

  /** Seconds until the last work in progress ends; undefined if some is paused, or has no known end. */
  private wholeInSeconds(): number | undefined {
    const [repair, reencoding] = [this.sources.repair(), this.sources.reencoding()]
    // Repair that is paused since the start does not know yet how much is left.
    const isUnseen = repair?.isPaused === true && repair.partitionsScanned < PARTITIONS
    const isRepairing = repair !== undefined && (isUnseen || leftOf(repair) > 0)
    const repairs = isRepairing ? [repair.isPaused ? undefined : repair.secondsLeft] : []
    const reencodes = reencoding === undefined ? [] : [reencoding.isPaused ? undefined : reencoding.secondsLeft]
    const ends = [...repairs, ...reencodes]
    const known = ends.flatMap(seconds => seconds ?? [])
    return ends.length === 0 || known.length < ends.length ? undefined : Math.max(...known)
  }

  report(): StoreReport {
    const { record: recordOf, devices, offlineReason, jobs, queues, repair, scrub, reencoding } = this.sources
    const record = recordOf()
    const repairing = repair()
    const scrubbing = scrub()
    const reencoded = reencoding()
    const nodes = this.nodes()
    const database = this.sources.database?.()
    const keyServices = this.sources.keyServices?.() ?? []
    const rates = this.sources.rates?.() ?? []
    const threads = this.sources.threads?.()
    const erasures = this.sources.erasures?.() ?? []
    const encrypting = this.sources.encrypting?.()
    return {
      ...this.facts,
      uptimeSeconds: Math.floor((this.clock.monotonicMs() - this.startedAtMs) / 1000),
      policy: textOfPolicy(record.policy),
      isPolicyAutomatic: record.isPolicyAutomatic,
      blockBytes: record.blockBytes,
      isEncryptedAtRest: isEncryptedAtRest(record) && encrypting === undefined,
      bucketsWithoutKeys: this.bucketsWithoutKeys,
      isShortOfKeys: this.isShortOfKeys,
      ...(encrypting === undefined ? {} : { encrypting }),
      ...(threads === undefined ? {} : { threads }),
      safety: this.safetyReport(),
      metadata: namesOf(record),
      health: this.health(),
      devices: deviceReports(record, devices(), offlineReason),
      ...(nodes === undefined ? {} : { nodes }),
      ...(database === undefined ? {} : { database: databaseReport(database) }),
      layout: this.layout(),
      ...(reencoded === undefined ? {} : { reencoding: reencodingProgress(reencoded) }),
      ...(repairing === undefined ? {} : { repair: repairReport(repairing) }),
      ...(scrubbing === undefined
        ? {}
        : { scrub: scrubbing.map(view => this.withProgress(`scrub ${view.device}`, view)) }),
      ...this.sources.features?.(),
      ...(erasures.length === 0 ? {} : { erasures }),
      ...(keyServices.length === 0 ? {} : { keyServices }),
      ...(rates.length === 0 ? {} : { rates }),
      jobs: jobs(),
      queues: queues(),
    }
  }

  private withProgress<View extends Work>(name: string, { doneBytes, remainingBytes, ...view }: View) {
    return { ...view, progress: this.progressOf(name, { doneBytes, remainingBytes }) }
  }

  private layout(): StoreReport["layout"] {
    const { layout, previousLayout } = this.sources.record()
    const { width } = layoutOf(layout)
    if (previousLayout === undefined) return { version: layout.version, width }
    const repair = this.sources.repair()
    const progress = repair && { progress: movingProgress(repair) }
    return { version: layout.version, width, transition: { fromVersion: previousLayout.version, ...progress } }
  }
}

const stoppedOrphans = (blocks: number, max: number): string =>
  `no object names ${blocks} blocks or more (limit ${max}), so they are kept: metadata may be lost. ` +
  "If no object is missing, have them removed: hayloft orphans resume"

const leftOf = ({ mending, moving }: RepairView): number => mending.remainingBytes + moving.remainingBytes

function repairReport(view: RepairView): RepairReport {
  const { isPaused, partitionsScanned, mending, bytesPerSecond, rebuiltShards, singleCopyBlocks } = view
  const { lostBlocks, lostBytes, lostObjects, lostObjectsMin } = view
  const lost = { lostBlocks, lostBytes, lostObjects, ...(lostObjectsMin !== undefined && { lostObjectsMin }) }
  const { partitionsDone, partitionsRemaining, doneBytes, remainingBytes } = mending
  // Missing shards before those that only move.
  const isKnown = !isPaused && remainingBytes > 0 && bytesPerSecond > 0
  const end = isKnown ? { endsInSeconds: remainingBytes / bytesPerSecond } : {}
  const progress = { doneBytes, remainingBytes, bytesPerSecond: Math.round(bytesPerSecond), ...end }
  const found = { partitionsScanned, partitionsDone, partitionsRemaining }
  return { isPaused, ...found, progress, rebuiltShards, ...lost, singleCopyBlocks }
}

function movingProgress({ isPaused, moving, bytesPerSecond, secondsLeft }: RepairView): ProgressReport {
  const { doneBytes, remainingBytes } = moving
  const end = isPaused || remainingBytes === 0 || secondsLeft === undefined ? {} : { endsInSeconds: secondsLeft }
  return { doneBytes, remainingBytes, bytesPerSecond: Math.round(bytesPerSecond), ...end }
}

function reencodingProgress({ isPaused, doneBytes, remainingBytes, secondsLeft }: ReencodingView): ProgressReport {
  if (isPaused || remainingBytes === 0 || !secondsLeft) return { doneBytes, remainingBytes, bytesPerSecond: 0 }
  return {
    doneBytes,
    remainingBytes,
    bytesPerSecond: Math.round(remainingBytes / secondsLeft),
    endsInSeconds: secondsLeft,
  }
}
