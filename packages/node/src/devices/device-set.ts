/**
 * Device set: the devices that a running engine holds open. It changes while the engine runs: failing devices
 * are removed, added or returning ones are opened.
 *
 * Promises  Reports a device that fails a write or a sync, or does not respond, to `onTrouble` within
 *           REPORT_MS_MAX of the failure. A removed device is neither read nor written from that moment, and
 *           nothing waits for it.
 * Limits    CLOSE_MS_MAX for closing a removed device.
 */
import type { ShardDevice } from "@hayloft/engine/block/index.js"
import { assert } from "@hayloft/base/assert.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import type { KeptFolder } from "../control/record-manager.js"
import { mapBounded, Rest, supervise, type BackgroundService } from "@hayloft/base/life/index.js"
import { untilBeatMs } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import type { DeviceStack } from "./device-stack.js"

const REPORT_MS_MAX = 200
/** A failed call has stopped what depends on it after so long. */
const LOOK_AFTER_MS = REPORT_MS_MAX / 2
/** How often the devices are looked at without a failed call. */
const LOOK_EVERY_MS = 1_000
/** The files of a device that does not respond stay open until the process ends. */
const CLOSE_MS_MAX = 2_000

/** A folder that this process owns for one incarnation. */
export interface OwnedFolder {
  readonly place: DeviceStack["place"]
  /** They guard the folder while it is in use. */
  readonly backgroundServices: readonly BackgroundService[]
  /** Throws `folderInUse` if another process owns the folder, `deviceFailed` if its owner cannot be read. */
  check(): Promise<void>
  /** Throws like `check`. */
  raiseFormatEpoch(formatEpoch: number): Promise<void>
  release(): Promise<void>
}

interface Open {
  readonly stack: DeviceStack
  readonly folder: OwnedFolder
  /** Ends the device's background work. */
  readonly lifetime: AbortController
  ended: Promise<void>
}

/** The reason to take a device offline; undefined while it is healthy. A full disk is healthy. */
export function troubleOf({ disk, log, rows, volumes }: DeviceStack): Failure | undefined {
  const failures = [disk.suspect, log.stopped, rows.failed, volumes.refusing]
  return failures.find(failure => failure !== undefined && !isFailure(failure, "stopping", "deviceFull"))
}

export class DeviceSet implements BackgroundService {
  readonly name = "devices"
  /** The devices of the block layer, on this node and on others; changes as devices are added and removed. */
  readonly shards = new Map<DeviceId, ShardDevice>()
  /** The devices of this node. */
  readonly own = new Map<DeviceId, ShardDevice>()
  private readonly remote = new Map<DeviceId, ShardDevice>()
  private readonly devices = new Map<DeviceId, Open>()
  private readonly closing = new Set<Promise<void>>()
  private signal: AbortSignal | undefined
  private readonly rest: Rest

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly log: Log,
    private readonly onTrouble: (id: DeviceId, failure: Failure) => void,
  ) {
    this.rest = new Rest(clock)
  }

  /** In the order in which they were added. */
  get open(): readonly DeviceStack[] {
    return [...this.devices.values()].map(({ stack }) => stack)
  }

  /** Folders that the control record is written to. */
  get kept(): readonly KeptFolder[] {
    return [...this.devices.values()].map(({ stack: { place, disk }, folder }) => {
      return { id: place.id, path: place.path, disk, check: () => folder.check() }
    })
  }

  find(id: DeviceId): DeviceStack | undefined {
    return this.devices.get(id)?.stack
  }

  add(stack: DeviceStack, folder: OwnedFolder): void {
    const { id } = stack.place
    assert(!this.devices.has(id), "a device is opened once")
    const open: Open = { stack, folder, lifetime: new AbortController(), ended: Promise.resolve() }
    this.devices.set(id, open)
    stack.disk.onFailed = () => this.rest.wake()
    this.own.set(id, stack.shards)
    this.show(id)
    if (this.signal !== undefined) this.begin(open)
  }

  /**
   * The superblocks of all open devices have at least this epoch when it resolves. Throws the failure of one; a device
   * that failed is reported.
   */
  async raiseFormatEpoch(formatEpoch: number): Promise<void> {
    await mapBounded([...this.devices.values()], DEVICES_MAX, async ({ folder }) => {
      try {
        await folder.raiseFormatEpoch(formatEpoch)
      } catch (error) {
        // Only the owner of the folder writes its superblock, so that nothing else would notice.
        if (isFailure(error, "deviceFailed")) this.onTrouble(folder.place.id, error)
        throw error
      }
    })
  }

  /** A device of another node; undefined: it is not reached any more. An own device that is open stays. */
  setRemote(id: DeviceId, device: ShardDevice | undefined): void {
    if (device === undefined) this.remote.delete(id)
    else this.remote.set(id, device)
    this.show(id)
  }

  private show(id: DeviceId): void {
    const device = this.own.get(id) ?? this.remote.get(id)
    if (device === undefined) this.shards.delete(id)
    else this.shards.set(id, device)
  }

  /** Removes a device synchronously; closing it and releasing its folder run in the background. */
  remove(id: DeviceId, reason: Failure): void {
    const open = this.forget(id)
    if (open === undefined) return
    open.stack.giveUp(reason)
    const closed = this.closeSoon(open).finally(() => this.closing.delete(closed))
    this.closing.add(closed)
  }

  /** Closes a healthy device and keeps its folder, so that it can be opened again. */
  async close(id: DeviceId): Promise<OwnedFolder | undefined> {
    const open = this.forget(id)
    if (open === undefined) return undefined
    await this.end(open)
    return open.folder
  }

  private forget(id: DeviceId): Open | undefined {
    const open = this.devices.get(id)
    this.devices.delete(id)
    this.own.delete(id)
    this.show(id)
    open?.lifetime.abort()
    return open
  }

  /** Runs the background services of the devices, and watches for failures, until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    this.signal = signal
    for (const open of this.devices.values()) this.begin(open)
    while (!signal.aborted) {
      for (const { stack } of this.devices.values()) {
        const trouble = troubleOf(stack)
        if (trouble !== undefined) this.onTrouble(stack.place.id, trouble)
      }
      const hasFailed = await this.rest.until(untilBeatMs(this.clock, LOOK_EVERY_MS), signal)
      if (hasFailed) await this.clock.sleep(LOOK_AFTER_MS, signal)
    }
    this.signal = undefined
    for (const { lifetime, ended } of this.devices.values()) {
      lifetime.abort()
      await ended
    }
  }

  /** Call after `run` has ended: closes all open devices. */
  async closeAll(): Promise<void> {
    for (const { stack } of this.devices.values()) await stack.close()
    for (const closed of this.closing) await closed
    this.devices.clear()
    this.own.clear()
    this.shards.clear()
  }

  private begin(open: Open): void {
    const { stack, folder, lifetime } = open
    const backgroundServices = [...stack.backgroundServices, ...folder.backgroundServices]
    open.ended = supervise(backgroundServices, this.clock, this.random.fork(stack.place.id), this.log, lifetime.signal)
  }

  private async closeSoon(open: Open): Promise<void> {
    const orderly = this.end(open).then(() => open.folder.release().catch(() => undefined))
    await within(this.clock, CLOSE_MS_MAX, orderly)
  }

  private async end({ stack, ended }: Open): Promise<void> {
    await ended.catch(() => undefined)
    await stack.close().catch(() => undefined)
  }
}
