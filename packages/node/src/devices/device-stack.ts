/**
 * Device stack: builds everything that runs on one device (log, rows, needle volumes, payloads, checkpoints)
 * over the seams.
 */
import {
  parseLogSequence,
  type DeviceId,
  type Epoch,
  type Incarnation,
  type LogSequence,
  type TabletId,
} from "@hayloft/base/ids.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import { DeviceCipher, type DeviceKeys } from "@hayloft/base/encryption/device-cipher.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { DisposeStack, type Job, type BackgroundService } from "@hayloft/base/life/index.js"
import type { ShardDevice } from "@hayloft/engine/block/index.js"
import {
  MetadataScrub,
  CALL_LIMITS,
  Checkpointer,
  type CheckpointLimits,
  type CheckpointRuns,
  checkPosition,
  type CommitLog,
  containedPosition,
  containedSequence,
  type DeviceSpace,
  LogScrub,
  notePosition,
  openLog,
  type QueuedDisk,
  queuedDisk,
  readSourceMark,
  Rows,
  type SegmentedLog,
  type Spaces,
  type Stalls,
  SyncReads,
} from "@hayloft/engine/device/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { residentBytesMax } from "@hayloft/base/seams/store/real-memory.js"
import type { StoreReader, Stores } from "@hayloft/base/seams/store/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { ReplicaDevice } from "@hayloft/engine/tablet/index.js"
import {
  checkOwner,
  DeviceCompaction,
  DeviceScrub,
  DeviceVolumes,
  endsByOf,
  EXPIRING_CLASSES,
  EXPIRING_LIMITS,
  ExpiringRows,
  openVolumes,
  PayloadReader,
  sourceNameOf,
  VOLUME_LIMITS,
  volumeBytesMaxFor,
  VOLUMES_SOURCE,
  type ExpiringClass,
  type NeedleId,
} from "@hayloft/engine/volume/index.js"
import { readScrubRecord, Scrubbing } from "./scrubbing.js"
import type { CheckpointRunner } from "../metadata/checkpoint-job.js"
import { expiringFolderOf, foldersOf } from "./folders.js"
import { PlainFiles } from "./plain-files.js"

export interface DevicePlace {
  readonly id: DeviceId
  readonly path: string
  readonly incarnation: Incarnation
  /** By the wall clock; absent if unknown. */
  readonly createdMs?: number
  /** Encrypt what the device holds. */
  readonly keys?: DeviceKeys | undefined
}

/** Background work on one device. */
interface Tending {
  readonly compaction: DeviceCompaction
  readonly scrub: Scrubbing
  readonly scrubMetadata: Job
  readonly scrubLog: Job
}

export interface DeviceStack {
  readonly place: DevicePlace
  /** The device's files behind its queue, which bounds the time of every call. */
  readonly disk: QueuedDisk
  readonly space: DeviceSpace
  readonly log: CommitLog
  readonly rows: Rows
  readonly volumes: DeviceVolumes
  /** The device held needles or payloads when it was opened: it has been part of a store that served. */
  readonly hasBodies: boolean
  readonly checkpointer: Checkpointer
  /** Change this map before the first entry of a new replica incarnation is logged. */
  readonly replicaIncarnations: Map<TabletId, Epoch>
  readonly replica: ReplicaDevice
  readonly shards: ShardDevice
  readonly tending: Tending
  readonly plain: PlainFiles
  /** They run while the device is open. */
  readonly backgroundServices: readonly BackgroundService[]
  /** Stops all reads and writes; calls in progress fail. */
  giveUp(reason: Failure): void
  close(): Promise<void>
}

export interface DeviceOptions {
  /** Runs before each new log segment; throws if this process no longer owns the folder. */
  readonly guard?: () => Promise<void>
  /** The device's folder is its own mount point: the reserve may be large. */
  readonly isMountPoint?: boolean
  readonly checkpointLimits?: CheckpointLimits
  /** The log is filled ahead in steps of this size; smaller on simulated disks, which are in memory. */
  readonly logFillStepBytes?: number
  /** Judges all devices of this process together; absent: the device is judged alone. */
  readonly stalls?: Stalls
  /** Nothing on the device is older, by the wall clock; 0 if absent. */
  readonly aliveSinceMs?: number
  /** Period in which all needles are verified. */
  readonly scrubEveryMs?: number
  /** Throws while no needle may be removed. */
  readonly checkRemoval?: () => void
  /**
   * Resolves once releases that know no volumes of needles that end cannot open the folder. Absent: no needles are placed
   * apart.
   */
  readonly refuseEarlier?: () => Promise<void>
  /** Reports a corrupt needle. */
  readonly onDamage?: (device: DeviceId, needle: NeedleId) => void
  /** Reports damage in a row or in the log. */
  readonly onBadRow?: (device: DeviceId, failure: Failure) => void
}

