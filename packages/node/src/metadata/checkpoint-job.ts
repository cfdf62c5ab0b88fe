/**
 * Checkpoint jobs: requests of a serving process to the threads that write its metadata stores, and that read
 * pages which are not in memory without blocking requests.
 *
 * A job contains plain values, so that it can be sent to a worker thread; the executor there keeps each
 * device's writer and payload volume open between jobs.
 */
import { fail } from "@hayloft/base/failures.js"
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
  type CheckpointRequest,
  type CheckpointResult,
  type LogScrubbed,
  type MergeOutcome,
  type QueuedDisk,
} from "@hayloft/engine/device/index.js"
import { DeviceCipher, type DeviceKeys } from "@hayloft/base/encryption/device-cipher.js"
import type { DeviceId, Incarnation, LogSequence } from "@hayloft/base/ids.js"
import type { VolumePosition } from "@hayloft/engine/format/needles/volume.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { MergeUrgency, Stores, StoreWriter } from "@hayloft/base/seams/store/contract.js"
import {
  EXPIRING_CLASSES,
  ExpiringSource,
  payloadLimitsFor,
  PayloadVolumes,
  VolumeScanSource,
  type DurableVolumes,
} from "@hayloft/engine/volume/index.js"
import { expiringFolderOf, foldersOf } from "../devices/folders.js"

/** A device as one process opens it. */
export interface CheckpointDevice {
  readonly id: DeviceId
  readonly path: string
  readonly incarnation: Incarnation
  readonly keys?: DeviceKeys | undefined
}

export interface CheckpointJob extends CheckpointRequest {
  readonly device: CheckpointDevice
  /** Durable positions of the needle volumes when the memtable was frozen. */
  readonly volumes: DurableVolumes
  /** The generation of the store that all readers see. */
  readonly adopted: number
}

export interface MergeJob {
  readonly device: CheckpointDevice
  readonly urgency: MergeUrgency
  /** Bytes that a step may write. */
  readonly spaceBytes: number
  /** Numbers of files that recently failed to be read. */
  readonly unread: readonly number[]
  /** The generation of the store that all readers see: files needed only by earlier ones are removed. */
  readonly adopted: number
}

export interface CheckpointJobResult extends CheckpointResult {
  /** Number of stretches of volumes that could not be read. */
  readonly damages: number
}

/** Requests and answers, by kind. */
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
  /** One at a time for each device. Throws `deviceFull`, `deviceFailed` and the other failures of its files. */
  run(job: CheckpointJob): Promise<CheckpointJobResult>
  /** One step of merging the tables of a store, and removing files that are no longer needed. */
  merge(job: MergeJob): Promise<MergeOutcome>
  /** One step of verifying the rows of a metadata store and the payloads they reference. */
  scrubMetadata(device: CheckpointDevice, from: RowScrubCursor | undefined): Promise<RowsScrubbed>
  /** One step of verifying a log. */
  scrubLog(device: CheckpointDevice, after: LogSequence, upTo: LogSequence): Promise<LogScrubbed>
  /** Fails the running and queued requests of a device that no longer responds. */
  giveUp(id: DeviceId): void
  /** Does the same as `giveUp`, and closes the open files of the device; does not wait for one that hangs. */
  forget(id: DeviceId): Promise<void>
  close(): Promise<void>
  /** After `close`: threads that have not ended yet; a thread whose disk hangs never does. Absent: none. */
  readonly threadsLeft?: number
}

/** A device's files, behind a queue if calls may hang. */
type JobDisk = Disk & Partial<Pick<QueuedDisk, "suspect" | "running">>

interface OpenMetadataStore {
  readonly disk: JobDisk
  readonly store: StoreWriter
  readonly log: LogReader
  readonly payloads: PayloadVolumes
  readonly upkeep: PayloadUpkeep
}

/** Runs jobs in the calling thread: a worker thread, or inline in simulation. One job of a device at a time. */
export class CheckpointExecutor implements CheckpointRunner {
  private readonly metadataStores = new Map<DeviceId, OpenMetadataStore>()
  private readonly disks = new Map<DeviceId, JobDisk>()

  /** `diskOf`: returns access to a device's files with a time limit for every call. */
  constructor(
    private readonly diskOf: (device: CheckpointDevice) => JobDisk,
    private readonly stores: Stores,
    /** Draws the nonces of encrypted files. */
    private readonly random: Random,
    /** Reports damage in a metadata store that the store has repaired. */
    private readonly rebuilt: (path: string, offsetBytes: number) => void = () => undefined,
  ) {}

  async run({ device, volumes, adopted, ...request }: CheckpointJob): Promise<CheckpointJobResult> {
    const folders = foldersOf(device.path)
    const { disk, store, log, upkeep } = await this.metadataStoreOf(device)
    // The checkpoint may need the space of tables that a merge has replaced.
    if (adopted === store.generation) await store.removeUnused()
    const scanOf = (folder: string, upTo: VolumePosition | undefined) =>
      new VolumeScanSource(disk, { folder, deviceId: device.id }, upTo)
    const ordinary = scanOf(folders.volumes, volumes.ordinary)
    const expiring = EXPIRING_CLASSES.flatMap(ends => {
      const position = volumes.expiring.find(({ number }) => number === ends.number)
      return position === undefined ? [] : [{ ends, scan: scanOf(expiringFolderOf(device.path, ends), position.upTo) }]
    })
    const sources = [ordinary, ...expiring.map(({ ends, scan }) => new ExpiringSource(scan, ends))]
    const result = await runCheckpoint(store, log, sources, upkeep, request)
    const damages = [ordinary, ...expiring.map(({ scan }) => scan)].reduce((sum, scan) => sum + scan.damages.length, 0)
    return { ...result, damages }
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
   * A queue fails its device permanently after one slow call, and the serving thread may not have noticed: once no call
   * of it is in progress, the device gets a new queue.
   */
  private diskNow(device: CheckpointDevice): JobDisk {
    const known = this.disks.get(device.id)
    if (known !== undefined && (known.suspect === undefined || known.running !== 0)) return known
    const disk = this.diskOf(device)
    this.disks.set(device.id, disk)
    return disk
  }

  private async open({ id, path, incarnation, keys }: CheckpointDevice, disk: JobDisk): Promise<OpenMetadataStore> {
    const folders = foldersOf(path)
    const cipher = keys && new DeviceCipher(keys, this.random)
    const host = { disk, deviceId: id, cipher, rebuilt: this.rebuilt }
    // A folder that was emptied must not get a new store: the next look at it finds it empty, and it is rebuilt.
    for (const needed of [folders.metadataStore, folders.log]) {
      if (await disk.exists(needed)) continue
      throw fail("deviceFailed", { message: `the folder ${needed} is gone`, path: needed, code: "ENOENT" })
    }
    const store = await this.stores.openWriter(folders.metadataStore, host)
    try {
      const { totalBytes } = await disk.space(path)
      const directory = { folder: folders.payloads, deviceId: id, incarnation, cipher }
      const payloads = await PayloadVolumes.open(disk, directory, payloadLimitsFor(totalBytes))
      const log = openLogReader(disk, folders.log, id, cipher)
      return { disk, store, log, payloads, upkeep: new PayloadUpkeep(payloads) }
    } catch (error) {
      await store.close()
      throw error
    }
  }

  giveUp(): void {
    // Running work ends when its file calls end, and every call has a time limit.
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
