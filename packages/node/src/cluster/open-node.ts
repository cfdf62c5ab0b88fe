/**
 * Opening a node of a store whose metadata is in a database: the node begins an incarnation there, and claims the
 * devices in its data folders.
 *
 * Promises  Nothing is written before the database and all folders are found to belong together. The first node of an
 *           empty database makes the store; of several that try at once, one does, and the others join. A folder whose
 *           disk fails is left out with a note: the other nodes serve without it.
 *           A conversion of the store that was interrupted is finished, or goes back, as the record on the devices says.
 * Order     check the folders; open the master key; take the folders; begin the incarnation; if the database was rolled
 *           back, put the newest control record of the folders back; open the key of encrypted rows, before any row but
 *           those of coordination; claim their devices with one change of the record.
 *           Devices that the record does not name join once the node runs (`Joining`).
 */
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import {
  parseIncarnation,
  parseNodeName,
  parseStoreId,
  type DeviceId,
  type Incarnation,
  type NodeName,
  type StoreId,
} from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { defaultPolicy } from "@hayloft/base/policy.js"
import { claimDevice, markReturning } from "@hayloft/engine/cluster/index.js"
import type { ClusterConfig, ServeConfig } from "../config/index.js"
import { CALL_LIMITS, queuedDisk, Stalls } from "@hayloft/engine/device/index.js"
import {
  parseControlRecord,
  type ControlRecord,
  type DeviceHome,
} from "@hayloft/engine/format/device/control-record.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { hurried } from "@hayloft/base/seams/clock/hurried.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { makeFolders } from "@hayloft/base/seams/disk/index.js"
import { inUse, type FolderLocks } from "@hayloft/base/seams/folder-lock/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { isEncryptedAtRest, ringAtRest, rowCipherIn } from "../control/at-rest.js"
import { probeDevice, takeFolder, type TakenFolder } from "../control/folders.js"
import type { MetadataDatabase, SeenMark, SharedMetadata } from "../metadata/database.js"
import { inspect, type FolderInspection } from "../open/folder-inspection.js"
import { checkNotRestored, onDevices, settledBy, type Settled } from "../convert/settle.js"
import { begunStoreId, firstRecord, makeDevices } from "../open/new-store.js"
import type { OpenedStore } from "../open/contract.js"
import { checkMayCreate, checkUnchanged, incarnationAfter, overruledOptions, withRootKey } from "../open/open-store.js"
import { openSecrets, randomSecrets, sealSecrets, type MasterKeyFiles, type StoreSecrets } from "../open/secrets.js"
import { readDatabaseMark } from "./database-marks.js"
import { readSharedRecord, restoreSharedRecord, SharedRecordManager, writeFirstRecord } from "./shared-record.js"

interface NodeSeams {
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly locks: FolderLocks
  /** The stalls of this process, if it has had the store open before. */
  readonly stalls?: Stalls
  readonly log: Log
  readonly database: MetadataDatabase
}

const PLAIN_ROWS =
  "this store was created without --encrypt-at-rest, and its rows in the database cannot be encrypted now: move it out with hayloft cluster leave, encrypt it, and move it to an empty database; or create a new store, and copy the objects"

/** Failures of a folder's disk; the others are mistakes of the operator. */
const LEFT_OUT = ["deviceFailed", "deviceFull", "corruptRecord"] as const

export async function openNode(
  seams: NodeSeams,
  config: ServeConfig,
  cluster: ClusterConfig,
  masterKey: Uint8Array,
  nextMasterKey?: Uint8Array,
): Promise<OpenedStore> {
  const opening = new Opening(seams, config, cluster, { current: masterKey, next: nextMasterKey })
  try {
    return await opening.open()
  } catch (error) {
    await opening.giveBack()
    throw error
  } finally {
    opening.end()
  }
}

class Opening {
  private readonly watch = new AbortController()
  private readonly disk: Disk
  private readonly name: NodeName
  private readonly taken: TakenFolder[] = []
  private readonly stalls: Stalls
  private readonly notes: string[] = []
  private readonly leftOut: string[] = []
  private metadata: SharedMetadata | undefined

  constructor(
    private readonly seams: NodeSeams,
    private readonly config: ServeConfig,
    private readonly cluster: ClusterConfig,
    private readonly masterKeyFiles: MasterKeyFiles,
  ) {
    this.name = parseNodeName(cluster.node)
    this.stalls = seams.stalls ?? new Stalls()
    this.disk = queuedDisk(seams.disk, seams.clock, CALL_LIMITS, this.watch.signal, () => undefined)
  }

