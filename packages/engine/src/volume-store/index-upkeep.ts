/**
 * Upkeep of the index: the checkpointer of a device whose only rows are those of its needles, which have no log.
 *
 * Promises  The index on disk follows the volumes. One that is behind is brought up to date by the next open, from the
 *           volumes.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseLogSequence } from "@hayloft/base/ids.js"
import {
  Checkpointer,
  PayloadUpkeep,
  runCheckpoint,
  runMerge,
  type CheckpointRuns,
  type CommitLog,
  type DeviceSpace,
  type LogReader,
  type Rows,
} from "../device/index.js"
import type { DisposeStack } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Stores } from "@hayloft/base/seams/store/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { payloadLimitsFor, PayloadVolumes, VolumeScanSource, type KeptVolumes } from "../volume/index.js"
import { foldersOf, type VolumeStoreFolder } from "./folder.js"

export const NO_BATCH = parseLogSequence(0)

/** Nothing is logged: the volumes have it. */
const NO_LOG: CommitLog = {
  durable: NO_BATCH,
  lengthBytes: 0,
  cutUpTo: NO_BATCH,
  stopped: undefined,
  append: () => Promise.reject(fail("internal", { message: "a volume store has no log" })),
  confirm: () => Promise.resolve(),
  read: () => new Uint8Array(0),
  records: () => nothing(),
  cut: () => Promise.resolve(),
  close: () => Promise.resolve(),
}
const NO_READER: LogReader = { records: () => nothing(), batches: () => nothing() }

async function* nothing(): AsyncGenerator<never> {
  // A log without batches.
}

/** Programs ask for problems with `stat`. */
export const SILENT: Log = {
  writes: () => false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

interface Indexed {
  readonly folder: VolumeStoreFolder
  readonly stores: Stores
  readonly space: DeviceSpace
  readonly rows: Rows
  readonly volumes: KeptVolumes
}

/** Both run in this thread. */
async function runsOf(opened: DisposeStack, { folder, stores, rows, volumes }: Indexed): Promise<CheckpointRuns> {
  const { path, disk, deviceId, incarnation } = folder
  const folders = foldersOf(path)
  const store = await stores.openWriter(folders.index, { disk, deviceId })
  opened.defer(() => store.close())
  const { totalBytes } = await disk.space(path)
  const shelf = await PayloadVolumes.open(
    disk,
    { folder: folders.payloads, deviceId, incarnation },
    payloadLimitsFor(totalBytes),
  )
  opened.defer(() => shelf.close())
  const upkeep = new PayloadUpkeep(shelf)
  const removeUnused = async (): Promise<void> => {
    if (rows.adopted === store.generation) await store.removeUnused()
  }
  return {
    checkpoint: async request => {
      const upTo = volumes.durable()
      await removeUnused()
      const source = new VolumeScanSource(disk, { folder: folders.volumes, deviceId }, upTo)
      const result = await runCheckpoint(store, NO_READER, [source], upkeep, request)
      volumes.contained(upTo)
      return result
    },
    merge: async request => {
      await removeUnused()
      return runMerge(store, upkeep, request)
    },
  }
}

export class IndexUpkeep {
  private stop = new AbortController()
  private running: Promise<void>
  private isClosed = false

  private constructor(private readonly checkpointer: Checkpointer) {
    this.running = checkpointer.run(this.stop.signal)
  }

  static async open(opened: DisposeStack, clock: Clock, indexed: Indexed): Promise<IndexUpkeep> {
    const runs = await runsOf(opened, indexed)
    const device = { name: indexed.folder.path, rows: indexed.rows, log: NO_LOG, replicaIncarnations: new Map(), runs }
    return new IndexUpkeep(new Checkpointer(device, clock, SILENT, { space: indexed.space }))
  }

  /** Returns why the index on disk is behind. */
  get error(): string | undefined {
    return this.checkpointer.error
  }

  /** Resolves when the rows in memory are few enough. Throws `tooManyInFlight`, `deviceFull`. */
  spaceForWrites(): Promise<void> | undefined {
    return this.checkpointer.spaceForWrites()
  }

  /** Runs the work while no other checkpoint runs; it may call `checkpoint`. */
  async alone<T>(work: (checkpoint: () => Promise<void>) => Promise<T>): Promise<T> {
    this.stop.abort()
    await this.running
    try {
      return await work(() => this.checkpointer.checkpoint())
    } finally {
      if (!this.isClosed) {
        this.stop = new AbortController()
        this.running = this.checkpointer.run(this.stop.signal)
      }
    }
  }

  get isDue(): boolean {
    return this.checkpointer.isOver(1)
  }

  close(): Promise<void> {
    this.isClosed = true
    return this.alone(checkpoint => checkpoint())
  }
}
