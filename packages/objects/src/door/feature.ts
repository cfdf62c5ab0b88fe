/**
 * The door of the object core: how a feature takes part in a store.
 *
 * A feature is a folder of `packages/features/src` that exports one `Feature`. The core asks it at the points below, and knows no
 * feature by name. All features of a process are installed before its first decision, and every process of a store has
 * the same ones.
 */
import { must } from "@hayloft/base/assert.js"
import type { AccountId, BucketId } from "@hayloft/base/ids.js"
import type { AccountRecord, Versioning } from "@hayloft/engine/format/records.js"
import type { VersionRecord } from "@hayloft/engine/format/objects/version-record.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import type { Job } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { ObjectBackend } from "../backend.js"
import type { ChangeWatch } from "../change-watch.js"
import type { BodyEnd } from "../bodies/body-ends.js"
import type { ClassMap } from "../class-policies.js"
import type { BucketService } from "../buckets/bucket-service.js"
import type { ObjectTarget } from "../contract.js"
import type { StoreDays } from "../days.js"
import type { Ingest } from "../bodies/ingest.js"
import type { MultipartService } from "../multipart-service.js"
import type { RenameService } from "../rename-service.js"
import type { BodySharing } from "../bodies/shared-bodies.js"
import type { ObjectReader } from "../bodies/object-reader.js"
import type { RateBound } from "../rate-bound-core.js"
import type { ReadPins } from "../bodies/read-pins.js"
import type { Referring } from "../referring.js"
import type { StoreClock } from "../store-clock.js"
import type { BackedUpRows } from "./backed-up-rows.js"
import type { BucketFacts, DecidingFeature } from "./decision-part.js"
import { installParts } from "./parts.js"

/** The parts of a running store that features build on. */
export interface Core extends Pick<ObjectBackend, "clock" | "metadata" | "blocks" | "log"> {
  /** The clock by which jobs wait that share the bound: tests make it pass faster. */
  readonly jobClock: Clock
  /** The metadata for jobs that change nothing that users see: nothing watches it. */
  readonly jobMetadata: Metadata
  /** Tells of changes of objects. */
  readonly objectWatch: ChangeWatch
  readonly reader: Pick<ObjectReader, "open">
  readonly storeClock: Pick<StoreClock, "nowMs" | "shownMs" | "isDoubtful">
  readonly random: Random
  readonly metrics: Metrics
  readonly ingest: Ingest
  readonly pins: ReadPins
  /** Completions and renames that are committed together with other changes. */
  readonly multipart: Pick<MultipartService, "prepare">
  readonly renames: Pick<RenameService, "prepare">
  /** The bound of the rate at which jobs move bytes. */
  readonly bound: RateBound
  readonly compute: Compute
  readonly keys: Pick<ObjectKeys, "digestKey">
  readonly settings: Pick<BucketService, "setting">
  readonly classes: ClassMap
  readonly days: StoreDays
  /** Other processes of the store use the same metadata. */
  readonly isShared: boolean
  /** The store encrypts all bytes that it writes. */
  readonly encryptsAtRest: boolean
  /** The earlier one of the store's clock and that of this machine: what lasts until some time ends by it. */
  readonly clockMs: () => number
  /** Resolves once the devices refuse releases that do not know what is about to be written for the first time. */
  readonly prepare: () => Promise<void>
}

/** The work of a feature in one process of a store. */
export interface StartedFeature {
  readonly jobs?: readonly Job[]
  readonly ends?: BodyEnd
  readonly sharing?: BodySharing
  readonly referring?: Referring
  /** Resolves once versions with an expiry may be stored in a bucket that had none. */
  beforeExpiry?(bucketId: BucketId): Promise<void>
  /** Reads again what reports show; called within each minute. */
  refresh?(): Promise<void>
  /** Removes some rows of the feature from a bucket that is erased. Resolves with false once there are none. */
  erase?(bucketId: BucketId): Promise<boolean>
}