  end(): void {
    this.watch.abort()
  }

  async giveBack(): Promise<void> {
    for (const { ownership } of this.taken) await ownership.release().catch(() => undefined)
    await this.metadata?.stop()
  }

  async open(): Promise<OpenedStore> {
    const { clock, random, log, database } = this.seams
    const inspections = await mapBounded(this.config.dataFolders, DEVICES_MAX, path => inspect(this.disk, path))
    const { known, settle, marksFrom } = await this.check(inspections)
    await this.checkNotInUse(inspections)
    // The folders first: a second start of the same node must not end the incarnation of the one that runs.
    const newest = newestCopy(inspections)
    if (known !== undefined) {
      // A newer copy shows that the database was rolled back, which the marks report.
      const isBehind = newest !== undefined && newest.generation > known.generation
      await this.takeFolders(isBehind ? newest : known, incarnationAfter(inspections))
    }
    const marks = await this.marks(inspections, known, marksFrom)
    if (settle !== undefined) await this.settle(settle, marks)
    const metadata = await database.open({ clock, random: random.fork("metadata"), log }, this.name, marks)
    this.metadata = metadata
    const isNew = known === undefined && (await this.makeStore(metadata, inspections))
    const record =
      metadata.halt === undefined || newest === undefined
        ? await readSharedRecord(metadata)
        : await restoreSharedRecord(metadata, newest)
    if (record === undefined) throw fail("corruptRecord", { message: "the database has lost the control record" })
    const { masterKey } = openSecrets(record, this.masterKeyFiles)
    // Another node may have made the store meanwhile.
    this.checkSettings(record)
    const cipher = rowCipherIn(record, masterKey, random)
    if (cipher !== undefined) metadata.sealRows(cipher)
    if (known === undefined) await this.takeFolders(record, incarnationAfter(inspections))
    const records = new SharedRecordManager(metadata, hurried(clock, this.cluster.haste ?? 1), log, record)
    const secrets = await this.claim(records, metadata)
    return this.opened(records, metadata, secrets, isNew)
  }

  /** In an incarnation of its own: any later one works only in a database that keeps the metadata. */
  private async settle(settle: Settled["settle"], marks: readonly SeenMark[]): Promise<void> {
    const { clock, random, log, database } = this.seams
    const metadata = await database.open({ clock, random: random.fork("settling"), log }, this.name, marks, true)
    try {
      const folders = this.taken.map(({ ownership }) => ownership.identity)
      await settle(metadata, this.disk, folders)
    } finally {
      await metadata.stop()
    }
  }

  /** Returns what the devices in the folders attest of the database. The record was read after them. */
  private async marks(inspections: readonly FolderInspection[], record: ControlRecord | undefined, from = 0) {
    const marks: SeenMark[] = []
    for (const { path, content } of inspections) {
      if (content.kind !== "device") continue
      const mark = (await readDatabaseMark(this.disk, path)) ?? { reconciliations: 0, highest: 0, live: [] }
      const copy = content.record instanceof Error ? undefined : content.record
      // Before the store moved to this database, the device may have seen another one.
      if ((copy?.generation ?? from) < from) continue
      const hasNewerRecord = record !== undefined && (copy?.generation ?? 0) > record.generation
      marks.push({ ...mark, hasNewerRecord })
    }
    return marks
  }

  private opened(
    records: SharedRecordManager,
    metadata: SharedMetadata,
    secrets: StoreSecrets,
    isNew: boolean,
  ): OpenedStore {
    const { record } = records
    const named = this.taken.filter(folder => isNamed(record, folder))
    return {
      storeId: record.storeId,
      record,
      secrets,
      isNew,
      devices: named.map(({ ownership }) => ownership),
      incarnation: metadata.incarnations.own,
      stalls: this.stalls,
      notes: [...this.notes, ...overruledOptions(record, this.config)],
      node: {
        name: this.name,
        metadata,
        records,
        joining: this.taken.filter(folder => !named.includes(folder)),
        leftOut: this.leftOut,
      },
    }
  }

  /** Before any folder is made or becomes a device. */
  private async checkNotInUse(inspections: readonly FolderInspection[]): Promise<void> {
    for (const { path, content } of inspections) {
      if (content.kind === "absent" || content.kind === "broken") continue
      const owner = await this.seams.locks.ownerOf(path)
      if (owner !== undefined) throw inUse(path, owner)
    }
  }

