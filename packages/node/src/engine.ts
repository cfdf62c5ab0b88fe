/**
 * Engine: builds the store of one machine over the seams. The same builder serves the real process and
 * the simulator.
 *
 * The metadata is a tablet with replicas on the devices that the control record names, or in a database if it names
 * none. The layout spreads blocks over all devices. One folder is a configuration with one replica and runs the same code as seven. Devices can be
 * added and removed while the engine runs (see `store-control.ts`).
 */
import { openAccess, type Access, type MasterKeys, type RootKey } from "@hayloft/access/index.js"
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, Failure, isFailure } from "@hayloft/base/failures.js"
import type { DeviceId, Incarnation, Position } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import { Layouts, LocalBlocks, shapeOf, type HotCopyTerms } from "@hayloft/engine/block/index.js"
import { forgetLearners, layoutOf, markOffline, tabletOf } from "@hayloft/engine/cluster/index.js"
import { ControlRecordManager, type RecordManager } from "./control/record-manager.js"
import { isShortage } from "@hayloft/base/space/full-disk-core.js"
import type { SpaceLimits } from "@hayloft/base/space/space-core.js"
import { CALL_LIMITS, queuedDisk, Spaces, Stalls } from "@hayloft/engine/device/index.js"
import {
  formatEpochOf,
  type ControlDevice,
  type ControlReplica,
  type ControlRecord,
} from "@hayloft/engine/format/device/control-record.js"
import { FORMAT_EPOCH_OF_ENDS } from "@hayloft/engine/format/device/superblock.js"
import { soleProcess, type Halt } from "@hayloft/engine/metadata/index.js"
import { mapBounded, type Job, type BackgroundService } from "@hayloft/base/life/index.js"
import { createServices, type StoreServices } from "@hayloft/features/index.js"
import type { StoreDays, StoreTime } from "@hayloft/objects/index.js"
import type { AbortedWaits, RedundancySource } from "@hayloft/upkeep/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { slabBytesOf, type Compute } from "@hayloft/base/seams/compute/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Stores } from "@hayloft/base/seams/store/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { Replica, NO_POSITION, Primary, recoverTablet } from "@hayloft/engine/tablet/index.js"
import type { NeedleId } from "@hayloft/engine/volume/index.js"
import type { CheckpointRunner } from "./metadata/checkpoint-job.js"
import { DeviceSet, type OwnedFolder } from "./devices/device-set.js"
import { outOfReach } from "./devices/reach.js"
import { followStore } from "./devices/stall-facts.js"
import { stallWatch } from "./devices/stall-watch.js"
import type { Fronts } from "./front/fronts.js"
import { exchangeOf, type ShardExchange } from "./shard-exchange.js"
import type { OpenedNode } from "./open/contract.js"
import { DeviceCopies } from "./cluster/device-copies.js"
import { beginServing } from "./begin-serving.js"
import { EpochRetention } from "./cluster/epochs.js"
import { absences } from "./cluster/absences.js"
import { afterHalt } from "./cluster/after-halt.js"
import { followRootKey } from "./cluster/root-key.js"
import { cipherOf, openDevice, type DeviceOptions, type DevicePlace, type DeviceStack } from "./devices/device-stack.js"
import { bucketPolicies, tendingJobs, upkeepOf, verifyingReplicas } from "./background.js"
import { ReplicaComparing } from "./metadata/replica-comparison.js"
import type { EngineMetadata, SharedMetadata } from "./metadata/database.js"
import { checkBeginning } from "./metadata/check-beginning.js"
import { discardMetadata } from "./metadata/discard.js"
import { FIRST_TABLET } from "./metadata/first-tablet.js"
import { deviceKeysIn, storeCipherIn } from "./control/at-rest.js"
import { RecordEpochKeys } from "./control/epoch-keys.js"
import { followMasterKey } from "./control/follow-master-key.js"
import { KeysOnDevices } from "./control/keys-on-devices.js"
import { MasterKeyRotation } from "./control/master-key-rotation.js"
import { NamedKeyStore, type NamedKeySettings } from "./control/named-keys.js"
import { encryptingBy, openFileEncryption, type FileEncryption } from "./encrypt/open-encrypting.js"
import { openErasures, type Erasures } from "./erase/open-erasures.js"
import { RecordClasses } from "./control/record-classes.js"
import { redundancyOf } from "./control/redundancy.js"
import { StoreControl } from "./control/store-control.js"

