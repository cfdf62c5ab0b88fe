/**
 * Stopped store: holds the locks of a stopped store for an operator's change of its devices.
 *
 * Promises  A change is in effect once it is on every device that is present. The next start of the store finds
 *           it, also if other devices have meanwhile received other changes.
 * Refuses   A running store: `folderInUse`. A change of one whose metadata is in a database: `invalidArgument`.
 */
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import { parseDeviceId, parseIncarnation, type DeviceId } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import type { NewDevice } from "@hayloft/engine/cluster/index.js"
import { readDatabaseMark } from "../cluster/database-marks.js"
import { checkRemains, type FolderOwner } from "../control/folders.js"
import { FORGET_LIVES, nextGeneration, stepsBetween } from "../control/steps-core.js"
import {
  CALL_LIMITS,
  votingIds,
  createSuperblock,
  Ownership,
  queuedDisk,
  Stalls,
  removeRemains,
  withBallast,
  writeControlRecord,
} from "@hayloft/engine/device/index.js"
import { formatEpochOf, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { FolderLock, FolderLocks } from "@hayloft/base/seams/folder-lock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { inspect, type FolderInspection } from "./folder-inspection.js"
import { incarnationAfter } from "./open-store.js"
import { devicesIn, newestOf, type DeviceFolder } from "./start-core.js"
import { checkChangeable } from "./stopped-core.js"

export class StoppedStore {
  private readonly owned: Ownership[] = []

  private constructor(
    private readonly owner: FolderOwner,
    private readonly held: Map<string, FolderLock>,
    private readonly watch: AbortController,
    readonly record: ControlRecord,
    /** Devices of the record that are present. */
    readonly folders: readonly DeviceFolder[],
  ) {}

  /** Returns undefined if these folders hold no store. Throws `folderInUse`, `foreignFolder`, `corruptRecord`. */
  static async open(
    clock: Clock,
    random: Random,
    disk: Disk,
    locks: FolderLocks,
    paths: readonly string[],
  ): Promise<StoppedStore | undefined> {
    const watch = new AbortController()
    const bounded = queuedDisk(disk, clock, CALL_LIMITS, watch.signal, () => undefined)
    const inspectAll = () => mapBounded(paths, DEVICES_MAX, path => inspect(bounded, path))
    const held = new Map<string, FolderLock>()
    try {
      for (const { path } of namedIn(await inspectAll())) held.set(path, await locks.take(path))
      const inspections = await inspectAll()
      const record = newestOf(inspections)?.record
      if (record === undefined) {
        watch.abort()
        return undefined
      }
      const folders = namedIn(inspections)
      if (folders.some(({ path }) => !held.has(path))) throw fail("folderInUse")
      const incarnation = parseIncarnation(incarnationAfter(inspections) + FORGET_LIVES)
      const owner = { clock, random, disk: bounded, locks, incarnation, stalls: new Stalls() }
      return new StoppedStore(owner, held, watch, record, folders)
    } catch (error) {
      await releaseAll(held)
      watch.abort()
      throw error
    }
  }

  get here(): ReadonlySet<DeviceId> {
    return new Set(this.folders.map(({ superblock }) => superblock.deviceId))
  }

  /**
   * Describes the device that an empty folder could become, or has been begun as. Throws if the folder is not empty.
   */
  async newDevice(path: string): Promise<NewDevice> {
    const { disk, random } = this.owner
    const { content, isMountPoint } = await inspect(disk, path)
    const begun = content.kind === "device" && content.isUnused ? content.superblock : undefined
    const isOurs =
      begun?.storeId === this.record.storeId && !this.record.devices.some(({ id }) => id === begun.deviceId)
    if (content.kind === "broken") throw content.failure
    if (content.kind === "remains") checkRemains(path, content, this.record)
    if (content.kind === "absent")
      throw fail("invalidArgument", { message: `the folder ${path} does not exist; create it` })
    if (content.kind === "device" && !isOurs) {
      throw fail("foreignFolder", { message: `${path} already holds a device; empty it to reuse it` })
    }
    const { totalBytes } = await disk.space(path)
    const id = begun?.deviceId ?? parseDeviceId(hexOf(random.bytes(8)))
    return { id, pathHint: path, isMountPoint, capacityBytes: totalBytes }
  }

  /** Throws `invalidArgument` if only a running node may change the record: see `checkChangeable`. */
  async checkChangeable(): Promise<void> {
    const marks = await mapBounded(this.folders, DEVICES_MAX, ({ path }) => readDatabaseMark(this.owner.disk, path))
    checkChangeable(
      this.record,
      marks.some(mark => mark !== undefined),
    )
  }

  /**
   * Writes the record, step by step, to every device that is present. `added`: a device that the record adds.
   * Throws as `checkChangeable`.
   */
  async commit(next: ControlRecord, added?: NewDevice): Promise<void> {
    await this.checkChangeable()
    const { clock, disk, incarnation } = this.owner
    const least = { incarnation, formatEpoch: formatEpochOf(this.record) }
    const folders = added === undefined ? this.folders : [...this.folders, await this.makeDevice(added)]
    for (const { path, superblock } of folders) {
      const lock = must(this.held.get(path), "every device is locked")
      this.owned.push(await Ownership.begin(clock, disk, lock, superblock, least))
      this.held.delete(path)
    }
    let { generation } = this.record
    for (const step of stepsBetween(this.record, next)) {
      generation = nextGeneration(incarnation, generation)
      const record = { ...step, generation }
      const voting = votingIds(record)
      const targets = folders.filter(({ superblock }) => voting.includes(superblock.deviceId))
      await mapBounded(targets, DEVICES_MAX, ({ path }) =>
        withBallast(disk, path, () => writeControlRecord(disk, path, record)),
      )
    }
  }

  private async makeDevice({ id, pathHint: path }: NewDevice): Promise<DeviceFolder> {
    const { clock, disk, locks } = this.owner
    this.held.set(path, await locks.take(path))
    const found = await inspect(disk, path)
    if (found.content.kind === "remains" || found.content.kind === "empty") await removeRemains(disk, path)
    if (found.content.kind === "device") return { path, superblock: found.content.superblock }
    const { storeId } = this.record
    const device = { storeId, deviceId: id, createdMs: clock.wallMs(), formatEpoch: formatEpochOf(this.record) }
    return { path, superblock: await createSuperblock(disk, path, device) }
  }

  /** Releases the folders. */
  async close(): Promise<void> {
    for (const device of this.owned) await device.release()
    await releaseAll(this.held)
    this.watch.abort()
  }
}

function namedIn(inspections: readonly FolderInspection[]): readonly DeviceFolder[] {
  const record = newestOf(inspections)?.record
  const isNamed = ({ superblock }: DeviceFolder): boolean =>
    record?.devices.some(({ id }) => id === superblock.deviceId) === true
  return devicesIn(inspections).filter(isNamed)
}

async function releaseAll(held: ReadonlyMap<string, FolderLock>): Promise<void> {
  for (const lock of held.values()) await lock.release()
}
