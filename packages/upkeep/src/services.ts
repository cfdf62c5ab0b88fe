/** The object services of one node, and the jobs that keep what they store whole. */
import type { Job } from "@hayloft/base/life/index.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { ThreadPins, type IngestWatch } from "@hayloft/objects/door/bytes.js"
import type { ReadPins } from "@hayloft/objects/door/index.js"
import type { MissingShardHint } from "@hayloft/objects/door/rows.js"
import {
  createCore,
  type ByteRetention,
  type CoreSeams,
  type CoreServices,
  type CoreSettings,
  shownDueTimeMs,
} from "@hayloft/objects/index.js"
import { MetadataBackup, type MetadataBackupFacts } from "./backup/metadata-backup.js"
import { createEncryptJob, type EncryptJob } from "./encrypt/encrypt.js"
import { ABORTED_WAITS, SHARED_ABORTED_WAITS, type AbortedWaits } from "./garbage/aborted-blocks.js"
import { Collector } from "./garbage/collector.js"
import { Orphans } from "./garbage/orphans.js"
import { RefusedUploads } from "./garbage/refused-uploads.js"
import { Reconciliation } from "./reconcile/reconciliation.js"
import { LateWrites } from "./reencode/late-writes.js"
import { Reencode } from "./reencode/reencode.js"
import { IntegrityAudit } from "./repair/integrity-audit.js"
import type { RedundancySource } from "./repair/repair-contract.js"
import { Repair } from "./repair/repair.js"
import { ShardPlaces } from "./repair/shard-places.js"
import { VisitsForOthers } from "./repair/visits-for-others.js"
import { Holdings } from "./usage/holdings.js"
import { UsageHistory } from "./usage/usage-history.js"

/** The jobs of one process of a store, and what is known of the store's bytes. */
export interface Upkeep {
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
  readonly holdings: Holdings
  readonly usageHistory: UsageHistory
  /** It is undefined if the metadata is not backed up. */
  readonly metadataBackup: MetadataBackup | undefined
  /** It is undefined if only this process opens the store. */
  readonly reconciliation: Reconciliation | undefined
}

interface DuringHalt {
  readonly metadata: Pick<Metadata, "run" | "ask">
  /** Over the same metadata. Undefined: nothing is encrypted. */
  readonly keys?: ObjectKeys | undefined
}

interface ServiceSettings extends CoreSettings {
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
  /**
   * Returns true if existing objects may have to be encrypted; undefined if they never do. Once it is true, every
   * process of the store has `encryptsAtRest`.
   */
  readonly encryptsExisting?: (() => boolean) | undefined
}

export function createCoreWithJobs(seams: CoreSeams, settings: ServiceSettings): CoreServices & Upkeep {
  const { clock, tablet, blocks, compute, keys } = seams
  const { redundancy, backup, duringHalt, encryptsExisting: hasWork } = settings
  const { moveBytesPerSecondMax } = redundancy
  const ingestWatch: IngestWatch = {
    onHints: hints => repair.onHints(hints),
    onNarrow: () => lateWrites?.noteNarrow(),
  }
  const parts = createCore(seams, { ...settings, moveBytesPerSecondMax, ingestWatch })
  const { services, backend, watched, sealedBodies, features } = parts
  const { storeClock, refuseEarlier } = services
  const { bound, classes, isShared, ingest, pins, jobClock, random } = services.core
  const ofJobs = { ...backend, clock: jobClock }
  const [refused, integrityAudit] = [new RefusedUploads(backend), new IntegrityAudit(clock, tablet, blocks, redundancy)]
  const waits = settings.abortedWaits ?? (isShared ? SHARED_ABORTED_WAITS : ABORTED_WAITS)
  const orphans = new Orphans(backend, { ...seenBy(redundancy), waits }, isShared ? undefined : refused)
  const repair = new Repair(ofJobs, orphans, redundancy, bound, name => integrityAudit.suspect(name), isShared)
  const lateWrites = isShared ? new LateWrites(jobClock, tablet, backend.uploads, redundancy) : undefined
  const onHints = (hints: readonly MissingShardHint[]) => repair.noteReencoded(hints)
  const reencode = new Reencode(ofJobs, redundancy, classes, bound, onHints, isShared)
  const usageHistory = new UsageHistory(clock, watched, refuseEarlier, () => shownDueTimeMs({ clock, storeClock }))
  const holdings = new Holdings(usageHistory, features)
  const collector = new Collector(tablet, blocks, retentionOf(settings, pins))
  const ofEncrypt = { ...ofJobs, pins, ingest, keys, compute, redundancy, classes, bound, onHints }
  const encrypt = hasWork && createEncryptJob({ ...ofEncrypt, hasWork })
  const ownJobs = ownJobsOf(repair, refused, lateWrites)
  const metadataBackup = backup && new MetadataBackup(backend, random, ingest, isShared ? undefined : watched, backup)
  const jobs = [collector, orphans, repair, reencode, integrityAudit, holdings, usageHistory, ...features.jobs]
  return {
    ...services,
    encrypt,
    metadataBackup,
    jobs: [...jobs, ...(encrypt ? [encrypt] : []), ...ownJobs, ...(metadataBackup ? [metadataBackup] : [])],
    ownJobs,
    repair,
    reencode,
    integrityAudit,
    orphans,
    holdings,
    usageHistory,
    visitsForOthers: new VisitsForOthers(backend, redundancy),
    shardPlaces: new ShardPlaces(backend, redundancy, random),
    reconciliation:
      duringHalt &&
      new Reconciliation(duringHalt, { blocks, sealedBodies }, random.fork("reconciliation"), storeClock, backup),
  }
}

const ownJobsOf = (repair: Repair, refused: RefusedUploads, lateWrites: LateWrites | undefined): readonly Job[] =>
  lateWrites === undefined ? [] : [repair.damageNotesJob, refused, lateWrites]

const retentionOf = (
  { retention, oldestPinOfOthers: others }: Pick<ServiceSettings, "retention" | "oldestPinOfOthers">,
  pins: ReadPins,
): ByteRetention => retention ?? (others === undefined ? pins : new ThreadPins(pins, others))

const seenBy = (redundancy: RedundancySource) => ({
  isEveryDeviceOnline: () => [...redundancy.states().values()].every(({ state }) => state !== "offline"),
})
