/**
 * Erasures of buckets: begins them, and as a job carries them through. See decision 56, "Crypto-erasure".
 *
 * Promises  The state is in rows and in the control record: each step may be repeated, and a job goes on after a restart,
 *           on whichever node has it. An erasure is over once no device of the store has a key that opens the secret: one
 *           that is offline holds it up until it returns or is forgotten, and is named. `report` reads from memory.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { BucketId, BucketName, DeviceId } from "@hayloft/base/ids.js"
import type { Job, BackgroundService, StepOutcome } from "@hayloft/base/life/index.js"
import type { BucketErasing, BucketErasure } from "@hayloft/objects/index.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Counter, Log, Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { RecordEpochKeys } from "../control/epoch-keys.js"
import type { RecordManager } from "../control/record-manager.js"
import type { ErasureReport } from "../status/contract.js"
import { epochNumbers, type KeysOnDevices } from "../control/keys-on-devices.js"
import type { KeyTurnover, TurnoverOutcome } from "./key-turnover.js"

const READ_EVERY_MS = 1_000
/** How often another erasure may make the newest key an old one before this one is refused. */
const RACES_MAX = 5

interface Store {
  readonly erasing: BucketErasing
  /** After a bucket is gone. */
  readonly readPolicies: () => Promise<void>
  readonly records: Pick<RecordManager, "record">
  readonly epochs: Pick<RecordEpochKeys, "renew">
  readonly turnover: KeyTurnover
  readonly devices: KeysOnDevices
  readonly forgetSecrets: () => void
}

/** "erased" once it is over. */
interface ErasureState {
  readonly state: "erasing" | "erased"
  readonly report: ErasureReport | undefined
}

export class Erasures implements Job, BackgroundService {
  readonly name = "erasure"
  private found: readonly BucketErasure[] | undefined
  private outcome: TurnoverOutcome = "done"
  /** The reason why the latest step of the turnover failed. */
  private trouble: string | undefined
  private elsewhere: () => ReadonlyMap<DeviceId, number> = () => new Map()
  private wakeBackup: () => void = () => undefined
  private wake: () => void = () => undefined
  private readonly log: Log
  private readonly done: Counter

  constructor(
    private readonly clock: Pick<Clock, "monotonicMs" | "sleep">,
    { log, metrics }: Telemetry,
    private readonly store: Store,
  ) {
    this.log = log
    this.done = metrics.counter("hayloft_erasures_done_total", "Erasures of buckets that this process has completed")
  }

  /** `elsewhere`: the oldest epoch keys on devices of other nodes, as these last reported them. */
  setElsewhere(elsewhere: () => ReadonlyMap<DeviceId, number>): void {
    this.elsewhere = elsewhere
  }

  /** Registers what wakes this job, and that of backups. */
  onDue(wake: () => void, wakeBackup: () => void): void {
    this.wake = wake
    this.wakeBackup = wakeBackup
  }

  /**
   * Destroys the secret of a bucket; when it resolves nothing of the bucket is served any more, and the job does the rest.
   * Throws `noSuchBucket`, `bucketClosing`, `objectLocked`, `conflict` with the reason.
   */
  async begin(name: BucketName, confirm: string): Promise<BucketId> {
    const { erasing } = this.store
    if (confirm !== name) {
      throw fail("invalidArgument", {
        message: `an erasure cannot be undone; confirm it with the bucket's name, ${name}`,
      })
    }
    const { id } = await erasing.find(name)
    // Before the bucket is closed, so that most refused erasures interrupt no request.
    await erasing.refuseUnsealed(id)
    await erasing.close(id)
    try {
      await erasing.refuseUnsealed(id)
      await this.destroySecret(id)
    } catch (error) {
      await erasing.reopen(id).catch(() => undefined)
      throw error
    }
    this.store.forgetSecrets()
    this.log.info("bucket_erasure_began", { bucket: name, bucketId: id })
    this.wake()
    await this.store.readPolicies().catch(() => undefined)
    return id
  }

  private async destroySecret(id: BucketId): Promise<void> {
    const { erasing, epochs } = this.store
    for (let races = 1; ; races += 1) {
      const newest = await epochs.renew(await erasing.epochOf(id))
      try {
        return await erasing.erase(id, newest)
      } catch (error) {
        if (!isFailure(error, "conflict") || races === RACES_MAX) throw error
      }
    }
  }

