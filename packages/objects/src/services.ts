/** The object services of one node. */
import type { Blocks } from "@hayloft/engine/block/index.js"
import type { Job } from "@hayloft/base/life/index.js"
import { hurried } from "@hayloft/base/seams/clock/hurried.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { BucketId } from "@hayloft/base/ids.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { ABORTED_WAITS, SHARED_ABORTED_WAITS, type AbortedWaits } from "./jobs/aborted-blocks.js"
import { Holdings } from "./jobs/holdings.js"
import { UsageHistory } from "./jobs/usage-history.js"
import { BucketErasing } from "./bucket-erasing.js"
import { BodyEnds } from "./body-ends.js"
import { BucketService } from "./bucket-service.js"
import { NO_CLASSES, type ClassMap } from "./class-policies.js"
import { ChangeWatch } from "./change-watch.js"
import { Collector } from "./jobs/collector.js"
import { ReferringObjects } from "./referring.js"
import { SharedBodies } from "./shared-bodies.js"
import { createEncryptJob, type EncryptJob } from "./jobs/encrypt.js"
import type { ObjectServices } from "./contract.js"
import { startFeatures, type Core } from "./door/feature.js"
import { Encryption } from "./encryption.js"
import { Expiring } from "./expiring.js"
import { Ingest, type StorePolicy } from "./ingest.js"
import { readOrders, WatchedMetadata } from "./watched-metadata.js"
import { MetadataBackup, type MetadataBackupFacts } from "./jobs/metadata-backup.js"
import { MultipartService } from "./multipart-service.js"
import { ObjectReader } from "./object-reader.js"
import { ObjectService } from "./object-service.js"
import { Orphans } from "./jobs/orphans.js"
import { RefusedUploads } from "./jobs/refused-uploads.js"
import { ReadPins, ThreadPins } from "./read-pins.js"
import type { ByteRetention } from "./retention.js"
import { SealedBodies } from "./sealed-body.js"
import { SealedImport } from "./sealed-import.js"
import { RenameService } from "./rename-service.js"
import { Reconciliation } from "./reconcile/reconciliation.js"
import { Reencode } from "./jobs/reencode.js"
import { Repair } from "./jobs/repair.js"
import type { RedundancySource } from "./jobs/repair-contract.js"
import { LateWrites } from "./jobs/late-writes.js"
import { STORE_DAYS, type StoreDays } from "./days.js"
import { RateBound } from "./jobs/repair-rate-core.js"
import { IntegrityAudit } from "./jobs/integrity-audit.js"
import { VisitsForOthers } from "./jobs/visits-for-others.js"
import { ShardPlaces } from "./shard-places.js"
import { StoreClock, type StoreTime } from "./store-clock.js"
import { Uploads } from "./uploads.js"
import type { MissingShardHint } from "./commands/version-commands-core.js"

/** The services of the core; those of features are in `packages/features/src`. */
export interface CoreServices extends Omit<ObjectServices, "moments"> {
  readonly buckets: BucketService
  /** For services that change what users see: the metadata backup counts the changes made through it. */
  readonly tablet: Metadata
  /** The caller starts it, and supervises it from then on. */
  readonly storeClock: StoreClock
  /** The watch for changes of objects. */
  readonly objectWatch: ChangeWatch
  readonly jobs: readonly Job[]
  /** The jobs that each process of the store does for itself; none if only this process opens it. */
  readonly ownJobs: readonly Job[]
  readonly repair: Repair
  /** Visits of repair that another process coordinates. */
  readonly visitsForOthers: VisitsForOthers
  readonly reencode: Reencode
  /** The job is undefined if the store does not encrypt existing objects. */
  readonly encrypt: EncryptJob | undefined
  readonly integrityAudit: IntegrityAudit
  readonly orphans: Orphans
  readonly shardPlaces: ShardPlaces
  readonly erasing: BucketErasing
  readonly holdings: Holdings
  readonly usageHistory: UsageHistory
  /** The core on which features were started. */
  readonly core: Core
  /**
   * Resolves once the devices refuse releases that do not know what is about to be written for the first time: the same
   * ones for classes, expiry and features.
   */
  readonly refuseEarlier: () => Promise<void>
  /** It is undefined if the metadata is not backed up. */
  readonly metadataBackup: MetadataBackup | undefined
  readonly sealedImport: SealedImport
  /** It is undefined if only this process opens the store. */
  readonly reconciliation: Reconciliation | undefined
}