const DEVICES_CONCURRENT = 4
/** Low enough that clients hardly notice it; high enough to move 4 TiB a day. */
const MOVE_BYTES_PER_SECOND = 50 * MIB

/** The seams that an engine is built over. */
interface Seams {
  readonly clock: Clock
  readonly random: Random
  /** Returns the disk through which a device's files are accessed. */
  readonly diskOf: (place: DevicePlace) => Disk
  readonly stores: Stores
  readonly compute: Compute
  readonly telemetry: Telemetry
  readonly checkpoints: CheckpointRunner
}

/** The devices and the record of this start, and the identity of this process. */
export interface EngineSettings {
  /** The devices that are present. */
  readonly folders: readonly OwnedFolder[]
  /** The record in effect; every one of these devices stores it. */
  readonly record: ControlRecord
  readonly incarnation: Incarnation
  /** The node is undefined if the devices of this process are the store, and keep the metadata. */
  readonly node?: OpenedNode | undefined
  readonly masterKeys: MasterKeys
  /** Called once if another node has replaced the master key by one that this process does not have: it must end. */
  readonly onKeyLost?: ((reason: Failure) => void) | undefined
  readonly root: RootKey
  readonly deviceOptions: DeviceOptions
  /** The front threads of this process; undefined: this thread serves alone. */
  readonly fronts?: Fronts | undefined
  /** Judges the devices together; knows the calls of those who took the folders. */
  readonly stalls?: Stalls
  /** Smaller in simulation. */
  readonly spaceLimits?: SpaceLimits
  /** Refuse writes that would have only one copy. */
  readonly refuseSingleCopy?: boolean
  /** The backup job's own default if undefined. */
  readonly metadataBackupEveryMs?: number | undefined
  /** With several nodes: how long an erasure keeps the former key. */
  readonly erasedKeysKeptMs?: number
  /** The terms are undefined if no copies of hot pieces are kept. */
  readonly hotCopies?: HotCopyTerms | undefined
  /** Upper bound for moving and re-encoding together; `MOVE_BYTES_PER_SECOND` if absent. */
  readonly moveBytesPerSecondMax?: number
  /** Shorter in simulation. */
  readonly abortedWaits?: AbortedWaits | undefined
  /** `STORE_DAYS` if absent. */
  readonly days?: StoreDays | undefined
  /** The store's clock, if this process had the store open before. */
  readonly storeTime?: StoreTime | undefined
  /** How many times as fast as real time jobs wait; undefined: once. */
  readonly haste?: number | undefined
  readonly namedKeys?: NamedKeySettings
}

export interface Engine extends Access {
  readonly services: StoreServices
  readonly namedKeys: NamedKeyStore
  readonly masterKey: MasterKeyRotation
  readonly recordManager: RecordManager
  readonly control: StoreControl
  readonly erasures: Erasures
  readonly fileEncryption: FileEncryption | undefined
  readonly metadata: EngineMetadata
  /** The tablet is undefined if the metadata is in a database. */
  readonly tablet: Primary | undefined
  /** Open devices of this node. */
  readonly devices: readonly DeviceStack[]
  readonly exchange: ShardExchange
  /** The reason why this process can neither write nor read most blocks now: too few devices respond to it. */
  readonly outOfReach: string | undefined
  /** The reason why requests wait now: so many devices do not answer that it is one stall. */
  readonly stalled: string | undefined
  /** The caller supervises them until the stop signal. */
  readonly backgroundServices: readonly BackgroundService[]
  readonly jobs: readonly Job[]
  /** Registers the callback that wakes the repair job when there is something to repair. */
  onRepairDue(wake: () => void): void
  /**
   * Sets whether this process is the one that scans the blocks of the store; until this is called it is, on one
   * machine.
   */
  setScanner(isScanner: () => boolean): void
  /** Raises the superblocks of the open devices of this process. Throws the failure of one. */
  raiseFormatEpoch(formatEpoch: number): Promise<void>
  /** Opens a folder that this process now owns: a new device, or one that returns. */
  bringIn(folder: OwnedFolder): Promise<DeviceStack>
  /** Closes a device that is no longer part of the store and releases its folder. */
  giveUp(id: DeviceId, reason: Failure): void
  /** Throws `invalidArgument` for a policy whose blocks need more memory than this process has. */
  checkPolicy(policy: Policy): void
  /** Call after the background services have ended. Waits for work in progress, makes a last checkpoint, closes. */
  stop(): Promise<void>
}

