/**
 * Checkpoint jobs: what a serving process asks of the threads that write its bases, and that read them
 * where a page that is not in memory holds up nobody.
 *
 * A job names everything by value, so that it can cross to a worker thread; the executor on the other
 * side keeps each device's writer and payload volume open between jobs.
 */
import {
  openLogReader,
  type LogReader,
  PayloadUpkeep,
  runCheckpoint,
  runMerge,
  scrubRowsStep,
  scrubLogStep,
  type RowScrubCursor,
  type RowsScrubbed,
  type CheckpointResult,
  type LogScrubbed,
  type MergeOutcome,
  type ReplicaIncarnations,
  type QueuedDisk,
} from "../../device/index.js"
import type { DeviceId, Incarnation, LogSequence } from "../../base/ids.js"
import type { VolumePosition } from "../../format/volume.js"
import type { Disk } from "../../seams/disk/contract.js"
import type { MergeUrgency, Stores, StoreWriter } from "../../seams/store/contract.js"
import { payloadLimitsFor, PayloadVolumes, VolumeScanSource } from "../../volume/index.js"
import { foldersOf } from "../devices/folders.js"

/** A device as it is opened in one life of the process. */
export interface CheckpointDevice {
  readonly id: DeviceId
  readonly path: string
  readonly incarnation: Incarnation
}

export interface CheckpointJob {
  readonly device: CheckpointDevice
  readonly upTo: LogSequence
  readonly replicaIncarnations: ReplicaIncarnations
  /** Payload volumes that an earlier result called empty, and that all readers know to be. */
  readonly emptied: readonly number[]
  /** What may be written to move payloads; absent: no bound. */
  readonly moveBytesMax?: number
  /** What was durable in the needle volumes when the overlay was frozen. */
  readonly volumes: VolumePosition | undefined
  /** The generation of the store that all readers see. */
  readonly adopted: number
}

export interface MergeJob {
  readonly device: CheckpointDevice
  readonly urgency: MergeUrgency
  /** What a step may write. */
  readonly spaceBytes: number
  /** Numbers of files that could not be read lately. */
  readonly unread: readonly number[]
  /** The generation of the store that all readers see: files that only earlier ones needed are removed. */
  readonly adopted: number
}

export interface CheckpointJobResult extends CheckpointResult {
  /** Stretches of volumes that could not be read. */
  readonly damages: number
}

/** What threads do, by kind: what is asked, and what is answered. */
export interface CheckpointWorks {
  readonly checkpoint: { readonly request: CheckpointJob; readonly answer: CheckpointJobResult }
  readonly merge: { readonly request: MergeJob; readonly answer: MergeOutcome }
  readonly scrubMetadata: {
    readonly request: { readonly device: CheckpointDevice; readonly from: RowScrubCursor | undefined }
    readonly answer: RowsScrubbed
  }
  readonly scrubLog: {
    readonly request: { readonly device: CheckpointDevice; readonly after: LogSequence; readonly upTo: LogSequence }
    readonly answer: LogScrubbed
  }
  readonly forget: { readonly request: DeviceId; readonly answer: undefined }
}

export interface CheckpointRunner {
  /** One at a time for each device. Throws `deviceFull`, `deviceFailed` and what else its files say. */
  run(job: CheckpointJob): Promise<CheckpointJobResult>
  /** One step of merging the tables of a store, and removing files that are no longer needed. */
  merge(job: MergeJob): Promise<MergeOutcome>
  /** One step of verifying the rows of a base, and the payloads that they point at. */
  scrubMetadata(device: CheckpointDevice, from: RowScrubCursor | undefined): Promise<RowsScrubbed>
  /** One step of verifying a log. */
  scrubLog(device: CheckpointDevice, after: LogSequence, upTo: LogSequence): Promise<LogScrubbed>
  /** Fails what is asked of a device that does not answer any more, and what it is doing. */
  giveUp(id: DeviceId): void
  /** As `giveUp`, and closes what is open of the device; one that hangs is not waited for. */
  forget(id: DeviceId): Promise<void>
  close(): Promise<void>
  /** After `close`: threads that have not ended yet; one whose disk hangs never does. Absent: none. */
  readonly threadsLeft?: number
}

/** A device's files, behind a queue where calls may hang. */
type JobDisk = Disk & Partial<Pick<QueuedDisk, "suspect" | "running">>

