/**
 * What the admin port tells of a running store: am I safe, what is wrong, what is being done about it.
 *
 * Promises  Answers at once from what is in memory, whatever devices do. How many disks may fail is
 *           judged anew when the control record, the devices or their disks have changed, and otherwise
 *           at most every `JUDGE_EVERY_MS`.
 * Runs      to see how fast work goes: a look at its counters every `LOOK_EVERY_MS`.
 */
import type { HealthReport, ProgressReport, RepairReport, StoreReport, StoreStatus } from "./contract.js"
import type { StoreId } from "../../base/ids.js"
import { textOfPolicy, tolerance } from "../../base/policy.js"
import { layoutOf, SafetyEvaluator, type Safety } from "../../cluster/index.js"
import type { BackgroundService } from "../../life/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { Rate } from "./rate-core.js"
import { deviceReports, deviceTroubles, safetyInputOf, safetyReport, beforeFirstScan, byBlock } from "./status-core.js"
import { namesOf, type ReencodingView, type RepairView, type StatusSources, type Work } from "./status-sources.js"

const LOOK_EVERY_MS = 5_000
const JUDGE_EVERY_MS = 5_000

interface StatusFacts {
  readonly storeId: StoreId
  readonly version: string
  readonly region: string
  readonly compatibility: readonly string[]
  readonly startedMs: number
}

interface Judged {
  /** What it was judged from. */
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
  private judged: Judged | undefined
  private isListening = false
  private alarm = ""

  constructor(
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly facts: StatusFacts,
    private readonly sources: StatusSources,
  ) {
    this.startedAtMs = clock.monotonicMs()
  }

  /** The S3 port is bound: from here on the store may be ready. */
  setListening(): void {
    this.isListening = true
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.look()
      await this.clock.sleep(LOOK_EVERY_MS, signal)
    }
  }

  private look(): void {
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

  /** Says in the log when data comes to lie where one more lost disk ends it, and when it does no longer. */
  private raiseAlarm(): void {
    const { now, whole, causes } = this.safety()
    // Nothing is known yet; soon it will be.
    if (causes.isUnseen) return
    const alarm = now.disks < whole.disks && now.disks <= 0 ? this.safetyReport().sentence : ""
    if (alarm !== "" && this.alarm === "") this.log.error("no further disk may fail", { safety: alarm })
    if (alarm === "" && this.alarm !== "") this.log.info("a further disk may fail again")
    this.alarm = alarm
  }

  health(): HealthReport {
    const { record, devices, offlineReason, tablet, repair, orphans } = this.sources
    const open = devices()
    const { isServing, metadataDamages } = tablet()
    const { isStopped, abortedBlocks, abortedBlocksMax } = orphans()
    const { lostBlocks = 0, singleCopyBlocks = 0, isShortOfSpace = false } = repair() ?? {}
    const reasons = [
      ...(this.isListening ? [] : ["the S3 port is not open yet"]),
      ...(isServing ? [] : ["the metadata log failed; writes are halted until a restart"]),
      ...deviceTroubles(deviceReports(record(), open, offlineReason), open),
      ...(this.owesShards()
        ? ["shards are missing from devices that should have them, until repair has written them"]
        : []),
      ...(lostBlocks > 0
        ? [`${lostBlocks} blocks have fewer shards than a read needs; hayloft repair status names their objects`]
        : []),
      // Where one copy is what was asked for, it is nothing to be told of each time.
      ...(singleCopyBlocks > 0 && tolerance(record().policy) > 0
        ? [`${singleCopyBlocks} blocks exist as a single copy until they are re-encoded`]
        : []),
      ...metadataDamages,
      ...(isStopped ? [stoppedOrphans(abortedBlocks, abortedBlocksMax)] : []),
      ...(isShortOfSpace ? ["repair waits for room: devices that lack shards are full"] : []),
    ]
    return { ready: this.isListening && isServing, reasons }
  }

  private owesShards(): boolean {
    const { lacking } = this.sources.contents() ?? {}
    return lacking !== undefined && [...lacking.values()].some(flags => flags.includes(1))
  }

  /** As it was judged last, or now where something has changed. */
  safety(): Safety {
    const [record, open, contents] = [this.sources.record(), this.sources.devices(), this.sources.contents()]
    const devices = open.map(({ id, trouble, space }) => `${id} ${space?.fileSystemId} ${trouble === undefined}`)
    const from = `${record.generation} ${contents?.isKnown} ${contents?.isCounted} ${devices.join()}`
    const [atMs, contentsVersion] = [this.clock.monotonicMs(), contents?.version ?? 0]
    const { judged } = this
    if (judged?.from === from) {
      const isFresh = judged.contentsVersion === contentsVersion || atMs - judged.atMs < JUDGE_EVERY_MS
      if (isFresh) return judged.safety
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
    this.judged = { from, contentsVersion, atMs, safety }
    return safety
  }

  private safetyReport(): StoreReport["safety"] {
    return safetyReport(this.safety(), this.sources.record(), this.sources.devices(), this.wholeInSeconds())
  }

  /** Until the last of the work under way ends; undefined where some of it is paused, or its end is not known. */
  private wholeInSeconds(): number | undefined {
    const [repair, reencoding] = [this.sources.repair(), this.sources.reencoding()]
    const repairs = repair !== undefined && leftOf(repair) > 0 ? [repair.isPaused ? undefined : repair.secondsLeft] : []
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
    return {
      ...this.facts,
      uptimeSeconds: Math.floor((this.clock.monotonicMs() - this.startedAtMs) / 1000),
      policy: textOfPolicy(record.policy),
      isPolicyAutomatic: record.isPolicyAutomatic,
      blockBytes: record.blockBytes,
      safety: this.safetyReport(),
      metadata: namesOf(record),
      health: this.health(),
      devices: deviceReports(record, devices(), offlineReason),
      layout: this.layout(),
      ...(reencoded === undefined ? {} : { reencoding: reencodingProgress(reencoded) }),
      ...(repairing === undefined ? {} : { repair: repairReport(repairing) }),
      ...(scrubbing === undefined
        ? {}
        : { scrub: scrubbing.map(view => this.withProgress(`scrub ${view.device}`, view)) }),
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
  const { lostBlocks, lostBytes, lostObjects } = view
  const { partitionsDone, partitionsLeft, doneBytes, remainingBytes } = mending
  // What is missing comes before what only moves.
  const isKnown = !isPaused && remainingBytes > 0 && bytesPerSecond > 0
  const end = isKnown ? { endsInSeconds: remainingBytes / bytesPerSecond } : {}
  const progress = { doneBytes, remainingBytes, bytesPerSecond: Math.round(bytesPerSecond), ...end }
  const found = { partitionsScanned, partitionsDone, partitionsLeft }
  return { isPaused, ...found, progress, rebuiltShards, lostBlocks, lostBytes, lostObjects, singleCopyBlocks }
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
