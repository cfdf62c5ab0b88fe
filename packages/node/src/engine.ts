/**
 * Engine: builds the store of one machine over the seams. The same builder serves the real process and
 * the simulator.
 *
 * The metadata is a tablet with replicas on the devices that the control record names, or in a database if it names
 * none. The layout spreads blocks over all devices. One folder is a configuration with one replica and runs the same code as seven. Devices can be
 * added and removed while the engine runs (see `store-control.ts`).
 */
import { openAccess, type Access, type MasterKeys, type RootKey } from "@hayloft/access/index.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId, Incarnation } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import { Layouts, LocalBlocks, shapeOf, type HotCopyTerms } from "@hayloft/engine/block/index.js"
import { layoutOf, tabletOf } from "@hayloft/engine/cluster/index.js"
import { ControlRecordManager, type RecordManager } from "./control/record-manager.js"
import type { SpaceLimits } from "@hayloft/base/space/space-core.js"
import { Spaces, Stalls } from "@hayloft/engine/device/index.js"
import type { ControlDevice, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { soleProcess, type Halt } from "@hayloft/engine/metadata/index.js"
import { mapBounded, type Job, type BackgroundService } from "@hayloft/base/life/index.js"
import { createServices, type StoreServices } from "@hayloft/features/index.js"
import { shownDueTimeMs, type StoreDays, type StoreTime } from "@hayloft/objects/index.js"
import type { AbortedWaits, RedundancySource } from "@hayloft/upkeep/index.js"
import { slabBytesOf, type Compute } from "@hayloft/base/seams/compute/index.js"
import { Primary } from "@hayloft/engine/tablet/index.js"
import type { NeedleId } from "@hayloft/engine/volume/index.js"
import { DeviceOpener, DEVICES_CONCURRENT, type OpenerSeams } from "./devices/device-opener.js"
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
import type { DeviceOptions, DeviceStack } from "./devices/device-stack.js"
import { bucketPolicies, tendingJobs, upkeepOf, verifyingReplicas } from "./background.js"
import { ReplicaComparing } from "./metadata/replica-comparison.js"
import type { EngineMetadata, SharedMetadata } from "./metadata/database.js"
import { recoverReplicas } from "./metadata/recover-replicas.js"
import { FIRST_TABLET } from "./metadata/first-tablet.js"
import { storeCipherIn } from "./control/at-rest.js"
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

/** Low enough that clients hardly notice it; high enough to move 4 TiB a day. */
const MOVE_BYTES_PER_SECOND = 50 * MIB

/** The seams that an engine is built over. */
interface Seams extends OpenerSeams {
  readonly compute: Compute
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
  private readonly opener: DeviceOpener
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
    const spaces = new Spaces(clock, random.fork("ballast"), telemetry.log, settings.spaceLimits)
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
      rebuild: id => this.opener.rebuild(id),
      isCutOff: () => this.isCutOff(),
      bucketPolicies: policies,
      heldPolicies: () => this.heldPolicies(),
    })
    this.opener = new DeviceOpener(seams, {
      records: this.recordManager,
      devices,
      control: this.control,
      masterKeys,
      spaces,
      stalls,
      options: settings.deviceOptions,
      checkRemoval: () => this.checkRemoval(),
      onDamage: (deviceId, needle) => this.onDamage(deviceId, needle),
    })
  }

  async build(): Promise<Engine> {
    const { clock, random, compute, telemetry } = this.seams
    const { masterKeys, root, node, fronts, days, storeTime, abortedWaits, haste } = this.settings
    const { recordManager, devices, control, stalls, bucketPolicies } = this
    await this.opener.openAll(this.settings.folders)
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
    const keyUpkeep = namedKeys.open(services, access, root.accountId)
    // Recovered rows may exceed the limit at which writes wait for a checkpoint, and no checkpoint job runs yet.
    for (const stack of this.devices.open) if (stack.checkpointer.isOver(2)) await this.opener.checkpointFirst(stack)
    if (node) followRootKey(node.records, masterKeys, telemetry.log, root => access.accounts.setRoot(root))
    const begin = () => beginServing(services, access, this.epochs)
    // Their rows are neither read nor written while the store is halted.
    if (shared?.halt === undefined) await begin()
    const [erasures, rotation] = [this.erasures(services, namedKeys), this.rotation(access, services)]
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
      bringIn: folder => this.opener.bringIn(folder),
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

  private rotation({ accounts }: Access, { storeClock }: Pick<StoreServices, "storeClock">): MasterKeyRotation {
    const { recordManager: records, epochs, keysOnDevices: devices, seams } = this
    const { masterKeys: keys, node: opened } = this.settings
    const node = opened && { name: opened.name, incarnations: () => opened.metadata.incarnations }
    const sources = { records, epochs, keys, accounts, devices, node }
    const dueTimeMs = () => shownDueTimeMs({ clock: seams.clock, storeClock })
    return new MasterKeyRotation({ ...seams, log: seams.telemetry.log, dueTimeMs }, sources)
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
    const { recordManager: records, devices, control, opener } = this
    const goOnWithout = (id: DeviceId, failure: Failure) => opener.goOnWithout(id, failure)
    const { replicas, recovered } = await recoverReplicas({ records, devices, control, clock, goOnWithout })
    const { epoch } = tabletOf(records.record, FIRST_TABLET)
    const start = { replicas, epoch, recovered, opening: this.seams.random.fork("opening").below(2 ** 32) }
    const { incarnation, fronts } = this.settings
    const incarnations = fronts?.incarnations ?? soleProcess(incarnation)
    const tablet = new Primary(start, clock, log, control, incarnations)
    control.attach(tablet)
    return { metadata: tablet, tablet, shared: undefined }
  }

  /** A scan of an earlier time does not show what other nodes have stored since. */
  private heldPolicies(): readonly Policy[] | undefined {
    if (!this.isScanner()) return undefined
    const shardScan = this.services?.repair.shardScan()
    return shardScan?.isComplete === true ? shardScan.policies.map(({ policy }) => policy) : undefined
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

  private checkPolicy(policy: Policy): void {
    const { compute } = this.seams
    if (slabBytesOf(shapeOf(policy), this.recordManager.record.blockBytes) <= compute.slabs.slabBytes) return
    throw fail("invalidArgument", {
      message: `a redundancy of ${textOfPolicy(policy)} needs more memory for each block than this process reserves; choose one with at most as many parity shards as data shards, or copies (replica:N)`,
    })
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
