/**
 * Opening a store: data folders become owned devices of one store, new or known.
 *
 * Promises  Nothing is written before every folder has been looked at, taken, and found to belong
 *           together. A refusal is one line that says what to do.
 * Order     look at all folders; lock them; make them devices where they are new; choose or make the
 *           control record; begin a life on each.
 */
import { fail } from "../../base/failures.js"
import { hexOf } from "../../base/bytes.js"
import { parseDeviceId, parseEpoch, parseIncarnation, parseStoreId, rowKeyOf } from "../../base/ids.js"
import type { DeviceId, Incarnation, StoreId } from "../../base/ids.js"
import { must } from "../../base/assert.js"
import { BLOCK_BYTES_DEFAULT } from "../../base/limits.js"
import { defaultMetaCopies, shardCount, textOfPolicy, tolerance } from "../../base/policy.js"
import {
  chooseControlRecord,
  createSuperblock,
  devicesMissing,
  inspectFolder,
  isMountPoint,
  Ownership,
  readControlRecord,
  type ControlChoice,
  type PresentDevice,
  writeControlRecord,
} from "../../device/index.js"
import type { ControlRecord } from "../../format/control-record.js"
import type { Superblock } from "../../format/superblock.js"
import { mapBounded } from "../../life/index.js"
import { encodeLayout, planLayout } from "../../placement/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Disk } from "../../seams/disk/contract.js"
import type { FolderLock, FolderLocks } from "../../seams/lock/contract.js"
import type { Random } from "../../seams/random/contract.js"
import type { ServeConfig } from "../config.js"
import { policyOfNewStore } from "../config-core.js"
import { FIRST_TABLET } from "../engine/engine.js"
import { drawSecrets, openSecrets, sealSecrets, type StoreSecrets } from "./secrets.js"

const DEVICES_AT_ONCE = 4

export interface OpenedStore {
  readonly storeId: StoreId
  readonly record: ControlRecord
  readonly secrets: StoreSecrets
  /** In the record's order. */
  readonly devices: readonly Ownership[]
  readonly incarnation: Incarnation
  /** This start made the store. */
  readonly isNew: boolean
}

interface FolderLook {
  readonly path: string
  /** Undefined: empty, or not there yet. */
  readonly superblock: Superblock | undefined
}

async function lookAt(disk: Disk, path: string): Promise<FolderLook> {
  if (!(await disk.exists(path))) return { path, superblock: undefined }
  const content = await inspectFolder(disk, path)
  return { path, superblock: content.kind === "device" ? content.superblock : undefined }
}

/** The record that counts; undefined for a new store, or one whose first start was cut off. */
async function findRecord(disk: Disk, looks: readonly FolderLook[]) {
  const present: PresentDevice[] = []
  for (const { path, superblock } of looks) {
    if (!superblock) continue
    const { deviceId: id, storeId } = superblock
    if (present.some(device => device.id === id)) {
      throw fail("foreignFolder", { message: `${path} is a copy of another data folder; leave one of them out` })
    }
    present.push({ id, storeId, record: await readControlRecord(disk, path) })
  }
  const choice = chooseControlRecord(present)
  const lived = choice ? undefined : looks.find(({ superblock }) => superblock && superblock.incarnation > 0)
  // A store's first life begins once its record is on every device: this one is not new, it has lost it.
  if (lived) throw fail("corruptRecord", { message: `${lived.path} belongs to a store whose control record is gone` })
  return choice
}

/** Everything that speaks against this start, before anything is touched. */
async function check(
  disk: Disk,
  looks: readonly FolderLook[],
  config: ServeConfig,
): Promise<ControlChoice | undefined> {
  const choice = await findRecord(disk, looks)
  if (!choice) {
    policyOfNewStore(config, looks.length)
    return undefined
  }
  const pathOf = (id: DeviceId) => looks.find(look => look.superblock?.deviceId === id)?.path ?? id
  const [stranger] = choice.strangers
  if (stranger !== undefined) {
    throw fail("foreignFolder", { message: `${pathOf(stranger)} is no longer part of this store; leave it out` })
  }
  const tablet = choice.record.tablets.find(({ members }) => members.every(({ id }) => isMissing(choice, id)))
  // Any one member has every acknowledged change; without one the names are not here.
  if (tablet || choice.missing.length > tolerance(choice.record.policy)) throw devicesMissing(choice.missing)
  // An empty folder where a device is missing may be a mount point that is not mounted: it is left alone.
  const empty = looks.find(look => !look.superblock && !choice.missing.some(({ pathHint }) => pathHint === look.path))
  if (empty) {
    throw fail("foreignFolder", {
      message: `${empty.path} is empty while the other folders belong to a store; adding devices is not possible yet, leave it out`,
    })
  }
  checkUnchanged(choice.record, config)
  return choice
}