/** Opens devices, the metadata on them or in the database, and the services over it. Leaves nothing open if it throws. */
export async function openEngine(seams: Seams, settings: EngineSettings): Promise<Engine> {
  const builder = new EngineBuilder(seams, settings)
  try {
    return await builder.build()
  } catch (error) {
    await builder.abandon()
    throw error
  }
}

const refusalOf = ({ reason }: Halt): Failure => fail("databaseRolledBack", { reason })

/** The parts that keep up with the other nodes. */
interface Sharing {
  readonly services: readonly BackgroundService[]
  readonly copies?: DeviceCopies
}

type OpenedMetadata = Pick<Engine, "metadata" | "tablet"> & { readonly shared: SharedMetadata | undefined }

class EngineBuilder {
  private readonly recordManager: RecordManager
  private readonly devices: DeviceSet
  readonly epochs: RecordEpochKeys
  private readonly keysOnDevices: KeysOnDevices
  private readonly layouts: Layouts
  private readonly control: StoreControl
  private readonly spaces: Spaces
  private readonly stalls: Stalls
  private wakeRepair: () => void = () => undefined
  private isScanner = (): boolean => this.settings.node === undefined
  private services: StoreServices | undefined
  private isCutOff: () => boolean = () => false
  private readonly bucketPolicies = (): readonly Policy[] =>
    this.services?.buckets.policies().map(({ policy }) => policy) ?? []
  /** Replaced once the repair job exists. */
  private onDamage: (device: DeviceId, needle: NeedleId) => void = () => undefined

  constructor(
    private readonly seams: Seams,
    private readonly settings: EngineSettings,
  ) {
    const { clock, random, telemetry } = seams
    const { record, incarnation, node, masterKeys } = settings
    const { layout, previousLayout } = record
    this.spaces = new Spaces(clock, random.fork("ballast"), telemetry.log, settings.spaceLimits)
    const { stalls = new Stalls() } = settings
    this.stalls = stalls
    const isOwn = ({ home }: ControlDevice): boolean => node === undefined || home?.node === node.name
    const onTrouble = (id: DeviceId, failure: Failure) => void this.control.takeOffline(id, failure)
    this.devices = new DeviceSet(clock, random, telemetry.log, onTrouble)
    const { devices } = this
    const { bucketPolicies: policies } = this
    followStore(stalls, { record: () => this.recordManager.record, devices, policies, isOwn })
    const [kept, isStalling] = [() => devices.kept, () => stalls.isStalling]
    this.recordManager =
      node?.records ?? new ControlRecordManager(clock, incarnation, record, kept, onTrouble, isStalling)
    this.keysOnDevices = new KeysOnDevices(this.recordManager, kept)
    followMasterKey(this.recordManager, masterKeys, reason => settings.onKeyLost?.(reason))
    this.epochs = new RecordEpochKeys(
      { clock, random: random.fork("epoch keys"), log: telemetry.log },
      {
        records: this.recordManager,
        refresh: node && (() => node.records.refresh()),
        get masterKey() {
          return masterKeys.current
        },
        raiseFormatEpoch: formatEpoch => this.devices.raiseFormatEpoch(formatEpoch),
      },
    )
    this.layouts = new Layouts(layoutOf(layout), previousLayout && layoutOf(previousLayout))
    this.control = new StoreControl(this.recordManager, this.devices, this.layouts, clock, telemetry.log, {
      refuseSingleCopy: settings.refuseSingleCopy ?? false,
      isOwn,
      rebuild: id => this.rebuild(id),
      isCutOff: () => this.isCutOff(),
      bucketPolicies: policies,
      heldPolicies: () => this.heldPolicies(),
    })
  }

