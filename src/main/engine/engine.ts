/**
 * Engine: the store of one machine, put together over the seams. The same builder serves the real
 * process and the simulator.
 *
 * One tablet with members on the first `metaCopies` devices; blocks on all devices by the layout. One
 * folder is a configuration of one member through the same code as seven.
 */
import { AccountService, type RootKey } from "../../access/index.js"
import { assert, must } from "../../base/assert.js"
import { parseTabletId } from "../../base/ids.js"
import type { DeviceId, Epoch, Incarnation, TabletId } from "../../base/ids.js"
import { LocalBlocks } from "../../block/index.js"
import { DisposeStack } from "../../life/index.js"
import type { Chore, Living } from "../../life/index.js"
import { createServices, type Services, type StorePolicy } from "../../object/index.js"
import type { Layout } from "../../placement/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import { FIRST_EPOCH } from "../../format/membership.js"
import type { Compute } from "../../seams/compute/index.js"
import type { Disk } from "../../seams/disk/contract.js"
import type { Random } from "../../seams/random/contract.js"
import type { Stores } from "../../seams/store/contract.js"
import type { Telemetry } from "../../seams/telemetry/contract.js"
import { Member, Primary, recoverTablet, type ConfigurationKeeper } from "../../tablet/index.js"
import type { CheckpointRunner } from "./checkpoint-job.js"
import { openDevice, type DeviceOptions, type DevicePlace, type DeviceStack } from "./device-stack.js"

/** The one tablet of a machine; splits come with the cluster. */
export const FIRST_TABLET: TabletId = parseTabletId(1)

/** The world that an engine lives in. */
export interface Seams {
  readonly clock: Clock
  readonly random: Random
  /** Each device's own way to its files: a device that hangs must not hold up the others. */
  readonly diskOf: (place: DevicePlace) => Disk
  readonly stores: Stores
  readonly compute: Compute
  readonly telemetry: Telemetry
  readonly checkpoints: CheckpointRunner
}

/** What the control record says, and who this process is. */
export interface EngineSettings {
  readonly devices: readonly DevicePlace[]
  readonly layout: Layout
  readonly store: StorePolicy
  readonly members: readonly DeviceId[]
  readonly epoch: Epoch
  readonly incarnation: Incarnation
  readonly masterKey: Uint8Array
  readonly root: RootKey
  readonly deviceOptions: DeviceOptions
}

export interface Engine {
  readonly services: Services
  readonly accounts: AccountService
  readonly devices: readonly DeviceStack[]
  readonly tablet: Primary
  /** To be supervised until the stop signal. */
  readonly livings: readonly Living[]
  readonly chores: readonly Chore[]
  /** After the livings have ended: waits for what is under way, makes a last checkpoint, closes. */
  stop(): Promise<void>
}

/** Members do not change: what one of them cannot log halts writes. */
const FIXED: ConfigurationKeeper = {
  leave: (_, reason) => Promise.reject(reason),
  learningFailed: () => undefined,
  damaged: () => undefined,
  refusesSingleCopy: () => false,
}

export async function openEngine(seams: Seams, settings: EngineSettings): Promise<Engine> {
  const { clock, random, diskOf, stores, compute, telemetry, checkpoints } = seams
  const opened = new DisposeStack()
  try {
    const devices: DeviceStack[] = []
    for (const place of settings.devices) {
      const options = settings.deviceOptions
      const device = await openDevice(
        diskOf(place),
        stores,
        clock,
        telemetry.log,
        place,
        new Map([[FIRST_TABLET, FIRST_EPOCH]]),
        checkpoints,
        options,
      )
      opened.defer(() => device.close())
      devices.push(device)
    }
    const members = membersOf(settings, devices)
    const { position, failed } = await recoverTablet(members)
    for (const { failure } of failed) throw failure
    const tablet = new Primary(members, settings.epoch, position, clock, telemetry.log, FIXED)
    const shards = new Map(devices.map(device => [device.place.id, device.shards]))
    const blocks = new LocalBlocks(clock, compute, settings.layout, shards, telemetry.metrics)
    const services = createServices(
      clock,
      random,
      tablet,
      compute,
      blocks,
      telemetry.log,
      settings.store,
      settings.incarnation,
    )
    const accounts = new AccountService(random, tablet, settings.masterKey, settings.root)
    // What was left over may be so much that writes would wait for a checkpoint, and nobody makes one yet.
    for (const { checkpointer } of devices) if (checkpointer.isOver(2)) await checkpointer.checkpoint()
    await accounts.ensureRoot()
    await services.buckets.reopenClosed()
    return {
      services,
      accounts,
      devices,
      tablet,
      livings: devices.map(device => device.checkpointer),
      chores: services.chores,
      stop: () => stopEngine(tablet, devices, checkpoints),
    }
  } catch (error) {
    await opened[Symbol.asyncDispose]()
    throw error
  }
}

function membersOf(settings: EngineSettings, devices: readonly DeviceStack[]): Member[] {
  assert(settings.members.length > 0, "a tablet has members")
  return settings.members.map(id => {
    const device = must(
      devices.find(({ place }) => place.id === id),
      "members lie on known devices",
    )
    return new Member(device.member, FIRST_TABLET, FIRST_EPOCH)
  })
}

async function stopEngine(
  tablet: Primary,
  devices: readonly DeviceStack[],
  checkpoints: CheckpointRunner,
): Promise<void> {
  await tablet.stop()
  for (const device of devices) await device.checkpointer.checkpoint().catch(() => undefined)
  await checkpoints.close()
  for (const device of devices) await device.close()
}
