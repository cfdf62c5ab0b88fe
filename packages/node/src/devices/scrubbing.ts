/**
 * Scrubbing: verifies all needles of a device repeatedly, each pass spread over the period, so that rot is found
 * and rebuilt while the other shards are still good.
 *
 * Promises  After a restart a pass continues where it was, however soon after its beginning that is. A pass that is
 *           ahead of schedule rests, unless an operator has requested it now, in this process or an earlier one.
 * Limits    SCRUB_PACE.
 */
import { isFailure } from "@hayloft/base/failures.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { readRecordFile, replaceRecordFile } from "@hayloft/engine/device/index.js"
import { decodeScrubRecord, encodeScrubRecord, type ScrubRecord } from "@hayloft/engine/format/device/scrub-record.js"
import { InOrder, type Job, type StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { DeviceScrub, Volumes } from "@hayloft/engine/volume/index.js"

export const DAY_MS = 24 * 3_600_000

export const SCRUB_PACE = {
  periodMs: 30 * DAY_MS,
  /** Share of the period that a pass takes, so that the next one begins in time. */
  share: 0.8,
  /** Devices of a store begin their first passes at different times, up to this share of the period apart. */
  offsetShare: 0.1,
  saveEveryMs: 60_000,
} as const

/** The clocks of a machine and of its store differ by less, unless one of them is wrong. */
const FUTURE_MS = 3_600_000
const NAME = "scrub"

/** Progress of a device's scrub. */
interface ScrubView {
  readonly device: DeviceId
  readonly isRunning: boolean
  /** The start of the current pass, or of the last one. */
  readonly passStartedMs: number
  /** Lower bound for the verification or write time of the byte that was verified longest ago. */
  readonly oldestVerifiedMs: number
  readonly damagesFound: number
  readonly doneBytes: number
  readonly remainingBytes: number
}

/** 0 to 1, derived from the device's id. */
const shareOf = (device: DeviceId): number => Number(xxh64(Buffer.from(device)) % 1_000n) / 1_000

/** Reads the progress of an earlier process; undefined if there is none, or if it is unusable. */
export async function readScrubRecord(disk: Disk, folder: string): Promise<ScrubRecord | undefined> {
  try {
    const bytes = await readRecordFile(disk, `${folder}/${NAME}`)
    return bytes && decodeScrubRecord(bytes)
  } catch (error) {
    if (isFailure(error, "corruptRecord")) return undefined
    throw error
  }
}

/** The device to scrub, and its needles. */
interface ScrubbedDevice {
  readonly id: DeviceId
  readonly path: string
  readonly disk: Disk
  readonly volumes: Pick<Volumes, "usage">
  /** Nothing on the device is older, by the wall clock; 0: unknown. */
  readonly aliveSinceMs: number
}

export class Scrubbing implements Job {
  readonly name = NAME
  private passStartedMs: number
  private wholePassStartedMs: number
  /** No pass begins earlier. */
  private firstMs: number
  private isRequested: boolean
  private savedMs: number
  /** One file accepts one write at a time. */
  private readonly saving = new InOrder()
  /** A restart now would lose progress. */
  private isUnsaved = false

  constructor(
    private readonly device: ScrubbedDevice,
    private readonly scrub: Pick<DeviceScrub, "step" | "state" | "doneShare" | "damagesFound" | "isLookingAgain">,
    saved: ScrubRecord | undefined,
    private readonly clock: Clock,
    private readonly periodMs: number = SCRUB_PACE.periodMs,
  ) {
    this.passStartedMs = saved?.passStartedMs ?? 0
    this.wholePassStartedMs = saved?.wholePassStartedMs ?? 0
    this.isRequested = saved?.isRequested === true
    // The same in every process: a process that restarts every day still reaches it.
    this.firstMs = (device.aliveSinceMs || clock.wallMs()) + shareOf(device.id) * SCRUB_PACE.offsetShare * periodMs
    this.savedMs = clock.monotonicMs()
  }

  /** Begins a pass now, or continues the current one without rest. A restart does not lose the request once this resolves. */
  startNow(): Promise<void> {
    this.isRequested = true
    return this.save()
  }

  get view(): ScrubView {
    const { id, volumes, aliveSinceMs } = this.device
    const { writtenBytes } = volumes.usage()
    const isRunning = this.passStartedMs > 0
    const doneBytes = isRunning ? Math.round(this.scrub.doneShare * writtenBytes) : writtenBytes
    return {
      device: id,
      isRunning,
      passStartedMs: isRunning ? this.passStartedMs : this.wholePassStartedMs,
      oldestVerifiedMs: this.wholePassStartedMs || aliveSinceMs,
      damagesFound: this.scrub.damagesFound,
      doneBytes,
      remainingBytes: Math.max(0, writtenBytes - doneBytes),
    }
  }

  progress(): string {
    const { isRunning, damagesFound } = this.view
    const share = isRunning ? `${Math.floor(100 * this.scrub.doneShare)} % of a pass` : "no pass is under way"
    return `${share}, ${damagesFound} damaged needles found`
  }

  async step(signal: AbortSignal): Promise<StepOutcome> {
    // Needles known to be corrupt are marked suspect again first, whether or not a pass is due.
    if (this.scrub.isLookingAgain) {
      await this.scrub.step(signal)
      return "busy"
    }
    this.forgetFuture()
    const isUrgent = this.isRequested || this.scrub.isLookingAgain
    if (this.passStartedMs === 0) {
      if (!isUrgent && !this.isDue()) return "idle"
      this.passStartedMs = Math.max(1, this.clock.wallMs())
      await this.save()
    }
    if (!isUrgent && this.isAhead()) {
      // The job may rest for days here.
      if (this.isUnsaved && this.isSaveDue()) await this.save()
      return "throttled"
    }
    const outcome = await this.scrub.step(signal)
    this.isUnsaved = true
    if (outcome === "done") {
      this.wholePassStartedMs = this.passStartedMs
      this.passStartedMs = 0
      this.isRequested = false
    }
    if (outcome === "done" || this.isSaveDue()) await this.save()
    return "busy"
  }

  /** A wall clock that was ahead for a while leaves times in the future: they become the present time. */
  private forgetFuture(): void {
    const nowMs = Math.max(1, this.clock.wallMs())
    this.passStartedMs = Math.min(this.passStartedMs, nowMs)
    this.wholePassStartedMs = Math.min(this.wholePassStartedMs, nowMs)
    if (this.device.aliveSinceMs - nowMs > FUTURE_MS) this.firstMs = Math.min(this.firstMs, nowMs)
  }

  private isSaveDue(): boolean {
    return this.clock.monotonicMs() - this.savedMs >= SCRUB_PACE.saveEveryMs
  }

  private isDue(): boolean {
    const nowMs = this.clock.wallMs()
    return this.wholePassStartedMs === 0 ? nowMs >= this.firstMs : nowMs - this.wholePassStartedMs >= this.periodMs
  }

  private isAhead(): boolean {
    const elapsedMs = this.clock.wallMs() - this.passStartedMs
    return this.scrub.doneShare > elapsedMs / (SCRUB_PACE.share * this.periodMs)
  }

  private save(): Promise<void> {
    return this.saving.run(() => this.write())
  }

  private async write(): Promise<void> {
    this.savedMs = this.clock.monotonicMs()
    this.isUnsaved = false
    const { passStartedMs, wholePassStartedMs, isRequested } = this
    const { disk, path } = this.device
    const request = isRequested ? { isRequested } : {}
    const record = { passStartedMs, wholePassStartedMs, state: this.scrub.state, ...request }
    // Without space to save, a restart verifies some needles twice.
    await unlessFull(
      () => replaceRecordFile(disk, `${path}/${NAME}`, encodeScrubRecord(record)),
      () => undefined,
    )
  }
}
