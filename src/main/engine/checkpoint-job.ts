/**
 * Checkpoint jobs: what a serving process asks of the thread that writes its bases.
 *
 * A job names everything by value, so that it can cross to a worker thread; the executor on the other
 * side keeps each device's writer and payload volume open between jobs.
 */
import { runCheckpoint, openLogReader, type CheckpointResult } from "../../device/index.js"
import type { DeviceId, Incarnation, LogSequence, TabletId } from "../../base/ids.js"
import type { VolumePosition } from "../../format/volume.js"
import type { Disk } from "../../seams/disk/contract.js"
import type { Stores, StoreWriter } from "../../seams/store/contract.js"
import { PayloadVolumes, VolumeScanSource } from "../../volume/index.js"
import { foldersOf } from "./folders.js"

export interface CheckpointJob {
  readonly device: { readonly id: DeviceId; readonly path: string; readonly incarnation: Incarnation }
  readonly upTo: LogSequence
  readonly prefixes: ReadonlyMap<TabletId, string>
  /** What was durable in the needle volumes when the overlay was frozen. */
  readonly volumes: VolumePosition | undefined
}

export interface CheckpointJobResult extends CheckpointResult {
  /** Stretches of volumes that could not be read. */
  readonly damages: number
}

export interface CheckpointRunner {
  run(job: CheckpointJob): Promise<CheckpointJobResult>
  close(): Promise<void>
}

interface OpenBase {
  readonly store: StoreWriter
  readonly payloads: PayloadVolumes
}

/** Runs jobs where it stands: on the worker thread, or inline in simulation. One job of a device at a time. */
export class CheckpointExecutor implements CheckpointRunner {
  private readonly bases = new Map<DeviceId, OpenBase>()

  constructor(
    private readonly disk: Disk,
    private readonly stores: Stores,
  ) {}

  async run({ device, upTo, prefixes, volumes }: CheckpointJob): Promise<CheckpointJobResult> {
    const folders = foldersOf(device.path)
    const { store, payloads } = await this.baseOf(device)
    const log = openLogReader(this.disk, folders.log, device.id)
    const source = new VolumeScanSource(this.disk, { folder: folders.volumes, deviceId: device.id }, volumes)
    store.refresh()
    const result = await runCheckpoint(store, log, [source], payloads, { upTo, prefixes })
    return { ...result, damages: source.damages.length }
  }

  private async baseOf(device: CheckpointJob["device"]): Promise<OpenBase> {
    const open = this.bases.get(device.id) ?? (await this.open(device))
    this.bases.set(device.id, open)
    return open
  }

  private async open({ id, path, incarnation }: CheckpointJob["device"]): Promise<OpenBase> {
    const folders = foldersOf(path)
    const store = await this.stores.openWriter(folders.base)
    const payloads = await PayloadVolumes.open(this.disk, { folder: folders.payloads, deviceId: id, incarnation })
    return { store, payloads }
  }

  async close(): Promise<void> {
    for (const { store, payloads } of this.bases.values()) {
      await payloads.close()
      await store.close()
    }
    this.bases.clear()
  }
}