  async build(): Promise<Engine> {
    const { clock, random, compute, telemetry } = this.seams
    const { masterKeys, root, node, fronts, days, storeTime, abortedWaits, haste } = this.settings
    const { recordManager, devices, control, stalls, bucketPolicies } = this
    await this.openDevices()
    const { metadata, tablet, shared } = await this.openMetadata()
    const blocks = this.blocksOver(shared)
    const { storeId, blockBytes } = recordManager.record
    const keySources = { records: recordManager, epochs: this.epochs, node, settings: this.settings.namedKeys }
    const namedKeys = new NamedKeyStore(this.seams, keySources)
    const cipher = storeCipherIn(recordManager.record, masterKeys.current, random)
    const services = createServices(
      { clock, random, tablet: metadata, compute, blocks, telemetry, keys: namedKeys.objectKeys(metadata) },
      {
        store: {
          get policy() {
            return recordManager.record.policy
          },
          blockBytes,
          ready: () => this.readyToWrite(),
        },
        redundancy: this.redundancy(),
        classes: new RecordClasses(recordManager, devices),
        backup: { storeId, tabletId: FIRST_TABLET, everyMs: this.settings.metadataBackupEveryMs, cipher },
        abortedWaits,
        days,
        storeTime,
        haste,
        ...encryptingBy(recordManager, node === undefined),
        isShared: shared !== undefined || fronts !== undefined,
        duringHalt: shared && namedKeys.duringHalt(shared),
        // Readers on other nodes are unknown here.
        retention: shared && new EpochRetention(clock, shared),
        oldestPinOfOthers: fronts?.oldestPin,
      },
    )
    this.services = services
    this.onDamage = (deviceId, id) => services.repair.noteDamage({ deviceId, id })
    const access = openAccess(random, services.tablet, masterKeys, root, services.refuseEarlier)
    const keyUpkeep = namedKeys.open(services.tablet, access, root.accountId)
    // Recovered rows may exceed the limit at which writes wait for a checkpoint, and no checkpoint job runs yet.
    for (const stack of this.devices.open) if (stack.checkpointer.isOver(2)) await this.checkpointFirst(stack)
    if (node) followRootKey(node.records, masterKeys, telemetry.log, root => access.accounts.setRoot(root))
    const begin = () => beginServing(services, access, this.epochs)
    // Their rows are neither read nor written while the store is halted.
    if (shared?.halt === undefined) await begin()
    const [erasures, rotation] = [this.erasures(services, namedKeys), this.rotation(access)]
    const fileEncryption = openFileEncryption(services, recordManager, () => devices.open, telemetry.log)
    const sharing = await this.sharingServices(services, begin)
    return {
      services,
      ...access,
      exchange: this.exchange(),
      namedKeys,
      masterKey: rotation,
      erasures,
      fileEncryption,
      recordManager,
      control,
      metadata,
      tablet,
      get devices() {
        return devices.open
      },
      get outOfReach() {
        return outOfReach(recordManager.record, bucketPolicies(), devices.shards)
      },
      get stalled() {
        return stalls.trouble
      },
      backgroundServices: [devices, services.storeClock, erasures, ...sharing.services, this.stallWatch()],
      jobs: [
        ...(tablet ? [verifyingReplicas(tablet), new ReplicaComparing(tablet, control, clock, telemetry.log)] : []),
        ...services.jobs,
        erasures,
        keyUpkeep,
        rotation,
        control,
        ...tendingJobs(() => devices.open, fileEncryption),
      ],
      onRepairDue: wake => (this.wakeRepair = wake),
      setScanner: isScanner => (this.isScanner = isScanner),
      raiseFormatEpoch: formatEpoch => devices.raiseFormatEpoch(formatEpoch),
      bringIn: folder => this.bringIn(folder),
      giveUp: (id, reason) => devices.remove(id, reason),
      checkPolicy: policy => this.checkPolicy(policy),
      stop: () => this.stop(tablet ?? shared, sharing.copies),
    }
  }

  private stallWatch(): BackgroundService {
    const { clock, telemetry } = this.seams
    return stallWatch(clock, telemetry.log, () => this.stalls.trouble)
  }