  /** Throws unless the database and the folders belong together. */
  private async check(inspections: readonly FolderInspection[]): Promise<Checked> {
    const { database } = this.seams
    const [storeId, row, conversion] = [await database.storeId(), await database.control(), await database.conversion()]
    const settled = conversion && settledBy(inspections, conversion, row)
    if (settled !== undefined && row === undefined) {
      const marks = await this.marks(inspections, undefined)
      checkNotRestored(settled.record, marks, await database.highestIncarnation())
    }
    const hasRecord = row !== undefined || settled !== undefined
    const outdatedBelow = settled?.record.generation ?? conversion?.generation
    for (const inspection of inspections) checkFolder(inspection, storeId, hasRecord, outdatedBelow)
    if (settled !== undefined)
      return { known: this.checked(settled.record), settle: settled.settle, marksFrom: settled.marksFrom }
    if (row === undefined) {
      checkMayCreate(this.config, "the database and the data folders have")
      if (this.config.dataFolders.length > 0) return {}
      throw fail("invalidConfig", {
        message: "the database has no store yet: start a node with --data first, then nodes without devices",
      })
    }
    return { known: this.checked(parseControlRecord(row.record)), marksFrom: conversion?.generation }
  }

  private checked(record: ControlRecord): ControlRecord {
    openSecrets(record, this.masterKeyFiles)
    this.checkSettings(record)
    return record
  }

  private checkSettings(record: ControlRecord): void {
    // Rows in a database are encrypted from the first one on, or never.
    if (this.config.encryptAtRest && !isEncryptedAtRest(record)) throw fail("invalidConfig", { message: PLAIN_ROWS })
    checkUnchanged(record, this.config)
  }

  /** False if another node has made the store meanwhile. */
  private async makeStore(metadata: SharedMetadata, inspections: readonly FolderInspection[]): Promise<boolean> {
    const { clock, random, database } = this.seams
    const { config } = this
    const diskOf = () => this.disk
    for (const path of config.dataFolders) await makeFolders(this.disk, path)
    const claimed = await database.storeId()
    const proposed = claimed ?? begunStoreId(inspections) ?? parseStoreId(hexOf(random.bytes(16)))
    // Another node may have claimed the database meanwhile, and may end before it has written the record.
    const storeId = await database.claim(proposed)
    for (const inspection of inspections) checkFolder(inspection, storeId, false, undefined)
    const devices = await makeDevices(clock, random, diskOf, inspections, { storeId })
    const secrets = randomSecrets(random, clock.wallMs(), this.masterKeyFiles, config.rootKey)
    const keyring = config.encryptAtRest ? ringAtRest(secrets.masterKey, random, clock.wallMs()) : undefined
    const record = await firstRecord(diskOf, devices, {
      config,
      secrets: sealSecrets(secrets, random),
      generation: 1,
      keyring,
      policy: config.policy ?? defaultPolicy(devices.length, config.matrix),
      isInDatabase: true,
    })
    try {
      await writeFirstRecord(metadata, record)
      return true
    } catch (error) {
      if (!isFailure(error, "conflict")) throw error
      return false
    }
  }

  private async takeFolders(record: ControlRecord, incarnation: Incarnation): Promise<void> {
    const { clock, random, locks } = this.seams
    const { stalls, name } = this
    const owner = { clock, random, disk: this.disk, locks, incarnation, stalls }
    stalls.follow(() => ({
      record,
      policies: [],
      folderOf: id => record.devices.find(device => device.id === id)?.pathHint,
      isOwn: ({ home }) => home?.node === name,
    }))
    for (const path of this.config.dataFolders) {
      try {
        await makeFolders(this.disk, path)
        this.taken.push(await takeFolder(owner, path, record))
      } catch (error) {
        if (!isFailure(error, ...LEFT_OUT)) throw error
        this.notes.push(`${path} is left out: ${error.message}`)
        this.leftOut.push(path)
      }
    }
  }

