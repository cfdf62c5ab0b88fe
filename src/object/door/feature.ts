/**
 * The door of the object core: how a feature takes part in a store.
 *
 * A feature is a folder of `src/features` that exports one `Feature`. The core asks it at the points below, and knows no
 * feature by name. All features of a process are installed before its first decision, and every process of a store has
 * the same ones.
 */
import { must } from "../../base/assert.js"
import type { BucketId } from "../../base/ids.js"
import type { Versioning } from "../../format/records.js"
import type { Job } from "../../life/index.js"
import type { Metadata } from "../../metadata/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Random } from "../../seams/random/contract.js"
import type { Metrics } from "../../seams/telemetry/contract.js"
import type { ObjectBackend } from "../backend.js"
import type { Ingest } from "../ingest.js"
import type { RateBound } from "../jobs/repair-rate-core.js"
import type { ReadPins } from "../read-pins.js"
import type { StoreClock } from "../store-clock.js"
import type { BucketFacts, DecidingFeature } from "./decision-part.js"
import { installParts } from "./parts.js"

/** The parts of a running store that features build on. */
export interface Core extends Pick<ObjectBackend, "clock" | "metadata" | "blocks" | "log"> {
  /** The clock by which jobs wait that share the bound: tests make it pass faster. */
  readonly jobClock: Clock
  readonly storeClock: Pick<StoreClock, "nowMs" | "shownMs" | "isDoubtful">
  readonly random: Random
  readonly metrics: Metrics
  readonly ingest: Ingest
  readonly pins: ReadPins
  /** The bound of the rate at which jobs move bytes. */
  readonly bound: RateBound
  /** The store encrypts all bytes that it writes. */
  readonly encryptsAtRest: boolean
  /** The time at which restores of archived objects end. */
  readonly clockMs: () => number
  /** Resolves once the devices refuse releases that do not know what is about to be written for the first time. */
  readonly prepare: () => Promise<void>
}

/** The work of a feature in one process of a store. */
export interface StartedFeature {
  readonly jobs?: readonly Job[]
  /** Reads again what reports show; called within each minute. */
  refresh?(): Promise<void>
  /** Removes some rows of the feature from a bucket that is erased. Resolves with false once there are none. */
  erase?(bucketId: BucketId): Promise<boolean>
}

/** The way in which a rescue brings the feature of a bucket into a new store, once all its objects are written. */
export interface RescuedFeature {
  /** Returns true if a bucket had the feature, and can have it in the new store, where its versioning is this. */
  has(bucket: BucketFacts, versioning: Versioning | undefined): boolean
  /** Sets what a bucket had; undefined: the feature is taken from a bucket that an interrupted rescue has left. */
  set(core: Core, id: BucketId, had: BucketFacts | undefined): Promise<void>
}

export interface Feature extends DecidingFeature {
  start?(core: Core): StartedFeature
  /** A reconciliation has put back what the metadata had lost; the store is halted meanwhile. */
  afterLoss?(metadata: Pick<Metadata, "ask" | "run">): Promise<void>
  readonly rescue?: RescuedFeature
}

/** Decisions have a list of their own (`parts.ts`), so that they do not import what features start. */
let installed: readonly Feature[] = []

/** Fixes the features of this process. Throws if other ones are installed. */
export function installFeatures(features: readonly Feature[]): void {
  installParts(features)
  installed = features
}

export const installedFeatures = (): readonly Feature[] => installed

/** Starts the installed features on a core. */
export function startFeatures(core: Core) {
  const started: readonly StartedFeature[] = installed.map(feature => feature.start?.(core) ?? {})
  return {
    started,
    jobs: started.flatMap(feature => feature.jobs ?? []),
    /** Reads again what features report. */
    async refresh(): Promise<void> {
      for (const feature of started) await feature.refresh?.()
    },
  }
}

/** The services of one feature, by the core on which each was started. */
export class ServiceOf<Service> {
  private readonly started = new WeakMap<Core, Service>()

  set(core: Core, service: Service): Service {
    this.started.set(core, service)
    return service
  }

  /** Throws if the feature was not started on this core. */
  of(core: Core): Service {
    return must(this.started.get(core), "the feature was started: src/features/store-services.ts lists it")
  }
}