/** The seams and the lower layers that the services run over. */
interface ServiceSeams {
  readonly clock: Clock
  readonly random: Random
  readonly tablet: Metadata
  readonly compute: Compute
  readonly blocks: Blocks
  readonly telemetry: Telemetry
  readonly keys: ObjectKeys
}

interface DuringHalt {
  readonly metadata: Pick<Metadata, "run" | "ask">
  /** Over the same metadata. Undefined: nothing is encrypted. */
  readonly keys?: ObjectKeys | undefined
}

interface ServiceSettings {
  readonly store: StorePolicy
  readonly redundancy: RedundancySource
  /** It is undefined if the metadata is not backed up. */
  readonly backup?: MetadataBackupFacts
  readonly abortedWaits?: AbortedWaits | undefined
  /** If undefined, only this process opens the store, and its readers decide. */
  readonly retention?: ByteRetention | undefined
  /**
   * Asks the other threads of this process: none of their readers uses bytes released at or below the position. Undefined:
   * it has none.
   */
  readonly oldestPinOfOthers?: (() => Promise<number>) | undefined
  /** The metadata and keys that a reconciliation uses while the store is halted. */
  readonly duringHalt?: DuringHalt | undefined
  /** Other processes of the store use the same metadata. */
  readonly isShared?: boolean
  /** Bytes for which a request asks no encryption are sealed too. */
  readonly encryptsAtRest?: boolean | undefined
  /**
   * Returns true if existing objects may have to be encrypted; undefined if they never do. Once it is true, every
   * process of the store has `encryptsAtRest`.
   */
  readonly encryptsExisting?: (() => boolean) | undefined
  /** `STORE_DAYS` if absent. */
  readonly days?: StoreDays | undefined
  /** If absent, no class is mapped, and nothing is done before the first use. */
  readonly classes?: ClassMap
  /** The store's clock, if this process had the store open before. */
  readonly storeTime?: StoreTime | undefined
  /** The least bytes of a part that is not the last one. Simulated stores take less than S3. */
  readonly partBytesMin?: number
  /**
   * How many times as fast as real time the waits of jobs that share a bound of their rate pass; undefined: once. Only tests
   * set it.
   */
  readonly haste?: number | undefined
}