/** The seams that a device is opened over. */
export interface DeviceSeams {
  readonly disk: Disk
  readonly stores: Stores
  readonly clock: Clock
  readonly log: Log
  readonly checkpoints: CheckpointRunner
  readonly random: Random
}

/** The device to open, and its role. */
interface DeviceToOpen {
  readonly place: DevicePlace
  /** Tablets that have a replica on the device, with the epoch since which it holds them. */
  readonly replicaIncarnations: Map<TabletId, Epoch>
  readonly spaces: Spaces
  readonly options: DeviceOptions
}

/** Opens a device. Failures name its folder. */
export async function openDevice(seams: DeviceSeams, device: DeviceToOpen): Promise<DeviceStack> {
  try {
    return await openStack(seams, device)
  } catch (error) {
    if (!isFailure(error)) throw error
    throw fail(error.kind, { ...error.details, folder: device.place.path }, error)
  }
}

/** Replace a disk that does this repeatedly. */
export function logRebuilt(output: Log, path: string, offsetBytes: number): void {
  output.warn("metadata_store_repaired_from_parity", { path, offsetBytes })
}

interface Files {
  readonly queue: QueuedDisk
  readonly space: DeviceSpace
  /** Behind the queue; writes may use the ballast. */
  readonly disk: Disk
  readonly syncReads: SyncReads
  readonly cipher: DeviceCipher | undefined
}

interface Metadata {
  readonly metadataStore: StoreReader
  readonly contained: LogSequence
  readonly log: SegmentedLog
  readonly rows: Rows
}

interface Contents {
  readonly volumes: DeviceVolumes
  readonly payloads: PayloadReader
  readonly hasBodies: boolean
}

async function openStack(seams: DeviceSeams, device: DeviceToOpen): Promise<DeviceStack> {
  const { clock, log: output, checkpoints: runner } = seams
  const { place, replicaIncarnations, options } = device
  await using opened = new DisposeStack()
  const files = await openFiles(opened, seams, device)
  const metadata = await openMetadata(opened, files, seams, device)
  const contents = await openContents(opened, files, metadata, device, seams)
  const { queue, space, cipher } = files
  const { metadataStore, contained, log, rows } = metadata
  const { volumes, payloads } = contents
  const positions = new Map(
    [...replicaIncarnations].map(([tabletId, since]) => [tabletId, containedPosition(metadataStore, tabletId, since)]),
  )
  const runs = runsOf(seams, place, files, metadata, contents)
  const checkpointed = { name: place.id, rows, log, replicaIncarnations, runs }
  const checkpointer = new Checkpointer(checkpointed, clock, output, { limits: options.checkpointLimits, space })
  space.addPending(() => log.lengthBytes)
  const tending = await tendingOf(seams, device, files, metadata, volumes)
  const open = opened.move()
  return {
    place,
    disk: queue,
    space,
    log,
    rows,
    volumes,
    hasBodies: contents.hasBodies,
    checkpointer,
    replicaIncarnations,
    replica: {
      id: place.id,
      log,
      rows,
      contained,
      containedPosition: (tabletId, since) =>
        replicaIncarnations.get(tabletId) === since ? positions.get(tabletId) : undefined,
      readPayload: (family, key, payload) => payloads.read(family, key, payload),
      syncReads: files.syncReads,
      verifyMetadataStore: signal => metadataStore.verify(signal),
      spaceForWrites: grows => {
        const untilSpace = checkpointer.spaceForWrites()
        if (!grows) return untilSpace
        return untilSpace === undefined ? space.spaceForMetadata() : untilSpace.then(() => space.spaceForMetadata())
      },
    },
    shards: shardsOf(place.id, files, volumes),
    tending,
    plain: new PlainFiles({ place, disk: queue, stores: seams.stores, cipher, log, volumes, checkpointer, ...tending }),
    backgroundServices: [checkpointer, space],
    giveUp: reason => {
      queue.retire(reason)
      runner.giveUp(place.id)
    },
    close: async () => {
      await runner.forget(place.id)
      await open[Symbol.asyncDispose]()
    },
  }
}

/** Returns undefined if the device is not encrypted. */
export const cipherOf = ({ id, keys }: Pick<DevicePlace, "id" | "keys">, random: Random): DeviceCipher | undefined =>
  keys && new DeviceCipher(keys, random.fork(`cipher ${id}`))