  /**
   * Returns the state of a bucket whose erasure has begun. Throws `invalidArgument` if the bucket is not being erased,
   * or was deleted without an erasure; `noSuchBucket` if there never was one.
   */
  async state(id: BucketId): Promise<ErasureState> {
    const { erasing } = this.store
    const erasure = (await erasing.underWay()).find(each => each.id === id)
    if (erasure !== undefined) return { state: "erasing", report: this.reportOf(erasure) }
    if (await erasing.isErased(id)) return { state: "erased", report: undefined }
    throw fail("invalidArgument", { message: "the bucket was not erased, and is not being erased" })
  }

  /** Those under way, as last read. */
  report(): readonly ErasureReport[] {
    return (this.found ?? []).map(erasure => this.reportOf(erasure))
  }

  private reportOf({ id, name, sinceMs, epoch, versions, uploads }: BucketErasure): ErasureReport {
    const { devices } = this.store.records.record
    return {
      bucket: name,
      bucketId: id,
      sinceMs,
      versions,
      uploads,
      keysReplaced: !this.hasKeys(epoch),
      devices: this.unconfirmed(epoch).map(deviceId => {
        const device = devices.find(each => each.id === deviceId)
        const node = device?.home?.node
        const isOffline = device?.state === "offline"
        return { id: deviceId, path: device?.pathHint ?? "", isOffline, ...(node !== undefined && { node }) }
      }),
    }
  }

  private hasKeys(epochMax: number): boolean {
    return epochNumbers(this.store.records.record).some(number => number <= epochMax)
  }

  /** Devices that may still have a key of these epochs. */
  private unconfirmed(epochMax: number): readonly DeviceId[] {
    const elsewhere = this.elsewhere()
    const { epochs: oldest } = this.store.devices
    const isFree = (id: DeviceId): boolean => (oldest.get(id) ?? elsewhere.get(id) ?? 0) > epochMax
    return this.store.records.record.devices.map(({ id }) => id).filter(id => !isFree(id))
  }

  /** Keeps what `report` shows up to date: another node may have begun an erasure. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.store.devices.refresh()
      if (this.found === undefined || this.found.length > 0 || epochNumbers(this.store.records.record).length > 1) {
        await this.read().catch(() => undefined)
      }
      await nextBeat(this.clock, READ_EVERY_MS, signal)
    }
  }

  private async read(): Promise<readonly BucketErasure[]> {
    this.found = await this.store.erasing.underWay()
    return this.found
  }

  async step(): Promise<StepOutcome> {
    const erasures = await this.read()
    if (erasures.length === 0) return "idle"
    const { erasing, devices } = this.store
    const emptied: BucketErasure[] = []
    for (const erasure of erasures) if (!(await erasing.removeSome(erasure.id))) emptied.push(erasure)
    let isBusy = emptied.length < erasures.length
    // Space is freed even where a secret cannot be opened: that is thrown once no rows remain.
    await this.turnOver().catch((error: unknown) => {
      this.trouble = String(error)
      if (!isBusy) throw error
    })
    isBusy ||= this.outcome === "more"
    await devices.refresh()
    for (const { id, name, epoch } of emptied) {
      if (this.hasKeys(epoch) || this.unconfirmed(epoch).length > 0) continue
      await erasing.end(id)
      this.done.add({})
      this.log.info("bucket_erased", { bucket: name, bucketId: id })
      isBusy = true
    }
    return isBusy ? "busy" : "throttled"
  }

  private async turnOver(): Promise<void> {
    const epochMax = await this.store.erasing.erasedEpochs()
    this.outcome = epochMax === undefined ? "done" : await this.store.turnover.step(epochMax)
    this.trouble = undefined
    if (this.outcome === "backup") this.wakeBackup()
  }

  release(): Promise<void> {
    this.store.turnover.release()
    return Promise.resolve()
  }

  progress(): string {
    const reports = this.report()
    const [first] = reports
    if (first === undefined) return "no bucket is being erased"
    const more = reports.length > 1 ? `, and ${reports.length - 1} more` : ""
    return `bucket ${first.bucket}${more}: ${this.waitText(first)}`
  }

  private waitText({ keysReplaced, versions, uploads, devices }: ErasureReport): string {
    if (this.trouble !== undefined) return `the former key stays: ${this.trouble}`
    if (this.outcome === "backup") return "waits for a backup of the metadata"
    if (this.outcome === "kept") return "the former key stays for a while, in case the database loses its last changes"
    if (!keysReplaced) return "secrets of the other buckets are sealed under a new key"
    if (versions + uploads > 0) return `${versions} versions and ${uploads} uploads left`
    const names = devices.map(({ path, node }) => (node === undefined ? path : `${path} on ${node}`))
    return names.length === 0 ? "ends" : `waits for ${names.join(", ")}`
  }
}