export function createServices(
  { clock, random, tablet, compute, blocks, telemetry, keys }: ServiceSeams,
  { store, redundancy, backup, abortedWaits, duringHalt, isShared = false, ...settings }: ServiceSettings,
): CoreServices {
  const [{ log }, { objectWatch, watched }] = [telemetry, watchedMetadata(clock, tablet, isShared)]
  const [pins, uploads] = [new ReadPins(clock), new Uploads(random, tablet, blocks, log)]
  const backend = { clock, metadata: tablet, blocks, uploads, log }
  const hurry = { clock: hurried(clock, settings.haste ?? 1) }
  const ofJobs = { ...backend, ...hurry }
  const bound = new RateBound(redundancy.moveBytesPerSecondMax)
  const [refused, integrityAudit] = [new RefusedUploads(backend), new IntegrityAudit(clock, tablet, blocks, redundancy)]
  const waits = abortedWaits ?? (isShared ? SHARED_ABORTED_WAITS : ABORTED_WAITS)
  const orphans = new Orphans(backend, { ...seenBy(redundancy), waits }, isShared ? undefined : refused)
  const repair = new Repair(ofJobs, orphans, redundancy, bound, name => integrityAudit.suspect(name), isShared)
  const storeClock = new StoreClock({ clock, metadata: tablet, telemetry }, isShared, settings.storeTime)
  const { classes = NO_CLASSES } = settings
  const refuseEarlier = async (): Promise<void> => classes.use()
  const { encryptsAtRest = false, encryptsExisting: hasWork } = settings
  const buckets = new BucketService(watched)
  const lateWrites = isShared ? new LateWrites(hurry.clock, tablet, uploads, redundancy) : undefined
  const ingestWatch = { onHints: repair.onHints.bind(repair), onNarrow: () => lateWrites?.noteNarrow() }
  const asking = askingFeatures({ clock, storeClock, prepare: refuseEarlier }, () => features)
  const ingest = new Ingest(backend, compute, store, classes, asking, ingestWatch)
  const encryption = new Encryption(random, tablet, keys, encryptsAtRest)
  const sealedBodies = new SealedBodies(blocks, compute, log)
  const reader = new ObjectReader({ ...backend, sealedBodies }, pins, encryption, storeClock, classes)
  const ofWrites = { clock, storeClock, metadata: watched, blocks, pins, ingest, keys, encryption, reader }
  const renames = new RenameService(ofWrites, random)
  const objects = new ObjectService(random, watched, reader, { ingest, ...asking }, storeClock, encryption)
  const multipart = new MultipartService({ clock, storeClock, ...settings }, random, watched, compute, ingest, objects)
  const ofFeatures = { storeClock, metadata: watched, objectWatch, prepare: refuseEarlier, multipart, renames }
  const onHints = (hints: readonly MissingShardHint[]) => repair.noteReencoded(hints)
  const reencode = new Reencode(ofJobs, redundancy, classes, bound, onHints, isShared)
  const forJobs = { jobClock: hurry.clock, jobMetadata: tablet, bound }
  const ofCore = { ...ofWrites, ...ofFeatures, ...forJobs, log, random, metrics: telemetry.metrics }
  const settled = { settings: buckets, classes, days: settings.days ?? STORE_DAYS, isShared, encryptsAtRest }
  const core: Core = { ...ofCore, ...settled, compute, clockMs: () => reader.clockMs() }
  const features = startFeatures(core)
  const usageHistory = new UsageHistory(clock, watched, refuseEarlier)
  const holdings = new Holdings(usageHistory, features)
  const jobs: Job[] = [
    new Collector(tablet, blocks, retentionOf(settings, pins)),
    orphans,
    repair,
    reencode,
    integrityAudit,
    holdings,
    usageHistory,
  ]
  const encrypt =
    hasWork && createEncryptJob({ ...ofWrites, ...ofJobs, compute, redundancy, classes, bound, onHints, hasWork })
  const ownJobs = ownJobsOf(repair, refused, lateWrites)
  jobs.push(...features.jobs, ...(encrypt ? [encrypt] : []), ...ownJobs)
  const metadataBackup = backup && new MetadataBackup(backend, random, ingest, isShared ? undefined : watched, backup)
  if (metadataBackup) jobs.push(metadataBackup)
  const reconciliation =
    duringHalt &&
    new Reconciliation(duringHalt, { blocks, sealedBodies }, random.fork("reconciliation"), storeClock, backup)
  const upkeep = { storeClock, jobs, ownJobs, repair, reencode, integrityAudit, orphans, reconciliation }
  return {
    buckets,
    tablet: watched,
    objects,
    multipart,
    renames,
    objectWatch,
    ...upkeep,
    visitsForOthers: new VisitsForOthers(backend, redundancy),
    metadataBackup,
    encrypt,
    holdings,
    usageHistory,
    core,
    refuseEarlier,
    erasing: new BucketErasing(watched, storeClock, features.started),
    shardPlaces: new ShardPlaces(backend, redundancy, random),
    sealedImport: new SealedImport({ clock, metadata: watched, ingest, keys, sealedBodies, storeClock }, random),
  }
}

const ownJobsOf = (repair: Repair, refused: RefusedUploads, lateWrites: LateWrites | undefined): readonly Job[] =>
  lateWrites === undefined ? [] : [repair.noteKeeping, refused, lateWrites]

const retentionOf = (
  { retention, oldestPinOfOthers: others }: Pick<ServiceSettings, "retention" | "oldestPinOfOthers">,
  pins: ReadPins,
): ByteRetention => retention ?? (others === undefined ? pins : new ThreadPins(pins, others))

const seenBy = (redundancy: RedundancySource) => ({
  isEveryDeviceOnline: () => [...redundancy.states().values()].every(({ state }) => state !== "offline"),
})

/** The parts of a write that features take part in; `features`: they start later than these are made. */
function askingFeatures(
  { clock, storeClock, prepare }: Pick<Core, "clock" | "storeClock" | "prepare">,
  features: () => ReturnType<typeof startFeatures>,
) {
  const told = (bucketId: BucketId): Promise<void> => features().beforeExpiry(bucketId)
  return {
    expiring: new Expiring({ clock, storeClock, told }, prepare),
    sharing: new SharedBodies(() => features().sharing),
    referring: new ReferringObjects(() => features().referring),
    ends: new BodyEnds(() => features().ends),
  }
}

/** Metadata for services, and what tells of the objects that they change. */
function watchedMetadata(clock: Clock, metadata: Metadata, isShared: boolean) {
  const objectWatch = new ChangeWatch({ clock, metadata, isShared }, readOrders)
  return { objectWatch, watched: new WatchedMetadata(metadata, row => objectWatch.changed(row)) }
}
