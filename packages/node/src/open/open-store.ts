/**
 * Opening a store: data folders become owned devices of one store, new or known.
 *
 * Promises  Nothing is written before every folder has been inspected and locked and all are found to belong
 *           together. A refusal is one line with the command that resolves it. A start treats a device that
 *           fails, hangs or has no space for the writes of a start as missing.
 * Order     inspect all folders; lock them; make them devices if the store is new; begin an incarnation with
 *           the same number on each; rewrite the record under that incarnation, which supersedes every
 *           uncommitted record of earlier processes; then change it by the findings of this start, and note that it
 *           has opened the store.
 */
import { setMaxListeners } from "node:events"
import { must } from "@hayloft/base/assert.js"
import { equalBytes, hexOf } from "@hayloft/base/bytes.js"
import { asFailure, fail, isFailure, type Failure, type FailureKind } from "@hayloft/base/failures.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import { parseDeviceId, parseIncarnation, type DeviceId, type Incarnation } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { convertingIn, isEncryptedAtRest, ringAtRest, withAtRest } from "../control/at-rest.js"
import { checkCalls, probeDevice } from "../control/folders.js"
import { ControlRecordManager, type DecideChange, type KeptFolder } from "../control/record-manager.js"
import { nextGeneration, nextIncarnation } from "../control/steps-core.js"
import {
  votingIds,
  createSuperblock,
  Ownership,
  Stalls,
  withBallast,
  withOpened,
  withStart,
  writeControlRecord,
} from "@hayloft/engine/device/index.js"
import { formatEpochOf, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { FORMAT_EPOCH_FIRST, FORMAT_EPOCH_OF_KEYS } from "@hayloft/engine/format/device/superblock.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { makeFolders } from "@hayloft/base/seams/disk/index.js"
import { inUse, type FolderLock, type FolderLocks } from "@hayloft/base/seams/folder-lock/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { policyOfNewStore, type ServeConfig } from "../config/index.js"
import type { OpenedStore } from "./contract.js"
import { inspect, withReason, type FolderInspection } from "./folder-inspection.js"
import { firstRecord, makeDevices } from "./new-store.js"
import { checkRescue } from "./rescue-mark.js"
import { randomSecrets, openSecrets, sealSecrets, type MasterKeyFiles, type StoreSecrets } from "./secrets.js"
import {
  devicesIn,
  planStart,
  type DeviceFolder,
  type KnownPlan,
  type Replacement,
  type StartPlan,
} from "./start-core.js"
import { possibleFills, recordOfStart, type Fill } from "./start-record-core.js"

interface StartSeams {
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly locks: FolderLocks
  /** The stalls of this process, if it has had the store open before. */
  readonly stalls?: Stalls
  /** Incarnations below its own that the process takes for front threads, at most `FRONT_INCARNATIONS`. Absent: none. */
  readonly reserved?: number
  /** The source of the rescue that fills the store. Absent: none does. */
  readonly rescuedFrom?: string
}

/** Throws also `invalidArgument` once all incarnations are used up. */
export async function openStore(
  seams: StartSeams,
  config: ServeConfig,
  masterKeyOfFile: Uint8Array | undefined,
  nextMasterKey?: Uint8Array,
): Promise<OpenedStore> {
  const start = new Start(seams, config, { current: masterKeyOfFile, next: nextMasterKey })
  try {
    return await start.open()
  } catch (error) {
    await start.giveBack()
    throw error
  } finally {
    start.end()
  }
}

/** Failures of one folder. A file system that became read-only cannot be locked. */
const LEFT_OUT = ["deviceFailed", "corruptRecord", "invalidConfig"] as const
/** A start cannot use a device without a lock and an incarnation on it; it can use one that lacks the newest record. */
const LEFT_OUT_AT_FIRST = [...LEFT_OUT, "deviceFull"] as const

/** A folder whose device failed during the start; the start continues without it. */
class FolderFailed extends Error {
  override readonly name = "FolderFailed"

  constructor(
    readonly path: string,
    readonly failure: Failure,
  ) {
    super(failure.message, { cause: failure })
  }
}

interface Plan {
  readonly inspections: readonly FolderInspection[]
  readonly plan: StartPlan
  readonly secretsOfKnown: StoreSecrets | undefined
}

/** Ids of starts are below this. */
const START_IDS = 2 ** 32

/** A dying disk may return its records at one inspection and fail at the next. */
const LOOKS_MAX = 10

class Start {
  private readonly failed = new Map<string, Failure>()
  private readonly held = new Map<string, FolderLock>()
  private readonly owned: Ownership[] = []
  /** The format epoch of the store. */
  private formatEpoch = FORMAT_EPOCH_FIRST
  private readonly disks = new Map<string, Disk>()
  private readonly watch = new AbortController()
  private readonly stalls: Stalls

  private readonly clock: Clock
  private readonly random: Random
  private readonly disk: Disk
  private readonly locks: FolderLocks
  private readonly reserved: number
  private readonly rescuedFrom: string | undefined

  constructor(
    { clock, random, disk, locks, stalls = new Stalls(), reserved = 0, rescuedFrom }: StartSeams,
    private readonly config: ServeConfig,
    private readonly masterKeyFiles: MasterKeyFiles,
  ) {
    this.reserved = reserved
    this.rescuedFrom = rescuedFrom
    this.clock = clock
    this.random = random
    this.disk = disk
    this.locks = locks
    this.stalls = stalls
    // The record of an earlier session of this process decides nothing any more.
    stalls.follow(() => undefined)
    setMaxListeners(DEVICES_MAX, this.watch.signal)
  }

  async open(): Promise<OpenedStore> {
    for (;;) {
      try {
        const opened = await this.tryToOpen()
        // The running store may take the folders that this start has left alone: its process must not be in the way.
        await this.unlock()
        return opened
      } catch (error) {
        // Each round has one folder less, until the plan refuses to open without it.
        if (!(error instanceof FolderFailed) || this.failed.has(error.path)) throw this.reasonOf(error)
        this.failed.set(error.path, error.failure)
        await this.giveBack()
      }
    }
  }

  /** A device that only lacks space is not missing: the message must not advise giving it up. */
  private reasonOf(error: unknown): unknown {
    const full = [...this.failed.values()].find(({ kind }) => kind === "deviceFull")
    return isFailure(error, "devicesMissing") && full !== undefined ? full : error
  }

  /** Stops watching calls that are still in progress. */
  end(): void {
    this.watch.abort()
  }

  async giveBack(): Promise<void> {
    for (const device of this.owned.splice(0)) await device.release().catch(() => undefined)
    await this.unlock()
  }

  /** Devices that the process owns keep their locks. */
  private async unlock(): Promise<void> {
    const locks = [...this.held.values()]
    this.held.clear()
    await mapBounded(locks, DEVICES_MAX, lock => lock.release().catch(() => undefined))
  }

  private async tryToOpen(): Promise<OpenedStore> {
    const { plan, inspections, secretsOfKnown } = await this.inspectUnderLocks()
    if (plan.kind === "new") return this.makeStore(inspections)
    return this.resume(plan, inspections, must(secretsOfKnown, "a known store has secrets"))
  }

  /** Repeats the inspection under locks: a folder may have changed, or been misread, before it was locked. */
  private async inspectUnderLocks(): Promise<Plan> {
    let seen = await this.inspect()
    for (let inspections = 1; ; inspections += 1) {
      const open = foldersToTake(seen).filter(({ path }) => !this.held.has(path))
      if (open.length === 0 && inspections > 1) return seen
      if (inspections === LOOKS_MAX)
        throw fail("deviceFailed", { message: "the content of a folder differs at each inspection" })
      for (const { path } of existingFirst(open, seen.inspections)) await this.lock(path)
      seen = await this.inspect()
    }
  }

  /** Inspects every folder and throws the first reason against this start. Writes nothing. */
  private async inspect(): Promise<Plan> {
    const inspections = await mapBounded(
      this.config.dataFolders,
      DEVICES_MAX,
      async (path): Promise<FolderInspection> => {
        const failure = this.failed.get(path)
        if (failure) return { path, isMountPoint: false, content: { kind: "broken", failure } }
        return inspect(this.diskOf(path), path)
      },
    )
    checkRescue(inspections, this.rescuedFrom)
    const plan = await this.planOf(inspections)
    if (plan.kind === "new") {
      checkMayCreate(this.config, "the data folders have")
      policyOfNewStore(this.config, inspections.length)
      return { inspections, plan, secretsOfKnown: undefined }
    }
    checkUnchanged(plan.record, this.config)
    if (plan.record.tablets.length === 0) {
      throw fail("metadataElsewhere", {
        message: `the metadata of this store is in a database: start it with --cluster URL${nodeOption(plan.record)} and --master-key-file FILE`,
      })
    }
    const secretsOfKnown = openSecrets(plan.record, this.masterKeyFiles)
    if (this.beginsToEncrypt(plan) && secretsOfKnown.keyInRecord)
      throw fail("invalidConfig", { message: KEY_ON_DEVICES })
    return { inspections, plan, secretsOfKnown }
  }

  /** From this start on an existing store encrypts everything. */
  private beginsToEncrypt({ record }: KnownPlan): boolean {
    return this.config.encryptAtRest && !isEncryptedAtRest(record)
  }

  /** If another process runs the store, too few devices appear present: the message must not advise giving them up. */
  private async planOf(inspections: readonly FolderInspection[]): Promise<StartPlan> {
    try {
      return planStart(inspections)
    } catch (error) {
      if (!isFailure(error, "devicesMissing")) throw error
      for (const { path } of devicesIn(inspections)) {
        const owner = this.held.has(path) ? undefined : await this.locks.ownerOf(path)
        if (owner !== undefined) throw inUse(path, owner)
      }
      throw error
    }
  }

  private diskOf(path: string): Disk {
    const known = this.disks.get(path)
    if (known) return known
    const bounded = this.stalls.queued(path, { disk: this.disk, clock: this.clock }, this.watch.signal)
    this.disks.set(path, bounded)
    return bounded
  }

  private async lock(path: string): Promise<void> {
    const take = async () => {
      checkCalls(this.stalls, path)
      const disk = this.diskOf(path)
      await makeFolders(disk, path).catch((error: unknown) => {
        throw withReason(path, asFailure(error))
      })
      this.held.set(path, await withBallast(disk, path, () => this.locks.take(path)))
    }
    await this.orLeftOut(path, take, LEFT_OUT_AT_FIRST)
  }

  /** Leaves a failing device out of the start. */
  private async orLeftOut<T>(
    path: string,
    run: () => Promise<T>,
    kinds: readonly FailureKind[] = LEFT_OUT,
  ): Promise<T> {
    try {
      return await run()
    } catch (error) {
      if (isFailure(error, ...kinds)) throw new FolderFailed(path, error)
      throw error
    }
  }

  /** Begins an incarnation on the device for this process. */
  private async own({ path, superblock }: DeviceFolder, incarnation: Incarnation): Promise<Ownership> {
    const lock = must(this.held.get(path), "every device is locked")
    const least = { incarnation, formatEpoch: this.formatEpoch }
    const begin = () => Ownership.begin(this.clock, this.disk, lock, superblock, least, this.stalls)
    const owned = await this.orLeftOut(path, begin, LEFT_OUT_AT_FIRST)
    this.held.delete(path)
    this.owned.push(owned)
    return owned
  }

  private async makeStore(inspections: readonly FolderInspection[]): Promise<OpenedStore> {
    const { clock, random, config } = this
    const diskOf = (path: string) => this.diskOf(path)
    if (config.encryptAtRest) this.formatEpoch = FORMAT_EPOCH_OF_KEYS
    const { formatEpoch } = this
    const devices = await makeDevices(clock, random, diskOf, inspections, { formatEpoch })
    const incarnation = incarnationAfter(inspections, this.reserved)
    const secrets = randomSecrets(random, clock.wallMs(), this.masterKeyFiles, config.rootKey)
    const sealed = sealSecrets(secrets, random)
    const policy = policyOfNewStore(config, devices.length)
    const keyring = config.encryptAtRest ? ringAtRest(secrets.masterKey, random, clock.wallMs()) : undefined
    const generation = nextGeneration(incarnation, 0)
    const first = { config, policy, secrets: sealed, generation, isInDatabase: false, keyring }
    const record = await firstRecord(diskOf, devices, first)
    for (const device of devices) await this.own(device, incarnation)
    await mapBounded(devices, DEVICES_MAX, ({ path }) => writeControlRecord(this.diskOf(path), path, record))
    return this.opened(record, secrets, incarnation, true, [])
  }

  private async resume(
    plan: KnownPlan,
    inspections: readonly FolderInspection[],
    secretsOfKnown: StoreSecrets,
  ): Promise<OpenedStore> {
    const incarnation = incarnationAfter(inspections, this.reserved)
    this.judgeTogether(plan)
    this.formatEpoch = this.beginsToEncrypt(plan) ? FORMAT_EPOCH_OF_KEYS : formatEpochOf(plan.record)
    const missing = plan.missing.map(({ id }) => id)
    for (const device of plan.present) await this.own(device, incarnation)
    const renewed = await this.renew(plan, incarnation)
    const back = await this.takeBack(plan.returning, incarnation)
    const filled = await this.fill(renewed, [...missing, ...plan.lagging], plan.replacements, incarnation)
    const folders = [...plan.present, ...back.folders, ...filled.folders]
    const secrets = withRootKey(secretsOfKnown, this.config)
    const sealed = secrets === secretsOfKnown ? renewed.secrets : sealSecrets(secrets, this.random)
    const troubles: string[] = []
    const kept = folders.map(({ path, superblock }): KeptFolder => {
      return { id: superblock.deviceId, path, disk: this.diskOf(path) }
    })
    const onFailed = (id: DeviceId, failure: Failure) => void troubles.push(`device ${id}: ${failure.message}`)
    const isStalling = (): boolean => this.stalls.isStalling
    const recordManager = new ControlRecordManager(this.clock, incarnation, renewed, () => kept, onFailed, isStalling)
    const findings = {
      missing,
      lagging: plan.lagging,
      back: back.folders.map(({ superblock }) => superblock.deviceId),
      fills: filled.fills,
      paths: new Map(folders.map(({ path, superblock }) => [superblock.deviceId, path])),
      secrets: sealed,
    }
    const nowMs = this.clock.wallMs()
    const record = await this.changeAtStart(recordManager, inspections, before => {
      const after = recordOfStart(before, findings, nowMs)
      const begun = this.config.encryptAtRest
        ? withAtRest(after, secretsOfKnown.masterKey, this.random, nowMs, parseIncarnation(incarnation - this.reserved))
        : undefined
      return withOpened(begun ?? after)
    })
    const lagging = plan.lagging.map(
      id => `device ${id} lacks changes that the others have; it will be brought up to date`,
    )
    const overruled = overruledOptions(record, this.config)
    const notes = [...plan.notes, ...lagging, ...back.notes, ...filled.notes, ...overruled, ...troubles]
    return this.opened(record, secrets, incarnation, false, notes)
  }

  /** From now on the record tells how many devices the store needs. */
  private judgeTogether({ record, present }: KnownPlan): void {
    const folders = new Map(present.map(({ path, superblock }) => [superblock.deviceId, path]))
    const folderOf = (id: DeviceId): string | undefined => folders.get(id)
    this.stalls.follow(() => ({ record, policies: [], folderOf, isOwn: () => true }))
  }

  /**
   * While a store is being encrypted, each device has the key before anything is encrypted under it. A full one may have
   * it since an earlier start.
   */
  private async changeAtStart(
    records: ControlRecordManager,
    inspections: readonly FolderInspection[],
    decide: DecideChange,
  ): Promise<ControlRecord> {
    const record = await records.change("start", decide)
    const hasKey = devicesWithAtRestKey(inspections, record)
    if (convertingIn(record).length > 0) await records.spread(id => hasKey.has(id))
    await records.stop()
    return record
  }

  /**
   * Rewrites the record with a generation of this incarnation, and with this start, on more than half of the voting devices.
   * It is newer than any uncommitted record of an earlier process.
   */
  private async renew({ record, present }: KnownPlan, incarnation: Incarnation): Promise<ControlRecord> {
    const id = this.random.fork("start").below(START_IDS)
    const noted = withStart(record, { incarnation, id, startedMs: this.clock.wallMs() })
    const renewed = { ...noted, generation: nextGeneration(incarnation, record.generation) }
    const accepted = await mapBounded(present, DEVICES_MAX, ({ path }) => {
      const disk = this.diskOf(path)
      const write = () => withBallast(disk, path, () => writeControlRecord(disk, path, renewed))
      return unlessFull(
        () => this.orLeftOut(path, write).then(() => true),
        () => false,
      )
    })
    if (2 * accepted.filter(Boolean).length > votingIds(record).length) return renewed
    throw fail("deviceFull", { message: "too few devices have space for the control record; free some space" })
  }

  /** Offline devices that are present again take part once a probe succeeds. */
  private async takeBack(returning: readonly DeviceFolder[], incarnation: Incarnation): Promise<Taken> {
    const folders: DeviceFolder[] = []
    const notes: string[] = []
    for (const device of returning) {
      const { path, superblock } = device
      const what = `device ${superblock.deviceId} at ${path}`
      const failure = await this.whyNot(async () => {
        await probeDevice(this.random, this.diskOf(path), path)
        await this.own(device, incarnation)
      })
      if (failure === undefined) folders.push(device)
      notes.push(
        failure ? `${what} stays offline: ${failure.message}` : `${what} has returned and will be brought up to date`,
      )
    }
    return { folders, notes }
  }

  /** Makes devices of the empty folders that replace missing ones. */
  private async fill(
    record: ControlRecord,
    missing: readonly DeviceId[],
    replacements: readonly Replacement[],
    incarnation: Incarnation,
  ): Promise<Taken & { readonly fills: readonly Fill[] }> {
    const nowMs = this.clock.wallMs()
    const wanted = await mapBounded(replacements, DEVICES_MAX, async ({ old, path, isMountPoint, begun }) => {
      const capacityBytes = (await this.orLeftOut(path, () => this.diskOf(path).space(path))).totalBytes
      const id = begun?.deviceId ?? parseDeviceId(hexOf(this.random.bytes(8)))
      return { oldId: old.id, device: { id, pathHint: path, isMountPoint, capacityBytes } }
    })
    const { fills, refused } = possibleFills(record, missing, wanted, nowMs)
    const notes = refused.map(
      ({ fill, failure }) => `${fill.device.pathHint} does not replace device ${fill.oldId}: ${failure.message}`,
    )
    const done: Fill[] = []
    const folders: DeviceFolder[] = []
    for (const fill of fills) {
      const { id: deviceId, pathHint: path } = fill.device
      const begun = replacements.find(each => each.path === path)?.begun
      const failure = await this.whyNot(async () => {
        const identity = { storeId: record.storeId, deviceId, createdMs: nowMs, formatEpoch: this.formatEpoch }
        const folder = { path, superblock: begun ?? (await createSuperblock(this.diskOf(path), path, identity)) }
        await this.own(folder, incarnation)
        folders.push(folder)
        done.push(fill)
      })
      notes.push(
        failure
          ? `${path} cannot replace device ${fill.oldId}: ${failure.message}`
          : `${path} replaces device ${fill.oldId} as device ${deviceId} and will be rebuilt`,
      )
    }
    return { folders, notes, fills: done }
  }

  /** Returns a failure that the start can continue without; rethrows any other. */
  private async whyNot(run: () => Promise<void>): Promise<Failure | undefined> {
    try {
      await run()
      return undefined
    } catch (error) {
      if (error instanceof FolderFailed) return error.failure
      if (isFailure(error)) return error
      throw error
    }
  }

  private opened(
    record: ControlRecord,
    secrets: StoreSecrets,
    incarnation: Incarnation,
    isNew: boolean,
    notes: readonly string[],
  ): OpenedStore {
    const devices = record.devices.flatMap(({ id }) => this.owned.filter(({ identity }) => identity.id === id))
    const { stalls } = this
    return { storeId: record.storeId, record, secrets, devices, incarnation, stalls, isNew, notes }
  }
}

interface Taken {
  readonly folders: readonly DeviceFolder[]
  readonly notes: readonly string[]
}

/** All folders of a new store; of a known store, the folders that take part. */
function foldersToTake({ plan, inspections }: Plan): readonly { readonly path: string }[] {
  return plan.kind === "new" ? inspections : [...plan.present, ...plan.returning, ...plan.replacements]
}

/** A folder that is in use refuses the start before others are made. */
function existingFirst<F extends { readonly path: string }>(
  folders: readonly F[],
  inspections: readonly FolderInspection[],
): readonly F[] {
  const absent = new Set(inspections.filter(({ content }) => content.kind === "absent").map(({ path }) => path))
  return [...folders.filter(({ path }) => !absent.has(path)), ...folders.filter(({ path }) => absent.has(path))]
}

/** An incarnation above every one recorded in these folders, and above so many that the start reserves. */
export const incarnationAfter = (inspections: readonly FolderInspection[], reserved = 0): Incarnation =>
  nextIncarnation(
    inspections.flatMap(({ content }) => {
      if (content.kind !== "device") return []
      const { record, superblock } = content
      const generation = record === undefined || record instanceof Error ? 0 : record.generation
      return [{ incarnation: superblock.incarnation, generation }]
    }),
    reserved,
  )

/** Whose own record has the key under which this one encrypts what devices hold. */
function devicesWithAtRestKey(
  inspections: readonly FolderInspection[],
  { keyring }: ControlRecord,
): ReadonlySet<DeviceId> {
  const sealed = keyring?.atRest?.sealed
  const ids = inspections.flatMap(({ content }) => {
    if (content.kind !== "device" || content.record === undefined || content.record instanceof Error) return []
    const own = content.record.keyring?.atRest?.sealed
    return own && sealed && equalBytes(own, sealed) ? [content.superblock.deviceId] : []
  })
  return new Set(ids)
}

/** The name of the node that has the devices, if there is one. */
function nodeOption({ devices }: ControlRecord): string {
  const names = new Set(devices.flatMap(({ home }) => (home === undefined ? [] : [home.node])))
  return names.size === 1 ? ` --node ${[...names].join()}` : ""
}

const KEY_ON_DEVICES =
  "--encrypt-at-rest needs the master key in a file, and that of this store is on its devices: start it with --next-master-key-file FILE and run hayloft master-key rotate, which gives a key that was never on a disk; or move it with hayloft key move-out, but then freed blocks and retired disks still have it"

/** Throws `noSuchStore` if a start may only open a store that exists. */
export function checkMayCreate({ existingStore, dataFolders }: ServeConfig, where: string): void {
  if (!existingStore) return
  const folders = dataFolders.length === 0 ? "" : ` (${dataFolders.join(", ")})`
  const message = `${where} no store${folders}, and --existing-store refuses to create one; mount the disks, or leave the option out once to create the store`
  throw fail("noSuchStore", { message })
}

/** Settings that a store keeps from its first start. */
export function checkUnchanged(record: ControlRecord, config: ServeConfig): void {
  const { blockBytes } = record
  if (config.blockBytes === undefined || config.blockBytes === blockBytes) return
  const message = `this store has --block-size ${blockBytes}, not ${config.blockBytes}; it cannot be changed`
  throw fail("invalidConfig", { message })
}

/** Options of a first start that the store has since overridden. They do not prevent a start. */
export function overruledOptions({ policy, metaCopies }: ControlRecord, config: ServeConfig): string[] {
  const notes: string[] = []
  const [has, requested] = [textOfPolicy(policy), config.policy && textOfPolicy(config.policy)]
  if (requested !== undefined && requested !== has)
    notes.push(
      `--redundancy ${requested} is ignored: this store has ${has}. To change it: hayloft redundancy set ${requested}`,
    )
  const matrix = policy.kind === "ec" ? policy.matrix : undefined
  if (requested === undefined && config.matrix !== undefined && config.matrix !== matrix)
    notes.push(`--matrix ${config.matrix} is ignored: this store has ${has}. To change it: hayloft redundancy set`)
  if (config.metaCopies !== undefined && config.metaCopies !== metaCopies)
    notes.push(
      `--meta-copies ${config.metaCopies} is ignored: this store keeps its metadata on ${plural(metaCopies, "device")}. ` +
        "A default number follows hayloft redundancy set; nothing else changes it",
    )
  return notes
}

/** Replaces the root key by the operator's, if one is configured. */
export function withRootKey(secrets: StoreSecrets, { rootKey }: ServeConfig): StoreSecrets {
  const { root } = secrets
  if (!rootKey || (rootKey.accessKeyId === root.accessKeyId && rootKey.secret === root.secret)) return secrets
  return { ...secrets, root: { ...root, ...rootKey }, isRootKeyReplaced: true }
}