  private blocksOver(shared: SharedMetadata | undefined): LocalBlocks {
    const { clock, compute, telemetry } = this.seams
    const { refuseSingleCopy = false, hotCopies } = this.settings
    return new LocalBlocks(clock, compute, this.layouts, this.devices.shards, telemetry.metrics, {
      refuseSingleCopy,
      hotCopies,
      onSingleCopy: () => this.control.singleCopyWritten(),
      onDamage: (deviceId, needle) => this.onDamage(deviceId, needle),
      ...absences(this.recordManager, shared !== undefined),
    })
  }

  private erasures(services: StoreServices, namedKeys: NamedKeyStore): Erasures {
    const { recordManager: records, epochs, keysOnDevices: devices } = this
    const keptMs = (this.settings.node && this.settings.erasedKeysKeptMs) ?? 0
    return openErasures(this.seams, services, { records, epochs, namedKeys, keptMs, devices })
  }

  private rotation({ accounts }: Access): MasterKeyRotation {
    const { recordManager: records, epochs, keysOnDevices: devices, seams } = this
    const { masterKeys: keys, node: opened } = this.settings
    const node = opened && { name: opened.name, incarnations: () => opened.metadata.incarnations }
    const sources = { records, epochs, keys, accounts, devices, node }
    return new MasterKeyRotation({ ...seams, log: seams.telemetry.log }, sources)
  }

  private redundancy(): RedundancySource {
    const { control, layouts, devices, settings } = this
    const { clock, telemetry } = this.seams
    return redundancyOf(
      {
        control,
        layouts,
        isInReach: id => settings.node === undefined || devices.shards.has(id),
        bucketPolicies: () => this.services?.buckets.policies() ?? [],
      },
      clock,
      telemetry.log,
      settings.moveBytesPerSecondMax ?? MOVE_BYTES_PER_SECOND,
      () => this.wakeRepair(),
    )
  }

  private exchange(): ShardExchange {
    const { devices, layouts } = this
    const setCutOff = (isCutOff: () => boolean) => void (this.isCutOff = isCutOff)
    return exchangeOf(devices, layouts, { wakeRepair: () => this.wakeRepair(), setCutOff })
  }

  /** Returns the parts that keep up with the other nodes; the devices have the record when it resolves. */
  private async sharingServices(services: StoreServices, begin: () => Promise<void>): Promise<Sharing> {
    const { node, fronts } = this.settings
    const { clock, telemetry } = this.seams
    if (node === undefined) return { services: fronts === undefined ? [] : [fronts, bucketPolicies(services, clock)] }
    const { metadata, records } = node
    const copies = new DeviceCopies(records, metadata, () => this.devices.kept, clock, telemetry.log)
    await copies.write()
    const late = metadata.halt === undefined ? [] : [afterHalt(metadata, { clock, log: telemetry.log }, begin)]
    return {
      copies,
      services: [
        upkeepOf(metadata),
        records,
        copies,
        bucketPolicies(services, clock),
        ...late,
        ...(fronts ? [fronts] : []),
      ],
    }
  }

  /** In the database of the node, or on the devices. */
  private async openMetadata(): Promise<OpenedMetadata> {
    const { clock, telemetry } = this.seams
    const { log } = telemetry
    const shared = this.settings.node?.metadata
    if (shared !== undefined) return { metadata: shared, tablet: undefined, shared }
    const { replicas, recovered } = await this.recover()
    const { epoch } = tabletOf(this.recordManager.record, FIRST_TABLET)
    const start = { replicas, epoch, recovered, opening: this.seams.random.fork("opening").below(2 ** 32) }
    const { incarnation, fronts } = this.settings
    const incarnations = fronts?.incarnations ?? soleProcess(incarnation)
    const tablet = new Primary(start, clock, log, this.control, incarnations)
    this.control.attach(tablet)
    return { metadata: tablet, tablet, shared: undefined }
  }

  /** Takes a device offline if its checkpoint fails and the store can run without it. */
  private async checkpointFirst(stack: DeviceStack): Promise<void> {
    const { place, checkpointer, disk } = stack
    try {
      await checkpointer.checkpoint()
    } catch (error) {
      const failure = asFailure(error)
      // The thread that makes checkpoints sees one device only.
      const isLate = failure.details["code"] === "ETIMEDOUT" && disk.suspect === undefined
      if (isLate && this.stalls.isStalling) return this.checkpointFirst(stack)
      if (!isShortage(failure)) await this.control.takeOffline(place.id, failure)
      if (this.devices.find(place.id) !== undefined) throw failure
    }
  }

