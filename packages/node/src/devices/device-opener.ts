/**
 * Device opener: opens the devices of a store when it starts, and those that join or return while it runs.
 *
 * Promises  A device that cannot be opened is taken offline if the store can run without it. Damaged metadata of a
 *           device that holds no metadata replica is discarded.
 */
import type { MasterKeys } from "@hayloft/access/index.js"
import { asFailure, Failure, isFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Stores } from "@hayloft/base/seams/store/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { isShortage } from "@hayloft/base/space/full-disk-core.js"
import { forgetLearners, markOffline } from "@hayloft/engine/cluster/index.js"
import { CALL_LIMITS, queuedDisk, type Spaces, type Stalls } from "@hayloft/engine/device/index.js"
import { formatEpochOf } from "@hayloft/engine/format/device/control-record.js"
import { FORMAT_EPOCH_OF_ENDS } from "@hayloft/engine/format/device/superblock.js"
import type { NeedleId } from "@hayloft/engine/volume/index.js"
import { deviceKeysIn } from "../control/at-rest.js"
import type { RecordManager } from "../control/record-manager.js"
import type { StoreControl } from "../control/store-control.js"
import type { CheckpointRunner } from "../metadata/checkpoint-job.js"
import { discardMetadata } from "../metadata/discard.js"
import { FIRST_TABLET } from "../metadata/first-tablet.js"
import type { DeviceSet, OwnedFolder } from "./device-set.js"
import { cipherOf, openDevice, type DeviceOptions, type DevicePlace, type DeviceStack } from "./device-stack.js"

/** Devices of a node that are opened, or closed, at the same time. */
export const DEVICES_CONCURRENT = 4

/** The seams over which devices are opened. */
export interface OpenerSeams {
  readonly clock: Clock
  readonly random: Random
  /** Returns the disk through which a device's files are accessed. */
  readonly diskOf: (place: DevicePlace) => Disk
  readonly stores: Stores
  readonly telemetry: Telemetry
  readonly checkpoints: CheckpointRunner
}

interface Sources {
  readonly records: Pick<RecordManager, "record">
  readonly devices: DeviceSet
  readonly control: StoreControl
  readonly masterKeys: MasterKeys
  readonly spaces: Spaces
  readonly stalls: Stalls
  readonly options: DeviceOptions
  /** Throws if rows that reference the bytes of needles may be missing. */
  readonly checkRemoval: () => void
  readonly onDamage: (device: DeviceId, needle: NeedleId) => void
}

export class DeviceOpener {
  constructor(
    private readonly seams: OpenerSeams,
    private readonly sources: Sources,
  ) {}

  /** Takes a device offline if it cannot be opened and the store can run without it. */
  async openAll(folders: readonly OwnedFolder[]): Promise<void> {
    const { devices, control } = this.sources
    const opened = await mapBounded(folders, DEVICES_CONCURRENT, async folder => {
      const stack = await this.openFolder(folder).catch((error: unknown) => asFailure(error))
      if (!(stack instanceof Failure)) devices.add(stack, folder)
      return { folder, stack }
    })
    for (const { folder, stack } of opened) {
      if (!(stack instanceof Failure)) continue
      await this.goOnWithout(folder.place.id, stack)
      // The store may open the folder again while it runs.
      await folder.release()
    }
    // Learners from an earlier process may have a gap in their metadata.
    await control.change("start", forgetLearners)
  }

  /** Discards damaged metadata of a device that holds no metadata replica. */
  private async openFolder(folder: OwnedFolder): Promise<DeviceStack> {
    try {
      return await this.openStack(folder)
    } catch (error) {
      const isReplica = this.sources.control.holdsMetadata(folder.place.id)
      // The control record has proven the key: a log that it does not open is damaged.
      const isDamaged = isFailure(error, "corruptLog", "corruptRow", "corruptRecord", "corruptSeal")
      if (isReplica || !isDamaged) throw error
      await this.discard(folder)
      return this.openStack(folder)
    }
  }

