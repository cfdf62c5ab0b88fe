/**
 * Runs a store: the engine over the real seams, its background work, and its status.
 *
 * A device that cannot be probed is taken offline; the process ends if another process has taken over one of its
 * folders.
 */
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { availableParallelism } from "node:os"
import {
  MasterKeys,
  openAuditLog,
  openSwiftAccounts,
  RateLimiter,
  SecretAttempts,
  type AuditLog,
} from "@hayloft/access/index.js"
import { openObjectChanges, shownDueTimeMs } from "@hayloft/objects/index.js"
import { AccountReaper, ContainerSync, NO_REALMS, type SyncRealms } from "@hayloft/protocols/swift/index.js"
import type { StoreOperations } from "@hayloft/node/control/contract.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { type DeviceId } from "@hayloft/base/ids.js"
import { policiesIn, type PreviewFacts } from "@hayloft/engine/cluster/index.js"
import { votingIds, type Ownership } from "@hayloft/engine/device/index.js"
import type { ExternalKeys } from "@hayloft/access/keys/index.js"
import { FEATURE_ROW_JOBS, featureStatusOf, jobsOfFeatures } from "@hayloft/features/index.js"
import { StartedJobs } from "@hayloft/features/user-jobs/index.js"
import { JobRunner, type BackgroundService } from "@hayloft/base/life/index.js"
import type { ControlDevice, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { NodeReport } from "@hayloft/engine/format/nodes/node-report.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { hurried } from "@hayloft/base/seams/clock/hurried.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import { computeThreadsFor } from "@hayloft/base/seams/compute/index.js"
import type { FolderLocks } from "@hayloft/base/seams/folder-lock/contract.js"
import type { Stores } from "@hayloft/base/seams/store/contract.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { ServeConfig } from "@hayloft/node/config/config.js"
import { BOUNDS_OF } from "@hayloft/node/config/index.js"
import { COMPATIBILITY_SWITCHES } from "@hayloft/node/config/settings.js"
import type { CheckpointRunner } from "@hayloft/node/metadata/checkpoint-job.js"
import { CheckpointThreads } from "@hayloft/node/metadata/checkpoint-threads.js"
import { ClusterOperations } from "@hayloft/node/cluster/cluster-operations.js"
import { liveNodes, type ClusterView } from "@hayloft/node/cluster/cluster-view.js"
import { SharedNodes } from "@hayloft/node/cluster/node-directory.js"
import { proofsOfNextKey, reportOf, sourcesOfStore } from "@hayloft/node/cluster/node-reports.js"
import type { Duties } from "@hayloft/node/cluster/duties.js"
import type { Reconciling } from "@hayloft/node/cluster/reconciling.js"
import type { Leases } from "@hayloft/node/cluster/leases.js"
import type { OwnedFolder } from "@hayloft/node/devices/device-set.js"
import { openEngine, type Engine, type EngineSettings } from "@hayloft/node/engine.js"
import { EngineOperations } from "@hayloft/node/control/operations.js"
import { DAY_MS } from "@hayloft/node/devices/scrubbing.js"
import { Returning, type TakeBack } from "@hayloft/node/control/returning.js"
import { numbersOf, ReservedNumbers } from "@hayloft/node/front/front-numbers.js"
import { Fronts } from "@hayloft/node/front/fronts.js"
import { FRONT_INCARNATIONS } from "@hayloft/engine/format/needles/upload-id.js"
import { StoreFolders } from "@hayloft/node/control/folder-taker.js"
import type { OpenedStore } from "@hayloft/node/open/contract.js"
import { registerExpiring } from "@hayloft/node/status/expiring-metrics.js"
import { registerBuckets, registerStatus } from "@hayloft/node/status/status-metrics.js"
import { safetyInputOf } from "@hayloft/node/status/status-core.js"
import { sourcesOfEngine } from "@hayloft/node/status/status-of-engine.js"
import type { ThreadsReport } from "@hayloft/node/status/contract.js"
import type { StatusSources } from "@hayloft/node/status/status-sources.js"
import { RunningStatus } from "@hayloft/node/status/status.js"
import { QueueExpiry } from "@hayloft/features/queues/index.js"
import type { WebServices } from "@hayloft/base/seams/web/contract.js"
import { auditJobsOf } from "./audit-sinks.js"
import { openKeyServices } from "./key-services.js"
import { openCompute } from "./threads/open-compute.js"
import { dutiesOf, joiningOf, jobsOfStore, policiesOf, reconcilingOf, type NodeSeams } from "./node-jobs.js"
import { readVersion } from "@hayloft/cli/version.js"

/** A thread starts when a body finds the others busy; hashing more streams concurrently only adds load. */
const COMPUTE_THREADS = computeThreadsFor(availableParallelism())
export const CHECKPOINT_ENTRY = new URL("./threads/checkpoint-worker.js", import.meta.url)
/** Wait after a failed owner check without evidence of a new owner. */
const OWNER_RETRY_MS = 10_000

/** Work without rows of the metadata. All other jobs wait while the store is halted because its database was rolled back. */
const RUNS_WHILE_HALTED: ReadonlySet<string> = new Set([
  "compaction",
  "scrub",
  "scrub metadata",
  "scrub log",
  "returning",
  ...jobsOfFeatures().flatMap(({ name, usesNoRows }) => (usesNoRows === true ? [name] : [])),
])

/** The seams that a store runs over. */
interface StoreSeams extends NodeSeams {
  readonly stores: Stores
  readonly locks: FolderLocks
  /** The store's clock, if this process had the store open before. */
  readonly storeTime?: () => EngineSettings["storeTime"]
  /** Clusters to which changes of containers go; absent: none. */
  readonly realms?: SyncRealms
}

/** The threads of a store beside the serving thread, and its limits. */
interface StoreParts {
  readonly compute: Compute
  readonly checkpoints: CheckpointRunner
  readonly limits: Pick<EngineSettings, "deviceOptions" | "spaceLimits" | "abortedWaits">
}

/** The parts of a real process. */
const realParts = (
  { clock, telemetry }: StoreSeams,
  record: ControlRecord,
  { profile }: Pick<ServeConfig, "profile">,
): StoreParts => ({
  compute: openCompute(policiesIn(record), record.blockBytes, {
    threads: BOUNDS_OF[profile].computeThreads ?? COMPUTE_THREADS,
    share: BOUNDS_OF[profile].share,
  }),
  checkpoints: new CheckpointThreads(CHECKPOINT_ENTRY, clock, telemetry.log),
  limits: { deviceOptions: {} },
})

export interface RunningStore {
  readonly engine: Engine
  readonly compute: Compute
  /** The front threads that may begin; undefined: this thread serves alone. */
  readonly fronts: Fronts | undefined
  readonly masterKeys: MasterKeys
  readonly status: RunningStatus
  readonly operations: StoreOperations
  /** The caller attaches what it works with. */
  readonly startedJobs: StartedJobs
  /** The caller attaches the requests with which it reads. */
  readonly containerSync: Pick<ContainerSync, "attach">
  /** Limits of rates, for the requests of all protocols. */
  readonly rates: RateLimiter
  /** Limits attempts with a wrong secret, at all doors. */
  readonly attempts: SecretAttempts
  readonly audit: AuditLog
  /** On this node alone. */
  readonly ownOperations: StoreOperations
  /** Returns what this node reports to the others. */
  readonly report: () => NodeReport
  /** It is undefined, like the next field, if the devices of this process are the store. */
  readonly reconciling: Reconciling | undefined
  readonly leases: Leases | undefined
  /** The caller supervises them until the stop. */
  readonly backgroundServices: readonly BackgroundService[]
  /** Tests whether a device works. Throws if it does not, or is not in the folder. */
  probe(id: DeviceId, folder: string): Promise<void>
  stop(): Promise<void>
  /** Folders taken since the start, which the caller releases, like those of the start. */
  readonly taken: readonly OwnedFolder[]
  /** After `stop`: threads of the store that have not ended yet. */
  threadsLeft(): number
}

/**
 * Wakes repair when it is due. Once a device is offline, metadata lacks a replica, and blocks may be lost: wakes the
 * jobs that handle both.
 */
function wakeJobs(engine: Engine, jobs: JobRunner): void {
  engine.onRepairDue(() => {
    for (const job of ["repair", "damage-notes"]) if (jobs.has(job)) jobs.wake(job)
  })
  const wake = (...names: readonly string[]): void => {
    for (const name of names) if (jobs.has(name)) jobs.wake(name)
  }
  engine.erasures.onDue(
    () => wake("erasure"),
    () => wake("metadata-backup"),
  )
  engine.fileEncryption?.onBackupDue(() => wake("metadata-backup"))
  engine.recordManager.onChange((record, before) => {
    if (record.keyring !== before.keyring) wake("erasure", "master-key")
    if (record.layout.version !== before.layout.version) wake("repair")
    if (record.previousLayout === undefined && before.previousLayout !== undefined) wake("replicas")
    // Ignore changes that a job makes itself: a failing job would be retried immediately, again and again.
    if (votingIds(record).join() === votingIds(before).join()) return
    wake("repair", "replicas", "integrity-audit", "leaving")
  })
}

/** Returns true if a job takes no steps now. Pausing "scrub" pauses all jobs that verify. */
const pausing =
  ({ node }: OpenedStore, { recordManager }: Engine) =>
  (job: string): boolean =>
    (node?.metadata.halt !== undefined && !RUNS_WHILE_HALTED.has(job)) ||
    recordManager.record.pausedWork.includes(job.split(" ")[0] ?? job)

/** Opens the engine on the store's devices. `onStolen`: another process has taken over a folder. */
export async function runStore(
  seams: StoreSeams,
  store: OpenedStore,
  config: ServeConfig,
  onStolen: (failure: Failure) => never,
  { compute, checkpoints, limits }: StoreParts = realParts(seams, store.record, config),
): Promise<RunningStore> {
  const { clock, random, disk, stores, telemetry } = seams
  const onLost = (device: Ownership, failure: Failure): void => {
    if (isFailure(failure, "folderInUse")) onStolen(failure)
    void engine.control.takeOffline(device.identity.id, failure)
  }
  const keyServices = openKeyServices(seams, config)
  const owners = store.devices.map(device => folderOf(device, clock, onLost))
  const namedKeys = { region: config.region ?? REGION_DEFAULT, external: keyServices.keys }
  const masterKeys = masterKeysOf(store)
  const fronts = frontsOf(clock, store, config)
  const keys = { masterKeys, fronts, onKeyLost: seams.onExcluded }
  const engine: Engine = await openEngine(
    { clock, random, diskOf: () => disk, stores, compute, telemetry, checkpoints },
    settingsOf(store, config, owners, { ...limits, ...keys, storeTime: seams.storeTime?.(), namedKeys }),
  )
  const returning = returningOf(seams, store, engine, (id, path) => ownOperations.readmit(id, path))
  const joining = await joiningOf(
    seams,
    store,
    config,
    engine,
    folder => folderOf(folder, clock, onLost),
    () => ownOperations,
  )
  const wake = (job: string): void => void (jobs.has(job) && jobs.wake(job))
  const { ofCallers, ownJobs, shared } = openOwnJobs({ ...seams, web: keyServices.web }, config, engine, wake)
  const duties = dutiesOf(seams, store, config, engine, { ownJobs, wake })
  if (duties !== undefined) engine.setScanner(() => duties.doesRepair)
  followOtherNodes(engine, () => seams.nodes?.())
  const all = [...jobsOfStore(seams, store, engine, shared, duties), returning, ...joining]
  const jobs: JobRunner = new JobRunner(
    "jobs",
    all,
    hurried(clock, config.haste ?? 1),
    telemetry,
    pausing(store, engine),
  )
  wakeJobs(engine, jobs)
  const ownSources = sourcesOf(engine, store, jobs, compute, clock, keyServices.keys)
  const nodes = () => seams.nodes?.()
  const rates = new RateLimiter(clock, telemetry.metrics, () => liveNodes(nodes()))
  const sources = duties === undefined ? ownSources : sourcesOfStore(ownSources, { nodes, duties })
  registerEngine(telemetry.metrics, engine)
  const threads = () => threadsReport(config, fronts)
  const status = statusOf({ ...sources, threads, rates: () => rates.report() }, store, config, seams)
  const owned: OwnedFolder[] = []
  const ownedOf = (device: Ownership): OwnedFolder => {
    const folder = folderOf(device, clock, onLost)
    owned.push(folder)
    return folder
  }
  const folders = foldersOf(seams, store, engine, ownedOf)
  const directory = directoryOf(seams, store, config)
  const reconciling = reconcilingOf(seams, store, engine)
  const ownOperations: EngineOperations = new EngineOperations(engine, folders, jobs, clock, {
    facts: () => planFactsOf(config, sources),
    reencoding: () => status.report().reencoding,
    layout: () => status.report().layout,
    nodes: directory,
    log: telemetry.log,
  })
  return {
    engine,
    compute,
    fronts,
    status,
    rates,
    masterKeys,
    ...ofCallers,
    operations: operationsOf(directory, ownOperations, engine, nodes, duties),
    ownOperations,
    report: () => reportOf(ownSources, duties?.doesRepair ?? true, duties?.database.view, engine.masterKey.reported),
    reconciling: reconciling[0],
    leases: duties?.leases,
    backgroundServices: [...engine.backgroundServices, ...(duties?.services ?? []), ...reconciling, jobs, status],
    probe: (id, folder) => probeIn(folders, id, folder),
    stop: async () => {
      await engine.stop()
      keyServices.close()
      await compute.close()
    },
    taken: owned,
    threadsLeft: () => checkpoints.threadsLeft ?? 0,
  }
}

const foldersOf = (
  { clock, random, disk, locks }: StoreSeams,
  { incarnation, stalls }: OpenedStore,
  { recordManager }: Engine,
  ownedOf: (device: Ownership) => OwnedFolder,
): StoreFolders =>
  new StoreFolders({ clock, random, disk, locks, incarnation, stalls }, () => recordManager.record, ownedOf)

async function probeIn(folders: StoreFolders, id: DeviceId, folder: string): Promise<void> {
  // Nothing is written into the folder of a disk that is not mounted.
  if ((await folders.deviceAt(folder)) !== id) throw fail("deviceFailed", { device: id })
  await folders.probe(folder)
}

function startedJobsOf(
  { clock, random, telemetry }: StoreSeams,
  metadata: Engine["metadata"],
  services: Engine["services"],
  dueTimeMs: () => number | undefined,
): StartedJobs {
  const rowKinds = new Set(FEATURE_ROW_JOBS.flatMap(({ kinds }) => kinds))
  const { log } = telemetry
  const { refuseEarlier: prepare } = services
  return new StartedJobs({ clock, random, log, metadata, prepare, dueTimeMs, rowKinds })
}

const returningOf = (
  { clock, telemetry }: StoreSeams,
  store: OpenedStore,
  engine: Engine,
  takeBack: TakeBack,
): Returning => new Returning(() => closedDevices(store, engine), takeBack, clock, telemetry.log)

/** The audit log, the limits of attempts that it records, the jobs of its sinks, those that callers start, and all jobs that one node may do for the others. */
function openOwnJobs(
  seams: StoreSeams & { readonly web: WebServices },
  config: ServeConfig,
  { metadata, services, jobs, accounts: directory }: Engine,
  wake: (job: string) => void,
) {
  const { clock, random, telemetry } = seams
  const { storeClock } = services
  const dueTimeMs = () => shownDueTimeMs({ clock, storeClock })
  const audit = openAuditLog({ clock, random, log: telemetry.log, dueTimeMs }, metadata, services.refuseEarlier)
  const deliveries = auditJobsOf(seams, config, audit, services)
  audit.onRecorded = () => deliveries.forEach(({ name }) => wake(name))
  const attempts = new SecretAttempts({ clock, log: telemetry.log, audit })
  const startedJobs = startedJobsOf(seams, metadata, services, dueTimeMs)
  const ownJobs = deliveries.map(({ name }) => name)
  const accounts = openSwiftAccounts(metadata, services.refuseEarlier)
  const reaper = new AccountReaper({ clock, storeClock, accounts, services, log: telemetry.log })
  const { web, realms = NO_REALMS } = seams
  const ofSync = { clock, storeClock, random: random.fork("container-sync"), services, web, realms, log: telemetry.log }
  const sync = new ContainerSync({ ...ofSync, accounts: directory, changes: openObjectChanges(metadata) })
  const expiry = new QueueExpiry({ clock, storeClock, metadata: services.tablet })
  return {
    ofCallers: { audit, attempts, startedJobs, containerSync: sync },
    ownJobs,
    shared: [...jobs, ...deliveries, startedJobs, reaper, sync, expiry],
  }
}

function frontsOf(clock: Clock, { incarnation, node }: OpenedStore, { threads }: ServeConfig): Fronts | undefined {
  if (threads === 0) return undefined
  return new Fronts(clock, node ? numbersOf(node.metadata) : new ReservedNumbers(incarnation, FRONT_INCARNATIONS))
}

/** Returns undefined if the operator wants no front threads. */
function threadsReport({ threads, threadsOff }: ServeConfig, fronts: Fronts | undefined): ThreadsReport | undefined {
  if (threadsOff !== undefined) return { ...threadsOff, running: 0 }
  return fronts && { wanted: threads, running: fronts.running }
}

const masterKeysOf = ({ secrets: { masterKey, formerKey, nextKey } }: OpenedStore): MasterKeys =>
  new MasterKeys(masterKey, formerKey, nextKey)

/** Follows what the other nodes report of the keys on their devices, and of the next master key. */
function followOtherNodes({ erasures, masterKey }: Engine, nodes: () => ClusterView | undefined): void {
  const numbersOf = (member: "epochs" | "masterKeys"): ReadonlyMap<DeviceId, number> =>
    new Map((nodes()?.nodes ?? []).flatMap(({ report }) => [...(report?.[member] ?? [])]))
  erasures.setElsewhere(() => numbersOf("epochs"))
  const proofs = () => {
    const view = nodes()
    return view && proofsOfNextKey(view)
  }
  masterKey.setOthers({ masterKeys: () => numbersOf("masterKeys"), proofs })
}

/** Operations on the store, from any of its nodes. */
const operationsOf = (
  directory: SharedNodes | undefined,
  own: StoreOperations,
  { recordManager }: Engine,
  nodes: () => ClusterView | undefined,
  duties: Duties | undefined,
): StoreOperations =>
  directory === undefined
    ? own
    : new ClusterOperations(
        directory.own,
        own,
        () => recordManager.record,
        nodes,
        () => duties?.all ?? [],
      )

const settingsOf = (
  { record, incarnation, node, secrets, stalls }: OpenedStore,
  config: ServeConfig,
  folders: readonly OwnedFolder[],
  limits: StoreParts["limits"] &
    Pick<EngineSettings, "fronts" | "storeTime" | "namedKeys" | "masterKeys" | "onKeyLost">,
): EngineSettings => ({
  folders,
  record,
  incarnation,
  node,
  stalls,
  root: secrets.root,
  ...limits,
  deviceOptions: { scrubEveryMs: config.scrubDays * DAY_MS, ...limits.deviceOptions },
  refuseSingleCopy: config.refuseSingleCopy,
  haste: config.haste,
  metadataBackupEveryMs: config.metadataBackupEveryMs,
  erasedKeysKeptMs: config.erasedKeysKeptMs,
  moveBytesPerSecondMax: config.moveBytesPerSecondMax,
  // With front threads, which read for clients, all of the memory is theirs.
  hotCopies: config.hotCopies && (config.threads > 0 ? { ...config.hotCopies, budgetBytes: 0 } : config.hotCopies),
  days: { dayMs: config.lifecycleDayMs ?? DAY_MS, abandonedDays: config.abandonedUploadDays },
})

/** Devices of this node that are not open; those that are return with it. */
const closedDevices = (store: OpenedStore, { recordManager, devices }: Engine): readonly ControlDevice[] =>
  recordManager.record.devices.filter(
    device => isOwn(store, device) && !devices.some(({ place }) => place.id === device.id),
  )

const isOwn = ({ node }: OpenedStore, { home }: ControlDevice): boolean =>
  node === undefined || home?.node === node.name

/** The nodes of the store, for operations. */
const directoryOf = ({ nodes }: StoreSeams, { node }: OpenedStore, { cluster }: ServeConfig): SharedNodes | undefined =>
  node && cluster && new SharedNodes(node.name, cluster, node.metadata, node.records, () => nodes?.())

function sourcesOf(
  engine: Engine,
  { isNew, node }: OpenedStore,
  jobs: JobRunner,
  compute: Compute,
  clock: Clock,
  keyServices: ExternalKeys,
): StatusSources {
  const ofEngine = sourcesOfEngine(clock, {
    // Other nodes may have written to a new store since: it is known once it has been scanned.
    isNew: isNew && node === undefined,
    record: () => engine.recordManager.record,
    devices: () => engine.devices,
    offlineReason: id => engine.control.offlineReason(id),
    reach: engine,
    metadata: engine.metadata,
    tablet: engine.tablet,
    compute,
    jobs: () => jobs.status(),
    failingJobs: () => jobs.failing(),
    repair: engine.services.repair,
    reencode: engine.services.reencode,
    integrityAudit: engine.services.integrityAudit,
    orphans: engine.services.orphans,
    bucketPolicies: policiesOf(engine),
  })
  return {
    ...ofEngine,
    erasures: () => engine.erasures.report(),
    features: () => featureStatusOf(engine.services),
    encrypting: () => engine.fileEncryption?.report(),
    keyServices: () => keyServices.report(),
    bucketsWithoutKeys: () => engine.namedKeys.troubles.count(),
    isShortOfKeys: () => engine.control.isShortOfKeys,
  }
}

function registerEngine(metrics: Metrics, engine: Engine): void {
  const { holdings } = engine.services
  registerBuckets(metrics, () => holdings.sizes())
  registerExpiring(metrics, () => engine.devices)
}

function statusOf(
  sources: StatusSources,
  { storeId }: OpenedStore,
  config: ServeConfig,
  { clock, telemetry }: StoreSeams,
): RunningStatus {
  const region = config.region ?? REGION_DEFAULT
  const compatibility = COMPATIBILITY_SWITCHES.filter(name => config[name])
  const facts = { storeId, version: readVersion(), region, compatibility, startedMs: clock.wallMs() }
  const status = new RunningStatus(clock, telemetry.log, facts, sources)
  registerStatus(telemetry.metrics, clock, status)
  return status
}

/** The inputs of plans: status, and the rate limit of moves. */
function planFactsOf({ moveBytesPerSecondMax }: ServeConfig, sources: StatusSources): PreviewFacts {
  const open = sources.devices()
  const { policies, lacking, misplacedGroups } = safetyInputOf(sources.record(), open, sources.contents())
  const diskOf = (id: DeviceId) => open.find(device => device.id === id)?.space?.fileSystemId ?? `of ${id}`
  return { policies, lacking, misplacedGroups, diskOf, bytesPerSecond: moveBytesPerSecondMax }
}

/** A folder of the store, with a watch over its ownership. */
function folderOf(device: Ownership, clock: Clock, onLost: (device: Ownership, failure: Failure) => void): OwnedFolder {
  const watch: BackgroundService = {
    name: `ownership ${device.identity.id}`,
    run: async signal => {
      while (!signal.aborted) {
        await device.run(signal, failure => onLost(device, failure))
        await clock.sleep(OWNER_RETRY_MS, signal)
      }
    },
  }
  return {
    place: device.identity,
    backgroundServices: [watch],
    check: () => device.check(),
    raiseFormatEpoch: formatEpoch => device.raiseFormatEpoch(formatEpoch),
    release: () => device.release(),
  }
}