async function openFiles(
  opened: DisposeStack,
  { disk: rawDisk, clock, log: output, random }: DeviceSeams,
  { place, spaces, options }: DeviceToOpen,
): Promise<Files> {
  const lifetime = new AbortController()
  opened.defer(() => lifetime.abort())
  const onSuspect = ({ message }: Failure) => output.error("device_does_not_respond", { device: place.id, message })
  const queue =
    options.stalls?.queued(place.path, { disk: rawDisk, clock }, lifetime.signal, onSuspect) ??
    queuedDisk(rawDisk, clock, CALL_LIMITS, lifetime.signal, onSuspect)
  const space = await spaces.open(place.id, queue, place.path, options.isMountPoint ?? false)
  opened.defer(() => space.close())
  const cipher = cipherOf(place, random)
  return { queue, space, disk: space.disk, syncReads: new SyncReads(clock), cipher }
}

async function openMetadata(
  opened: DisposeStack,
  { disk, syncReads, space, cipher }: Files,
  { stores, log: output }: DeviceSeams,
  { place, replicaIncarnations, options: { guard, logFillStepBytes: fillStepBytes } }: DeviceToOpen,
): Promise<Metadata> {
  const folders = foldersOf(place.path)
  await disk.makeFolder(folders.metadataStore)
  const rebuilt = (path: string, offsetBytes: number): void => logRebuilt(output, path, offsetBytes)
  const metadataStore = await stores.openReader(folders.metadataStore, {
    disk,
    deviceId: place.id,
    cipher,
    syncReads,
    rebuilt,
  })
  opened.defer(() => metadataStore.close())
  // The log is truncated because the metadata store contains its entries: the store's file names must survive a power
  // cut.
  await disk.syncFolder(folders.metadataStore)
  const contained = containedSequence(metadataStore)
  const isShort = (): boolean => space.isFull
  // A refused start leaves the log as it is: with the right metadata store, or on the operator's word, the next one goes on.
  const check = ({ durable, beginsWith }: Pick<SegmentedLog, "durable" | "beginsWith">): Promise<void> =>
    checkPosition(disk, place.path, place.id, {
      // The batch that confirms the last one counts, which the log writes again at each start: the note may know it.
      logged: durable === 0 ? durable : parseLogSequence(durable + 1),
      generation: metadataStore.generation,
      contained,
      // A device without a replica needs no log entries.
      beginsWith: replicaIncarnations.size === 0 ? contained : beginsWith,
    })
  const log = await openLog(disk, folders.log, place.id, {
    known: contained,
    isShort,
    check,
    cipher,
    ...(guard && { guard }),
    ...(fillStepBytes !== undefined && { fillStepBytes }),
  })
  opened.defer(() => log.close())
  await cutContained(log, contained)
  // A device without a replica needs no log entries: the next checkpoint truncates the log.
  return {
    metadataStore,
    contained,
    log,
    rows: new Rows(metadataStore, replicaIncarnations.size === 0 ? log.durable : contained),
  }
}

async function openContents(
  opened: DisposeStack,
  files: Files,
  metadata: Metadata,
  device: DeviceToOpen,
  { clock, log: output }: Pick<DeviceSeams, "clock" | "log">,
): Promise<Contents> {
  const { disk, syncReads, cipher } = files
  const { place } = device
  const folders = foldersOf(place.path)
  const volumes = await openNeedles(files, metadata, device, clock)
  opened.defer(() => volumes.close())
  for (const damage of volumes.damages) output.error("volume_damaged", { device: place.id, ...damage })
  await checkOwner(disk, folders.payloads, place.id)
  await disk.makeFolder(folders.payloads)
  const cached = await PayloadReader.cachedPagesOf(disk, folders.payloads, residentBytesMax())
  const payloads = new PayloadReader(disk, folders.payloads, {
    sync: { reads: syncReads, cached },
    cipher,
  })
  opened.defer(() => payloads.close())
  const hasBodies = volumes.usage().volumes > 0 || (await disk.list(folders.payloads)).length > 0
  return { volumes, payloads, hasBodies }
}