  private async discard({ place }: OwnedFolder): Promise<void> {
    const { diskOf, stores, clock, random, telemetry } = this.seams
    telemetry.log.warn("metadata_store_discarded", { device: place.id })
    const watch = new AbortController()
    try {
      const disk = queuedDisk(diskOf(place), clock, CALL_LIMITS, watch.signal, () => undefined)
      await discardMetadata(stores, place.path, { disk, deviceId: place.id, cipher: cipherOf(place, random) })
    } finally {
      watch.abort()
    }
  }

  /** Closes a healthy device that holds no metadata replica, and opens it again with an empty metadata store. */
  async rebuild(id: DeviceId): Promise<void> {
    const folder = await this.sources.devices.close(id)
    if (folder === undefined) return
    try {
      await this.discard(folder)
      await this.bringIn(folder)
    } catch (error) {
      await this.goOnWithout(id, asFailure(error))
      await folder.release()
    }
  }

  private openStack(folder: OwnedFolder): Promise<DeviceStack> {
    const { clock, random, diskOf, stores, telemetry, checkpoints } = this.seams
    const { records, control, masterKeys, spaces, stalls, checkRemoval, onDamage } = this.sources
    const { place } = folder
    const { record } = records
    const device = record.devices.find(({ id }) => id === place.id)
    const replicas = record.tablets.flatMap(tablet => tablet.replicas)
    const since = replicas.find(({ id }) => id === place.id)?.since
    const replicaIncarnations = new Map(since === undefined ? [] : [[FIRST_TABLET, since]])
    const options: DeviceOptions = {
      ...this.sources.options,
      stalls,
      guard: () => folder.check(),
      isMountPoint: device?.isMountPoint ?? false,
      aliveSinceMs: place.createdMs ?? device?.stateSinceMs ?? clock.wallMs(),
      checkRemoval,
      refuseEarlier: () => folder.raiseFormatEpoch(FORMAT_EPOCH_OF_ENDS),
      onDamage,
      onBadRow: (deviceId, failure) => control.damaged(deviceId, failure),
    }
    const seams = { disk: diskOf(place), stores, clock, random, log: telemetry.log, checkpoints }
    const keys = deviceKeysIn(record, masterKeys.current, place.id)
    return openDevice(seams, { place: { ...place, keys }, replicaIncarnations, spaces, options })
  }

  async bringIn(folder: OwnedFolder): Promise<DeviceStack> {
    const stack = await this.openFolder(folder)
    try {
      // The first key may have been made since the folder was taken.
      await folder.raiseFormatEpoch(formatEpochOf(this.sources.records.record))
    } catch (error) {
      await stack.close().catch(() => undefined)
      throw error
    }
    this.sources.devices.add(stack, folder)
    return stack
  }

  /** Takes a device offline if its checkpoint fails and the store can run without it. */
  async checkpointFirst(stack: DeviceStack): Promise<void> {
    const { control, devices, stalls } = this.sources
    const { place, checkpointer, disk } = stack
    try {
      await checkpointer.checkpoint()
    } catch (error) {
      const failure = asFailure(error)
      // The thread that makes checkpoints sees one device only.
      const isLate = failure.details["code"] === "ETIMEDOUT" && disk.suspect === undefined
      if (isLate && stalls.isStalling) return this.checkpointFirst(stack)
      if (!isShortage(failure)) await control.takeOffline(place.id, failure)
      if (devices.find(place.id) !== undefined) throw failure
    }
  }

  /** Takes the device offline. Throws the failure if the store cannot run without the device. */
  async goOnWithout(id: DeviceId, failure: Failure): Promise<void> {
    const { clock, telemetry } = this.seams
    const { control, devices } = this.sources
    // `tooManyInFlight` concerns this process, not the device. A device without the space to be opened is healthy, but
    // the others serve better without it than not at all; the store tries to open it again while it runs.
    if (failure.kind === "tooManyInFlight") throw failure
    try {
      await control.change("device cannot be opened", record => markOffline(record, [id], clock.wallMs()))
    } catch {
      throw failure
    }
    telemetry.log.error("device_cannot_be_opened", { device: id, reason: failure.message })
    control.noteOffline(id, failure)
    devices.remove(id, failure)
  }
}