const isMissing = (choice: ControlChoice, id: DeviceId): boolean => choice.missing.some(device => device.id === id)

/** Settings that a store keeps from its first start. */
function checkUnchanged(record: ControlRecord, config: ServeConfig): void {
  const differs = (name: string, has: string, asked: string | undefined) => {
    if (asked === undefined || asked === has) return
    throw fail("invalidConfig", {
      message: `this store has ${name} ${has}, not ${asked}; changing it is not possible yet`,
    })
  }
  differs("--redundancy", textOfPolicy(record.policy), config.policy && textOfPolicy(config.policy))
  differs("--block-size", String(record.blockBytes), config.blockBytes?.toString())
  differs("--meta-copies", String(record.metaCopies), config.metaCopies?.toString())
}

export async function openStore(
  clock: Clock,
  random: Random,
  disk: Disk,
  locks: FolderLocks,
  config: ServeConfig,
  masterKeyOfFile: Uint8Array | undefined,
): Promise<OpenedStore> {
  const seen = await inspect(disk, config, masterKeyOfFile)
  const held: FolderLock[] = []
  try {
    for (const path of foldersToTake(seen.looks, seen.choice)) {
      await disk.makeFolder(path)
      held.push(await locks.take(path))
    }
    // What was seen before the locks were held may have changed since.
    const { looks, choice, secretsOfKnown } = await inspect(disk, config, masterKeyOfFile)
    const known = choice?.record
    const devices = known ? devicesOf(looks) : await makeDevices(clock, random, disk, looks)
    const secrets = withRootKey(
      secretsOfKnown ?? drawSecrets(random, clock.wallMs(), masterKeyOfFile, config.rootKey),
      config,
    )
    const record = known
      ? nextRecord(known, devices, secrets === secretsOfKnown ? known.secrets : sealSecrets(secrets, random))
      : await firstRecord(disk, devices, config, sealSecrets(secrets, random))
    // Also where a replacement was cut off: each device must have the record before anything rests on it.
    if (record !== known || choice?.behind.length !== 0) {
      await mapBounded(devices, DEVICES_AT_ONCE, ({ path }) => writeControlRecord(disk, path, record))
    }
    const owned = await begin(clock, disk, held, devices, record)
    const incarnation = parseIncarnation(Math.max(...owned.map(({ identity }) => identity.incarnation)))
    return { storeId: record.storeId, record, secrets, devices: owned, incarnation, isNew: known === undefined }
  } catch (error) {
    for (const lock of held) await lock.release()
    throw error
  }
}

/** Looks at every folder and throws whatever speaks against this start; touches nothing. */
async function inspect(disk: Disk, config: ServeConfig, masterKeyOfFile: Uint8Array | undefined) {
  const looks: FolderLook[] = []
  for (const path of config.dataFolders) looks.push(await lookAt(disk, path))
  const choice = await check(disk, looks, config)
  return { looks, choice, secretsOfKnown: choice && openSecrets(choice.record.secrets, masterKeyOfFile) }
}

type Device = FolderLook & { readonly superblock: Superblock }

const devicesOf = (looks: readonly FolderLook[]): Device[] =>
  looks.flatMap(({ path, superblock }) => (superblock ? [{ path, superblock }] : []))

/** All folders of a new store; of a known one those that hold a device. */
const foldersToTake = (looks: readonly FolderLook[], choice: ControlChoice | undefined): readonly string[] =>
  (choice ? devicesOf(looks) : looks).map(({ path }) => path)