/** The ordinary volumes of needles, and those of each class of ends that the device has. */
async function openNeedles(
  { disk, space, syncReads, cipher }: Files,
  { metadataStore, rows }: Metadata,
  { place, options }: DeviceToOpen,
  clock: Clock,
): Promise<DeviceVolumes> {
  const { checkRemoval = () => undefined, refuseEarlier } = options
  const { deviceId, incarnation } = { deviceId: place.id, incarnation: place.incarnation }
  const folderOf = (ends: ExpiringClass | undefined): string =>
    ends === undefined ? foldersOf(place.path).volumes : expiringFolderOf(place.path, ends)
  const markOf = (ends: ExpiringClass | undefined): Uint8Array | undefined =>
    readSourceMark(metadataStore, ends === undefined ? VOLUMES_SOURCE : sourceNameOf(ends))
  const volumeBytesMax = Math.min(VOLUME_LIMITS.volumeBytesMax, volumeBytesMaxFor(space.fullness.reserveBytes))
  const cachedBytesMax = residentBytesMax()
  const existing: ExpiringClass[] = []
  for (const ends of EXPIRING_CLASSES) {
    if (markOf(ends) !== undefined || (await disk.exists(folderOf(ends)))) existing.push(ends)
  }
  return DeviceVolumes.open({
    wallMs: () => clock.wallMs(),
    open: async (ends, mayAppend, began) => {
      const folder = folderOf(ends)
      await checkOwner(disk, folder, deviceId)
      const directory = { folder, deviceId, incarnation, cipher }
      const shared = { mayAppend, checkRemoval }
      if (ends === undefined) {
        const sync = { reads: syncReads, cachedBytesMax }
        const limits = { ...VOLUME_LIMITS, volumeBytesMax }
        return openVolumes(disk, rows, directory, markOf(ends), { ...shared, limits, sync })
      }
      const endsByMs = (): number => {
        began()
        return endsByOf(ends, clock.wallMs())
      }
      const { cachedShare, filesOpenMax } = EXPIRING_LIMITS
      const sync = { reads: syncReads, cachedBytesMax: cachedBytesMax * cachedShare }
      const limits = { ...VOLUME_LIMITS, volumeBytesMax, filesOpenMax }
      const ofClass = new ExpiringRows(rows, ends)
      return openVolumes(disk, ofClass, { ...directory, endsByMs }, markOf(ends), { ...shared, limits, sync })
    },
    existing,
    refuseEarlier: refuseEarlier ?? (() => Promise.resolve()),
    // While a device is encrypted, its plain needles are written again: expiry classes wait until there are none.
    placesApart: () => refuseEarlier !== undefined && cipher?.acceptsPlain !== true,
    mayAppend: bytes => space.mayTakeNeedles(bytes),
  })
}

/** Requests are built right after the memtable was frozen: the durable positions then cover all of its rows. */
function runsOf(
  { checkpoints: runner, log: output }: DeviceSeams,
  place: DevicePlace,
  { disk }: Files,
  { log, rows }: Metadata,
  { volumes, payloads }: Contents,
): CheckpointRuns {
  const note = (generation: number): Promise<void> =>
    notePosition(disk, place.path, place.id, { logged: log.durable, generation })
  const checkpoint: CheckpointRuns["checkpoint"] = async request => {
    const upTo = volumes.durable()
    const result = await runner.run({ device: place, ...request, volumes: upTo, adopted: rows.adopted })
    volumes.contained(upTo)
    if (result.damages > 0) output.error("volume_damaged", { device: place.id, stretches: result.damages })
    for (const volume of result.removed) await payloads.giveUp(volume)
    await note(result.generation)
    return result
  }
  const merge: CheckpointRuns["merge"] = async request => {
    const outcome = await runner.merge({ device: place, ...request, adopted: rows.adopted })
    if (outcome.rows !== undefined) await note(outcome.generation)
    return outcome
  }
  return { checkpoint, merge }
}

const shardsOf = (id: DeviceId, { queue, space }: Files, volumes: DeviceVolumes): ShardDevice => ({
  id,
  volumes,
  get isWritable() {
    return volumes.refusing === undefined && queue.suspect === undefined
  },
  get isFull() {
    return space.isFull
  },
})

async function tendingOf(
  { checkpoints: runner, clock }: DeviceSeams,
  { place, options }: DeviceToOpen,
  { disk, space }: Files,
  { log }: Metadata,
  volumes: DeviceVolumes,
): Promise<Tending> {
  const { onDamage, onBadRow, aliveSinceMs = 0, scrubEveryMs } = options
  const { id, path } = place
  const rotten = (needle: NeedleId): void => onDamage?.(id, needle)
  const saved = await readScrubRecord(disk, path)
  const scrub = new DeviceScrub(volumes, saved?.state, rotten)
  const compaction = new DeviceCompaction({ name: `compaction ${id}`, volumes, clock, onDamage: rotten, space })
  space.setUndoCopies(() => compaction.undoCopies())
  return {
    compaction,
    scrub: new Scrubbing({ id, path, disk, volumes, aliveSinceMs }, scrub, saved, clock, scrubEveryMs),
    scrubMetadata: new MetadataScrub(
      id,
      from => runner.scrubMetadata(place, from),
      ([finding]) => finding && onBadRow?.(id, fail("corruptRow", { family: finding.family, reason: finding.reason })),
      clock,
    ),
    scrubLog: new LogScrub(
      id,
      () => ({ after: log.cutUpTo, upTo: log.durable }),
      (after, upTo) => runner.scrubLog(place, after, upTo),
      damage => onBadRow?.(id, damage),
      clock,
    ),
  }
}

/**
 * A process that died between a checkpoint and the truncation after it leaves batches that the metadata store contains.
 */
async function cutContained(log: CommitLog, contained: LogSequence): Promise<void> {
  await unlessFull(
    () => log.cut(contained),
    () => undefined,
  )
}