  /**
   * One change for all devices that the record names; a device that another node holds, or that fails, is given back.
   * Returns the secrets of that record: throws `wrongMasterKey` if the master key was replaced meanwhile.
   */
  private async claim(records: SharedRecordManager, metadata: SharedMetadata): Promise<StoreSecrets> {
    const { clock, random } = this.seams
    const nowMs = clock.wallMs()
    const { incarnations } = metadata
    const isOver = (incarnation: number) => metadata.hasEnded(parseIncarnation(incarnation))
    const claims: Claim[] = []
    for (const folder of this.taken.filter(each => isNamed(records.record, each))) {
      const { id, path } = folder.ownership.identity
      try {
        await probeDevice(random, this.disk, path)
        const home = {
          ...(await domainsOf(this.disk, path, this.cluster)),
          node: this.name,
          incarnation: incarnations.own,
        }
        claimDevice(records.record, id, home, isOver)
        claims.push({ id, path, home })
      } catch (error) {
        this.notes.push(`${path} is left out: ${asFailure(error).message}`)
        this.taken.splice(this.taken.indexOf(folder), 1)
        await folder.ownership.release().catch(() => undefined)
      }
    }
    const decided: { secrets?: StoreSecrets } = {}
    await records.change("node starts", record => {
      const found = openSecrets(record, this.masterKeyFiles)
      const secrets = withRootKey(found, this.config)
      decided.secrets = secrets
      const claimed = claims.reduce(
        (next, { id, home }) => markReturning(claimDevice(next, id, home, isOver), id, nowMs),
        record,
      )
      return withPaths(secrets === found ? claimed : { ...claimed, secrets: sealSecrets(secrets, random) }, claims)
    })
    return must(decided.secrets, "the change was decided")
  }
}

/** The newest copy of the control record; undefined: there is none. */
function newestCopy(inspections: readonly FolderInspection[]): ControlRecord | undefined {
  const copies = inspections.flatMap(({ content }) =>
    content.kind === "device" && content.record !== undefined && !(content.record instanceof Error)
      ? [content.record]
      : [],
  )
  return copies.sort((a, b) => b.generation - a.generation)[0]
}

interface Checked {
  /** The control record; undefined if there is none yet. */
  readonly known?: ControlRecord
  /** Devices with an older copy of the record attest nothing of this database. */
  readonly marksFrom?: number | undefined
  /** Finishes an interrupted conversion. */
  readonly settle?: Settled["settle"]
}

interface Claim {
  readonly id: DeviceId
  readonly path: string
  readonly home: DeviceHome
}

const isNamed = (record: ControlRecord, { ownership }: TakenFolder): boolean =>
  record.devices.some(({ id }) => id === ownership.identity.id)

function withPaths(record: ControlRecord, claims: readonly Claim[]): ControlRecord {
  const pathOf = new Map(claims.map(({ id, path }) => [id, path]))
  const isMoved = record.devices.some(({ id, pathHint }) => (pathOf.get(id) ?? pathHint) !== pathHint)
  if (!isMoved) return record
  const devices = record.devices.map(device => ({ ...device, pathHint: pathOf.get(device.id) ?? device.pathHint }))
  return { ...record, devices }
}

/** Failure domains of a folder's device. */
export async function domainsOf(
  disk: Disk,
  path: string,
  { zone, machine }: Pick<ClusterConfig, "zone" | "machine">,
): Promise<Pick<DeviceHome, "zone" | "machine" | "disk">> {
  const { fileSystemId } = await disk.space(path)
  return { ...(zone === undefined ? {} : { zone }), machine, disk: fileSystemId }
}

/**
 * Throws if a folder does not belong to the store of the database. `outdatedBelow`: copies of older records are of a time
 * in which the devices kept the metadata.
 */
function checkFolder(
  { path, content }: FolderInspection,
  storeId: StoreId | undefined,
  hasRecord: boolean,
  outdatedBelow: number | undefined,
): void {
  if (content.kind !== "device" && content.kind !== "remains") return
  const own = content.kind === "device" ? content.superblock.storeId : content.record.storeId
  const copy = content.record instanceof Error ? undefined : content.record
  if (copy !== undefined && copy.tablets.length > 0 && copy.generation >= (outdatedBelow ?? 0)) throw onDevices(path)
  if (storeId !== undefined && own !== storeId) {
    throw fail("foreignDatabase", {
      message: `the database keeps the metadata of another store than the one that ${path} belongs to`,
      database: storeId,
    })
  }
  if (copy === undefined || hasRecord) return
  throw fail("foreignDatabase", {
    message: `the database is empty, but ${path} has data of a store: pass the URL of the database with its metadata`,
  })
}