/** The way in which a rescue brings the feature into a new store, once all objects are written. */
export interface RescuedFeature {
  /** Returns true if a bucket had the feature, and can have it in the new store, where its versioning is this. */
  has(bucket: BucketFacts, versioning: Versioning | undefined): boolean
  /** Sets what a bucket had; undefined: the feature is taken from a bucket that an interrupted rescue has left. */
  set(core: Core, id: BucketId, had: BucketFacts | undefined): Promise<void>
  /** It is absent if the feature is one of buckets only. */
  readonly ofAccounts?: RescuedOfAccounts
  /** Takes from a store that an interrupted rescue has left whatever would refuse what is written again. */
  resume?(core: Core): Promise<void>
}

/** The counterpart of `RescuedFeature` for accounts. */
export interface RescuedOfAccounts {
  has(account: AccountRecord): boolean
  set(core: Core, id: AccountId, had: AccountRecord): Promise<void>
}

/** A job of a feature, as those who run the store treat it. */
interface JobTerms {
  readonly name: string
  /** The store can do without the job for a while: an operator may pause it. */
  readonly isPausable?: true
  /** With several nodes, the node that does this work does the job, too; undefined: every node does it. */
  readonly doneWith?: "collector" | "repair"
  /** It goes on while the store is halted because its database was rolled back. */
  readonly usesNoRows?: true
}

/** The fields that a version had in the store of a rescue, which its writing again does not set. */
export interface FormerVersion {
  readonly restore?: VersionRecord["restore"] | undefined
}

export interface Feature extends DecidingFeature {
  start?(core: Core): StartedFeature
  readonly jobs?: readonly JobTerms[]
  /** A reconciliation has put back what the metadata had lost; the store is halted meanwhile. */
  afterLoss?(metadata: Pick<Metadata, "ask" | "run">): Promise<void>
  readonly rescue?: RescuedFeature
  /** A rescue has written a version again, the latest one of its key. */
  rescued?(core: Core, target: ObjectTarget, former: FormerVersion): Promise<void>
  readonly backedUp?: BackedUpRows
}

/** Decisions have a list of their own (`parts.ts`), so that they do not import what features start. */
let installed: readonly Feature[] = []

/** Fixes the features of this process. Throws if other ones are installed. */
export function installFeatures(features: readonly Feature[]): void {
  installParts(features)
  installed = features
}

export const installedFeatures = (): readonly Feature[] => installed

/** The jobs of the installed features. */
export const jobsOfFeatures = (): readonly JobTerms[] => installed.flatMap(({ jobs = [] }) => jobs)

/** Starts the installed features on a core. */
export function startFeatures(core: Core) {
  const started: readonly StartedFeature[] = installed.map(feature => feature.start?.(core) ?? {})
  return {
    started,
    jobs: started.flatMap(feature => feature.jobs ?? []),
    ends: started.flatMap(({ ends }) => (ends === undefined ? [] : [ends])),
    sharing: started.flatMap(({ sharing }) => (sharing === undefined ? [] : [sharing])),
    referring: started.flatMap(({ referring }) => (referring === undefined ? [] : [referring])),
    async beforeExpiry(bucketId: BucketId): Promise<void> {
      for (const feature of started) await feature.beforeExpiry?.(bucketId)
    },
    /** Reads again what features report. */
    async refresh(): Promise<void> {
      for (const feature of started) await feature.refresh?.()
    },
  }
}

/** The services of one feature, by the core on which each was started. */
export class ServiceOf<Service> {
  private readonly started = new WeakMap<object, Service>()

  set(core: object, service: Service): Service {
    this.started.set(core, service)
    return service
  }

  /** Returns undefined if the feature is switched off in the store of this core. */
  find(core: object): Service | undefined {
    return this.started.get(core)
  }

  /** Throws if the feature was not started on this core. */
  of(core: object): Service {
    return must(this.started.get(core), "the feature was started: packages/features/src/store-services.ts lists it")
  }
}
