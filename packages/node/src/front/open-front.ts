/**
 * Opens a front: the services of a store in a thread that neither decides nor writes to disks. What the engine thread decides
 * it asks by a channel; the devices of the engine thread are its only ones.
 *
 * Promises  The same services as those of a node of a cluster, over the same contracts.
 */
import { MasterKeys, openAccess, type Access } from "@hayloft/access/index.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { hurried } from "@hayloft/base/seams/clock/hurried.js"
import { JobRunner, laterTurn, type BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { Layouts, LocalBlocks, type BlockOptions } from "@hayloft/engine/block/index.js"
import { layoutOf } from "@hayloft/engine/cluster/index.js"
import { incarnationsSeen, type Metadata } from "@hayloft/engine/metadata/index.js"
import {
  ChannelDevice,
  ChannelMetadata,
  LastChanges,
  LocalReads,
  type DeviceHints,
  type ThreadLink,
} from "@hayloft/engine/thread/index.js"
import { createServices, type StoreServices } from "@hayloft/features/index.js"
import type { StoreDays } from "@hayloft/objects/index.js"
import type { RedundancySource } from "@hayloft/upkeep/index.js"
import { bucketPolicies } from "../background.js"
import { beginServing } from "../begin-serving.js"
import { absences } from "../cluster/absences.js"
import { followRootKey } from "../cluster/root-key.js"
import { mustSealNewBytes } from "../control/at-rest.js"
import { RecordEpochKeys } from "../control/epoch-keys.js"
import { followMasterKey } from "../control/follow-master-key.js"
import { NamedKeyStore, type NamedKeySettings } from "../control/named-keys.js"
import type { RecordManager } from "../control/record-manager.js"
import { publishLayouts } from "../control/publish-layouts.js"
import { RecordClasses } from "../control/record-classes.js"
import { FrontRecords } from "./front-records.js"
import { FRONT_METHODS, STORE_METHODS, type FrontStart, type StoreState } from "./methods.js"

interface FrontSeams {
  readonly clock: Clock
  /** The files of the devices that the engine thread has open. */
  readonly disk: Disk
  readonly random: Random
  readonly compute: Compute
  readonly telemetry: Telemetry
}

interface FrontSettings {
  readonly blocks?: BlockOptions
  /** The part of the limits of the process that this front has, from 0 to 1. */
  readonly share?: number
  readonly days?: StoreDays | undefined
  readonly haste?: number | undefined
  readonly namedKeys?: NamedKeySettings
  /** Called once if the store is sealed under a key that this process does not have. */
  readonly onKeyLost: (reason: Failure) => void
}

export interface FrontStore extends Access {
  readonly recordManager: Pick<RecordManager, "record">
  readonly metadata: Metadata
  readonly services: StoreServices
  readonly namedKeys: NamedKeyStore
  readonly masterKeys: MasterKeys
  /** The state of the store, as the engine thread has told it last. */
  readonly state: StoreState
  /** The caller supervises them until the stop. */
  readonly backgroundServices: readonly BackgroundService[]
}

/** No limit is reached here: moves are made by the engine thread alone. */
const NO_MOVES_BYTES_PER_SECOND = 50 * MIB

/** Starts the link. */
export async function openFront(
  seams: FrontSeams,
  link: ThreadLink,
  start: FrontStart,
  settings: FrontSettings,
): Promise<FrontStore> {
  const { clock, random, compute, telemetry } = seams
  const { record: first, secrets } = start
  const { share = 1 } = settings
  const now = { state: start.state }
  const masterKeys = new MasterKeys(secrets.masterKey, secrets.formerKey, secrets.nextKey)
  const records = new FrontRecords(link, first)
  followMasterKey(records, masterKeys, settings.onKeyLost)
  const { layout, previousLayout } = first
  const layouts = new Layouts(layoutOf(layout), previousLayout && layoutOf(previousLayout))
  records.onChange(record => publishLayouts(layouts, record))
  const devices = new FrontDevices(hints => new ChannelDevice(link, hints, new LocalReads(seams.disk, clock)))
  devices.follow(now.state)
  const metadata = new ChannelMetadata(
    link,
    incarnationsSeen(() => now.state.incarnations, start.incarnation),
    start.changes && new LastChanges(start.changes),
  )
  const raiseFormatEpoch = (epoch: number): Promise<void> => link.call(STORE_METHODS.raiseFormatEpoch, epoch)
  const refresh = (): Promise<void> => records.refresh()
  const epochs = new RecordEpochKeys(
    { clock, random: random.fork("epoch keys"), log: telemetry.log },
    {
      records,
      refresh,
      get masterKey() {
        return masterKeys.current
      },
      raiseFormatEpoch,
    },
  )
  const namedKeys = new NamedKeyStore(seams, { records, epochs, node: { records }, settings: settings.namedKeys })
  const blocks = new LocalBlocks(clock, compute, layouts, devices.open, telemetry.metrics, {
    ...settings.blocks,
    memoryShare: share,
    onSingleCopy: () => void link.call(STORE_METHODS.singleCopyWritten, undefined).catch(() => undefined),
    onDamage: (deviceId, needle) => void link.call(STORE_METHODS.onDamage, { deviceId, needle }).catch(() => undefined),
    ...absences(records, true),
  })
  const redundancy: RedundancySource = {
    layouts,
    moveBytesPerSecondMax: NO_MOVES_BYTES_PER_SECOND,
    states: () => new Map(records.record.devices.map(device => [device.id, device])),
    policyVersion: () => records.record.policyVersion,
    policy: () => records.record.policy,
    bucketPolicies: () => services.buckets.policies(),
    // The engine thread repairs, and decides when something is whole.
    onDeviceWhole: () => undefined,
    onTransitionDone: () => undefined,
    wake: () => undefined,
  }
  const services = createServices(
    { clock, random, tablet: metadata, compute, blocks, telemetry, keys: namedKeys.objectKeys(metadata) },
    {
      store: {
        get policy() {
          return records.record.policy
        },
        blockBytes: first.blockBytes,
        ready: () =>
          now.state.incarnations.isHalted === true ? Promise.reject(fail("databaseRolledBack")) : undefined,
      },
      redundancy,
      classes: new RecordClasses(records, { raiseFormatEpoch }),
      days: settings.days,
      haste: settings.haste,
      encryptsAtRest: mustSealNewBytes(first),
      isShared: true,
    },
  )
  link.handle(FRONT_METHODS.follow, ({ record, state }) => {
    now.state = state
    devices.follow(state)
    if (record !== undefined) records.follow(record)
    return { oldestLayout: layouts.oldest }
  })
  link.handle(FRONT_METHODS.oldestPin, async () => {
    // A reader that has received rows in this turn has pinned them at its end.
    await laterTurn(clock)
    return services.core.pins.oldest()
  })
  link.start()
  const access = openAccess(random, services.tablet, masterKeys, secrets.root, services.refuseEarlier)
  namedKeys.open(services, access, secrets.root.accountId)
  // In a database: another node may start with another root key.
  if (first.tablets.length === 0) {
    followRootKey(records, masterKeys, telemetry.log, root => access.accounts.setRoot(root))
  }
  // While the store is halted its rows are not read. Once it goes on, another front takes the place of this one.
  if (start.state.incarnations.isHalted !== true) await beginServing(services, access, epochs)
  const jobs = new JobRunner("front jobs", services.ownJobs, hurried(clock, settings.haste ?? 1), telemetry)
  return {
    ...access,
    recordManager: records,
    metadata,
    services,
    namedKeys,
    masterKeys,
    get state() {
      return now.state
    },
    backgroundServices: [services.storeClock, bucketPolicies(services, clock), jobs],
  }
}

/** The devices that the engine thread has open. */
class FrontDevices {
  readonly open = new Map<DeviceId, ChannelDevice>()

  constructor(private readonly make: (hints: DeviceHints) => ChannelDevice) {}

  follow({ devices }: StoreState): void {
    const told = new Set(devices.map(({ id }) => id))
    for (const [id, device] of this.open) {
      if (told.has(id)) continue
      this.open.delete(id)
      device.close()
    }
    for (const hints of devices) {
      const device = this.open.get(hints.id)
      if (device === undefined) this.open.set(hints.id, this.make(hints))
      else device.tell(hints)
    }
  }
}