  /** A scan of an earlier time does not show what other nodes have stored since. */
  private heldPolicies(): readonly Policy[] | undefined {
    if (!this.isScanner()) return undefined
    const shardScan = this.services?.repair.shardScan()
    return shardScan?.isComplete === true ? shardScan.policies.map(({ policy }) => policy) : undefined
  }

  /** Takes a device offline if it cannot be opened and the store can run without it. */
  private async openDevices(): Promise<void> {
    const opened = await mapBounded(this.settings.folders, DEVICES_CONCURRENT, async folder => {
      const stack = await this.openFolder(folder).catch((error: unknown) => asFailure(error))
      if (!(stack instanceof Failure)) this.devices.add(stack, folder)
      return { folder, stack }
    })
    for (const { folder, stack } of opened) {
      if (!(stack instanceof Failure)) continue
      await this.goOnWithout(folder.place.id, stack)
      // The store may open the folder again while it runs.
      await folder.release()
    }
    // Learners from an earlier process may have a gap in their metadata.
    await this.control.change("start", forgetLearners)
  }

  /** Discards damaged metadata of a device that holds no metadata replica. */
  private async openFolder(folder: OwnedFolder): Promise<DeviceStack> {
    try {
      return await this.openStack(folder)
    } catch (error) {
      const isReplica = this.control.holdsMetadata(folder.place.id)
      // The control record has proven the key: a log that it does not open is damaged.
      const isDamaged = isFailure(error, "corruptLog", "corruptRow", "corruptRecord", "corruptSeal")
      if (isReplica || !isDamaged) throw error
      await this.discard(folder)
      return this.openStack(folder)
    }
  }

  private async discard({ place }: OwnedFolder): Promise<void> {
    const { diskOf, stores, clock, random, telemetry } = this.seams
    telemetry.log.warn("metadata_store_discarded", { device: place.id })
    const watch = new AbortController()
    try {
      const disk = queuedDisk(diskOf(place), clock, CALL_LIMITS, watch.signal, () => undefined)
      await discardMetadata(stores, place.path, { disk, deviceId: place.id, cipher: cipherOf(place, random) })
    } finally {
      watch.abort()
    }
  }

  /** Closes a healthy device that holds no metadata replica, and opens it again with an empty metadata store. */
  private async rebuild(id: DeviceId): Promise<void> {
    const folder = await this.devices.close(id)
    if (folder === undefined) return
    try {
      await this.discard(folder)
      await this.bringIn(folder)
    } catch (error) {
      await this.goOnWithout(id, asFailure(error))
      await folder.release()
    }
  }

  private openStack(folder: OwnedFolder): Promise<DeviceStack> {
    const { clock, random, diskOf, stores, telemetry, checkpoints } = this.seams
    const { place } = folder
    const { deviceOptions } = this.settings
    const device = this.recordManager.record.devices.find(({ id }) => id === place.id)
    const replicas = this.recordManager.record.tablets.flatMap(tablet => tablet.replicas)
    const since = replicas.find(({ id }) => id === place.id)?.since
    const replicaIncarnations = new Map(since === undefined ? [] : [[FIRST_TABLET, since]])
    const options: DeviceOptions = {
      ...deviceOptions,
      stalls: this.stalls,
      guard: () => folder.check(),
      isMountPoint: device?.isMountPoint ?? false,
      aliveSinceMs: place.createdMs ?? device?.stateSinceMs ?? clock.wallMs(),
      checkRemoval: () => this.checkRemoval(),
      refuseEarlier: () => folder.raiseFormatEpoch(FORMAT_EPOCH_OF_ENDS),
      onDamage: (deviceId, needle) => this.onDamage(deviceId, needle),
      onBadRow: (deviceId, failure) => this.control.damaged(deviceId, failure),
    }
    const seams = { disk: diskOf(place), stores, clock, random, log: telemetry.log, checkpoints }
    const keys = deviceKeysIn(this.recordManager.record, this.settings.masterKeys.current, place.id)
    return openDevice(seams, { place: { ...place, keys }, replicaIncarnations, spaces: this.spaces, options })
  }

