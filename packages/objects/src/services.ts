/** The services of objects of one node. */
import type { Blocks } from "@hayloft/engine/block/index.js"
import { hurried } from "@hayloft/base/seams/clock/hurried.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { BucketId } from "@hayloft/base/ids.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { ObjectBackend } from "./backend.js"
import { BucketErasing } from "./buckets/bucket-erasing.js"
import { BodyEnds } from "./bodies/body-ends.js"
import { BucketService } from "./buckets/bucket-service.js"
import { NO_CLASSES, type ClassMap } from "./class-policies.js"
import { ChangeWatch } from "./change-watch.js"
import { ReferringObjects } from "./referring.js"
import { SharedBodies } from "./bodies/shared-bodies.js"
import type { ObjectServices } from "./contract.js"
import { startFeatures, type Core } from "./door/feature.js"
import { Encryption } from "./bodies/encryption.js"
import { Expiring } from "./expiring.js"
import { Ingest, type IngestWatch, type StorePolicy } from "./bodies/ingest.js"
import { readOrders, WatchedMetadata } from "./watched-metadata.js"
import { MultipartService } from "./multipart-service.js"
import { ObjectReader } from "./bodies/object-reader.js"
import { ObjectService } from "./object-service.js"
import { RateBound } from "./rate-bound-core.js"
import { ReadPins } from "./bodies/read-pins.js"
import { SealedBodies } from "./bodies/sealed-body.js"
import { SealedImport } from "./bodies/sealed-import.js"
import { RenameService } from "./rename-service.js"
import { STORE_DAYS, type StoreDays } from "./days.js"
import { StoreClock, type StoreTime } from "./store-clock.js"
import { Uploads } from "./bodies/uploads.js"

/** The services of the core; those of features are in `packages/features/src`, and the jobs in `packages/upkeep/src`. */
export interface CoreServices extends Omit<ObjectServices, "moments"> {
  readonly buckets: BucketService
  /** For services that change what users see: the metadata backup counts the changes made through it. */
  readonly tablet: Metadata
  /** The caller starts it, and supervises it from then on. */
  readonly storeClock: StoreClock
  /** The watch for changes of objects. */
  readonly objectWatch: ChangeWatch
  readonly erasing: BucketErasing
  /** The core on which features were started. */
  readonly core: Core
  /**
   * Resolves once the devices refuse releases that do not know what is about to be written for the first time: the same
   * ones for classes, expiry and features.
   */
  readonly refuseEarlier: () => Promise<void>
  readonly sealedImport: SealedImport
}

/** The services of the core, and the parts of it on which jobs are made. */
interface CoreParts {
  readonly services: CoreServices
  /** Over the metadata that nothing watches. */
  readonly backend: ObjectBackend
  readonly watched: WatchedMetadata
  readonly sealedBodies: SealedBodies
  readonly features: Pick<ReturnType<typeof startFeatures>, "jobs" | "refresh">
}

/** The seams and the lower layers that the services run over. */
export interface CoreSeams {
  readonly clock: Clock
  readonly random: Random
  readonly tablet: Metadata
  readonly compute: Compute
  readonly blocks: Blocks
  readonly telemetry: Telemetry
  readonly keys: ObjectKeys
}

export interface CoreSettings {
  readonly store: StorePolicy
  /** Other processes of the store use the same metadata. */
  readonly isShared?: boolean
  /** Bytes for which a request asks no encryption are sealed too. */
  readonly encryptsAtRest?: boolean | undefined
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

/** The jobs of a store, as the core sees them. */
interface CoreJobs {
  /** Limits the bytes that jobs which move them write together. */
  readonly moveBytesPerSecondMax: number
  readonly ingestWatch: IngestWatch
}

export function createCore(
  { clock, random, tablet, compute, blocks, telemetry, keys }: CoreSeams,
  { store, isShared = false, classes = NO_CLASSES, encryptsAtRest = false, ...settings }: CoreSettings & CoreJobs,
): CoreParts {
  const [{ log }, { objectWatch, watched }] = [telemetry, watchedMetadata(clock, tablet, isShared)]
  const [pins, uploads] = [new ReadPins(clock), new Uploads(random, tablet, blocks, log)]
  const backend = { clock, metadata: tablet, blocks, uploads, log }
  const storeClock = new StoreClock({ clock, metadata: tablet, telemetry }, isShared, settings.storeTime)
  const refuseEarlier = async (): Promise<void> => classes.use()
  const buckets = new BucketService(watched)
  const asking = askingFeatures({ clock, storeClock, prepare: refuseEarlier }, () => features)
  const ingest = new Ingest(backend, compute, store, classes, asking, settings.ingestWatch)
  const encryption = new Encryption(random, tablet, keys, encryptsAtRest)
  const sealedBodies = new SealedBodies(blocks, compute, log)
  const reader = new ObjectReader({ ...backend, sealedBodies }, pins, encryption, storeClock, classes)
  const ofWrites = { clock, storeClock, metadata: watched, blocks, pins, ingest, keys, encryption, reader }
  const renames = new RenameService(ofWrites, random)
  const objects = new ObjectService(random, watched, reader, { ingest, ...asking }, storeClock, encryption)
  const multipart = new MultipartService({ clock, storeClock, ...settings }, random, watched, compute, ingest, objects)
  const ofFeatures = { objectWatch, prepare: refuseEarlier, multipart, renames }
  const bound = new RateBound(settings.moveBytesPerSecondMax)
  const forJobs = { jobClock: hurried(clock, settings.haste ?? 1), jobMetadata: tablet, bound }
  const ofCore = { ...ofWrites, ...ofFeatures, ...forJobs, log, random, metrics: telemetry.metrics }
  const settled = { settings: buckets, classes, days: settings.days ?? STORE_DAYS, isShared, encryptsAtRest }
  const core: Core = { ...ofCore, ...settled, compute, clockMs: () => reader.clockMs() }
  const features = startFeatures(core)
  const services = {
    buckets,
    tablet: watched,
    objects,
    multipart,
    renames,
    storeClock,
    objectWatch,
    core,
    refuseEarlier,
    erasing: new BucketErasing(watched, storeClock, features.started),
    sealedImport: new SealedImport({ clock, metadata: watched, ingest, keys, sealedBodies, storeClock }, random),
  }
  return { services, backend, watched, sealedBodies, features }
}

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