interface OpenMetadataStore {
  readonly disk: JobDisk
  readonly store: StoreWriter
  readonly log: LogReader
  readonly payloads: PayloadVolumes
  readonly upkeep: PayloadUpkeep
}

/** Runs jobs where it stands: on a worker thread, or inline in simulation. One job of a device at a time. */
export class CheckpointExecutor implements CheckpointRunner {
  private readonly metadataStores = new Map<DeviceId, OpenMetadataStore>()
  private readonly disks = new Map<DeviceId, JobDisk>()

  /** `diskOf`: a way to a device's files, on which no call takes for ever. */
  constructor(
    private readonly diskOf: (device: CheckpointDevice) => JobDisk,
    private readonly stores: Stores,
    /** Told of damage in a metadata store that the store has undone. */
    private readonly rebuilt: (path: string, offsetBytes: number) => void = () => undefined,
  ) {}

  async run({ device, volumes, adopted, ...request }: CheckpointJob): Promise<CheckpointJobResult> {
    const folders = foldersOf(device.path)
    const { disk, store, log, upkeep } = await this.metadataStoreOf(device)
    // What a merge has replaced is room that the checkpoint may need.
    if (adopted === store.generation) await store.removeUnused()
    const source = new VolumeScanSource(disk, { folder: folders.volumes, deviceId: device.id }, volumes)
    const result = await runCheckpoint(store, log, [source], upkeep, request)
    return { ...result, damages: source.damages.length }
  }

  async merge({ device, adopted, ...request }: MergeJob): Promise<MergeOutcome> {
    const { store, upkeep } = await this.metadataStoreOf(device)
    if (adopted === store.generation) await store.removeUnused()
    return runMerge(store, upkeep, request)
  }

  async scrubMetadata(device: CheckpointDevice, from: RowScrubCursor | undefined): Promise<RowsScrubbed> {
    const { store, payloads } = await this.metadataStoreOf(device)
    return scrubRowsStep(store, from, (family, key, place) => payloads.read(family, key, place))
  }

  async scrubLog(device: CheckpointDevice, after: LogSequence, upTo: LogSequence): Promise<LogScrubbed> {
    const { log } = await this.metadataStoreOf(device)
    return scrubLogStep(log, after, upTo)
  }

  private async metadataStoreOf(device: CheckpointDevice): Promise<OpenMetadataStore> {
    const disk = this.diskNow(device)
    const known = this.metadataStores.get(device.id)
    if (known?.disk === disk) return known
    await this.forget(device.id)
    const open = await this.open(device, disk)
    this.metadataStores.set(device.id, open)
    return open
  }

  /**
   * A queue gives its device up for good after one call that was slow, and the serving thread may never have
   * noticed: once nothing of it is under way any more the device gets another one.
   */
  private diskNow(device: CheckpointDevice): JobDisk {
    const known = this.disks.get(device.id)
    if (known !== undefined && (known.suspect === undefined || known.running !== 0)) return known
    const disk = this.diskOf(device)
    this.disks.set(device.id, disk)
    return disk
  }

  private async open({ id, path, incarnation }: CheckpointDevice, disk: JobDisk): Promise<OpenMetadataStore> {
    const folders = foldersOf(path)
    const store = await this.stores.openWriter(folders.metadataStore, { disk, deviceId: id, rebuilt: this.rebuilt })
    try {
      const { totalBytes } = await disk.space(path)
      const home = { folder: folders.payloads, deviceId: id, incarnation }
      const payloads = await PayloadVolumes.open(disk, home, payloadLimitsFor(totalBytes))
      return { disk, store, log: openLogReader(disk, folders.log, id), payloads, upkeep: new PayloadUpkeep(payloads) }
    } catch (error) {
      await store.close()
      throw error
    }
  }

  giveUp(): void {
    // Whatever it does ends when the calls to its files do, none of which takes for ever.
  }

  async forget(id: DeviceId): Promise<void> {
    const metadataStore = this.metadataStores.get(id)
    this.metadataStores.delete(id)
    if (metadataStore === undefined) return
    await metadataStore.payloads.close()
    await metadataStore.store.close()
  }

  async close(): Promise<void> {
    for (const id of [...this.metadataStores.keys()]) await this.forget(id)
  }
}