  /** Returns undefined if blocks may be written now. */
  private readyToWrite(): Promise<void> | undefined {
    const { node } = this.settings
    const halt = node?.metadata.halt
    return halt === undefined ? node?.records.ready() : Promise.reject(refusalOf(halt))
  }

  /** Rows that reference the bytes may be missing. */
  private checkRemoval(): void {
    const halt = this.settings.node?.metadata.halt
    if (halt !== undefined) throw refusalOf(halt)
  }

  /** Takes the device offline. Throws the failure if the store cannot run without the device. */
  private async goOnWithout(id: DeviceId, failure: Failure): Promise<void> {
    const { clock, telemetry } = this.seams
    // `tooManyInFlight` concerns this process, not the device. A device without the space to be opened is healthy, but
    // the others serve better without it than not at all; the store tries to open it again while it runs.
    if (failure.kind === "tooManyInFlight") throw failure
    try {
      await this.control.change("device cannot be opened", record => markOffline(record, [id], clock.wallMs()))
    } catch {
      throw failure
    }
    telemetry.log.error("device_cannot_be_opened", { device: id, reason: failure.message })
    this.control.noteOffline(id, failure)
    this.devices.remove(id, failure)
  }

  /**
   * Recovers one state from all replicas. Leaves out a replica whose log or metadata store is damaged, as long as
   * another one remains. Every replica of the record is open when this resolves.
   */
  private async recover(): Promise<{ readonly replicas: readonly Replica[]; readonly recovered: Position }> {
    await this.leaveClosed()
    const replicas = this.named.map(({ id, since }) => {
      const stack = must(this.devices.find(id), "replicas are on open devices")
      return new Replica(stack.replica, FIRST_TABLET, since)
    })
    const { position, failed } = await recoverTablet(
      replicas,
      id => must(this.devices.find(id), "replicas are on open devices").place.path,
    )
    if (position === NO_POSITION) checkBeginning(failed, this.devices.open)
    for (const { replica, failure } of failed) {
      if (this.devices.find(replica.id) !== undefined) await this.goOnWithout(replica.id, failure)
    }
    await this.leaveClosed()
    const left = replicas.filter(replica => this.named.some(({ id }) => id === replica.id))
    return { replicas: left, recovered: position }
  }

  private get named(): readonly ControlReplica[] {
    return tabletOf(this.recordManager.record, FIRST_TABLET).replicas
  }

  /**
   * A device that does not accept a record in time while the store opens is closed. The record drops it before the
   * start continues. Each change of the record may close another device.
   */
  private async leaveClosed(): Promise<void> {
    for (;;) {
      const closed = this.named.map(({ id }) => id).filter(id => this.devices.find(id) === undefined)
      if (closed.length === 0) return
      await this.control.change("devices failed", record => markOffline(record, closed, this.seams.clock.wallMs()))
    }
  }

  private checkPolicy(policy: Policy): void {
    const { compute } = this.seams
    if (slabBytesOf(shapeOf(policy), this.recordManager.record.blockBytes) <= compute.slabs.slabBytes) return
    throw fail("invalidArgument", {
      message: `a redundancy of ${textOfPolicy(policy)} needs more memory for each block than this process reserves; choose one with at most as many parity shards as data shards, or copies (replica:N)`,
    })
  }

  private async bringIn(folder: OwnedFolder): Promise<DeviceStack> {
    const stack = await this.openFolder(folder)
    try {
      // The first key may have been made since the folder was taken.
      await folder.raiseFormatEpoch(formatEpochOf(this.recordManager.record))
    } catch (error) {
      await stack.close().catch(() => undefined)
      throw error
    }
    this.devices.add(stack, folder)
    return stack
  }

  private async stop(metadata: { stop(): Promise<void> } | undefined, copies: DeviceCopies | undefined): Promise<void> {
    await metadata?.stop()
    await copies?.write()
    await this.recordManager.stop()
    await mapBounded(this.devices.open, DEVICES_CONCURRENT, ({ checkpointer }) =>
      checkpointer.checkpoint().catch(() => undefined),
    )
    await this.devices.closeAll()
    await this.seams.checkpoints.close()
  }

  /** Closes everything that was opened if the engine could not be built. */
  async abandon(): Promise<void> {
    await this.settings.node?.metadata.stop()
    await this.devices.closeAll()
  }
}