/** Every folder gets its superblock before any gets a control record, so that a start that is cut off begins again. */
async function makeDevices(clock: Clock, random: Random, disk: Disk, looks: readonly FolderLook[]): Promise<Device[]> {
  const begun = looks.find(look => look.superblock !== undefined)?.superblock?.storeId
  const storeId = begun ?? parseStoreId(hexOf(random.bytes(16)))
  return mapBounded(looks, DEVICES_AT_ONCE, async ({ path, superblock }) => {
    if (superblock) return { path, superblock }
    const device = { storeId, deviceId: parseDeviceId(hexOf(random.bytes(8))), createdMs: clock.wallMs() }
    return { path, superblock: await createSuperblock(disk, path, device) }
  })
}

/** The operator's root key, where one was given, takes the place of the one before. */
function withRootKey(secrets: StoreSecrets, { rootKey }: ServeConfig): StoreSecrets {
  const { root } = secrets
  if (!rootKey || (rootKey.accessKeyId === root.accessKeyId && rootKey.secret === root.secret)) return secrets
  return { ...secrets, root: { ...root, ...rootKey } }
}

/**
 * The record with what this start changes: paths, root key, and tablets without their missing members
 * (a device that comes back is no member, so that its old rows are never taken for the truth). The
 * same record where nothing changes.
 */
function nextRecord(record: ControlRecord, present: readonly Device[], secrets: Uint8Array): ControlRecord {
  const pathOf = (id: DeviceId) => present.find(({ superblock }) => superblock.deviceId === id)?.path
  const devices = record.devices.map(device => ({ ...device, pathHint: pathOf(device.id) ?? device.pathHint }))
  const tablets = record.tablets.map(tablet => {
    const members = tablet.members.filter(({ id }) => pathOf(id) !== undefined)
    return members.length === tablet.members.length
      ? tablet
      : { ...tablet, members, epoch: parseEpoch(tablet.epoch + 1) }
  })
  const isSame =
    secrets === record.secrets &&
    devices.every(({ pathHint }, i) => pathHint === record.devices[i]?.pathHint) &&
    tablets.every((tablet, i) => tablet === record.tablets[i])
  return isSame ? record : { ...record, generation: record.generation + 1, devices, tablets, secrets }
}

async function firstRecord(
  disk: Disk,
  devices: readonly Device[],
  config: ServeConfig,
  secrets: Uint8Array,
): Promise<ControlRecord> {
  const policy = policyOfNewStore(config, devices.length)
  const metaCopies = config.metaCopies ?? defaultMetaCopies(devices.length, policy)
  const ids = devices.map(({ superblock }) => superblock.deviceId)
  const layout = planLayout(
    ids.map(id => ({ id, weight: 1 })),
    shardCount(policy),
  )
  return {
    storeId: must(devices[0], "a store has devices").superblock.storeId,
    generation: 1,
    devices: await mapBounded(devices, DEVICES_AT_ONCE, async ({ path, superblock }) => {
      return {
        id: superblock.deviceId,
        weight: 1,
        pathHint: path,
        isMountPoint: await isMountPoint(disk, path),
        state: "active",
        stateSinceMs: superblock.createdMs,
        capacityBytes: (await disk.space(path)).totalBytes,
        more: [],
      }
    }),
    policy,
    isPolicyAutomatic: config.policy === undefined,
    policyVersion: 1,
    blockBytes: config.blockBytes ?? BLOCK_BYTES_DEFAULT,
    metaCopies,
    tablets: [
      {
        id: FIRST_TABLET,
        epoch: parseEpoch(1),
        members: ids.slice(0, metaCopies).map(id => ({ id, since: parseEpoch(1) })),
        learners: [],
        start: rowKeyOf(""),
        end: undefined,
        more: [],
      },
    ],
    layout: { version: layout.version, table: encodeLayout(layout), devices: ids },
    previousLayout: undefined,
    secrets,
    region: config.region ?? "",
    more: [],
  }
}

/** Begins a life on each device that is here, in the record's order. */
async function begin(
  clock: Clock,
  disk: Disk,
  held: readonly FolderLock[],
  devices: readonly Device[],
  record: ControlRecord,
): Promise<Ownership[]> {
  const owned: Ownership[] = []
  for (const { id } of record.devices) {
    const device = devices.find(({ superblock }) => superblock.deviceId === id)
    if (!device) continue
    const lock = must(
      held.find(({ folder }) => folder === device.path),
      "every device is locked",
    )
    owned.push(await Ownership.begin(clock, disk, lock, device.superblock))
  }
  return owned
}
