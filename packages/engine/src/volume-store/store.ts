/**
 * The volume store: values by their keys, in the volumes of one folder (`packages/engine/src/volume`), as a library.
 *
 * Promises  Each value whose append resolved is there after a crash, and each whose removal resolved is not. A value
 *           is returned as it was written, or not at all.
 * Refuses   A second value of a key (`exists`), and everything after it was closed or its folder was lost.
 * Limits    In `limits.ts`; appends on their way are bounded by VOLUME_LIMITS.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { isMountPoint, readSourceMark, Rows, Spaces, type DeviceSpace } from "../device/index.js"
import { needleIdOfKey, needleKeyOf } from "../format/needles/needle.js"
import { DisposeStack, FirstAbort, InOrder, laterTurn, supervise } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Stores } from "@hayloft/base/seams/store/contract.js"
import {
  Compaction,
  openVolumes,
  VOLUME_LIMITS,
  volumeBytesMaxFor,
  VOLUMES_SOURCE,
  type KeptVolumes,
  type NeedleId,
} from "../volume/index.js"
import type { Compacted, OpenVolumesOptions, ReadOptions, VolumeKey, VolumesStat } from "./contract.js"
import { foldersOf, takeFolder, type FolderSeams, type VolumeStoreFolder } from "./folder.js"
import { IndexUpkeep, NO_BATCH, SILENT } from "./index-upkeep.js"
import { COMPACTION, KEYS_STEP_ROWS, QUIET_STEPS, VOLUME_BYTES_LEAST, VOLUME_BYTES_MOST } from "./limits.js"
import { keyBytesOf, needleIdOf, needleOf } from "./value-needle.js"
import { closedError, readErrorOf, throwIfAborted, VolumeError, withVolumeErrors } from "./volume-error.js"

export interface StoreSeams extends FolderSeams {
  readonly stores: Stores
}

interface StoreOptions extends OpenVolumesOptions {
  /** The index of an existing store is rebuilt from the volumes. */
  readonly isIndexDiscarded?: boolean
}

interface Parts {
  readonly clock: Clock
  readonly opened: DisposeStack
  readonly volumes: KeptVolumes
  readonly upkeep: IndexUpkeep
  readonly compaction: Compaction
  /** Keys in the index of values that compactions have found damaged. */
  readonly damaged: ReadonlySet<RowKey>
  readonly lost: () => Failure | undefined
}

function volumeBytesMaxOf({ volumeBytesMax = VOLUME_LIMITS.volumeBytesMax }: OpenVolumesOptions): number {
  const isInRange = volumeBytesMax >= VOLUME_BYTES_LEAST && volumeBytesMax <= VOLUME_BYTES_MOST
  if (Number.isInteger(volumeBytesMax) && isInRange) return volumeBytesMax
  throw new VolumeError("invalid", `volumeBytesMax is from ${VOLUME_BYTES_LEAST} to ${VOLUME_BYTES_MOST}`)
}

function checkIndexCache({ indexCacheBytes = 0 }: OpenVolumesOptions): void {
  if (Number.isSafeInteger(indexCacheBytes) && indexCacheBytes >= 0) return
  throw new VolumeError("invalid", "indexCacheBytes is a whole number of bytes, 0 or more")
}

/** The space of the folder's file system, measured until the stack is closed. */
async function openSpace(
  opened: DisposeStack,
  { clock, random }: FolderSeams,
  { path, disk, deviceId }: VolumeStoreFolder,
): Promise<DeviceSpace> {
  const spaces = new Spaces(clock, random.fork("ballast"), SILENT)
  const space = await spaces.open(deviceId, disk, path, await isMountPoint(disk, path))
  opened.defer(() => space.close())
  const stop = new AbortController()
  const running = supervise([space], clock, random, SILENT, stop.signal)
  opened.defer(async () => {
    stop.abort()
    await running
  })
  return space
}

export class VolumeStore {
  /** Changes on their way, by their keys: the last one of each, which never rejects. */
  private readonly changing = new Map<RowKey, Promise<unknown>>()
  private readonly compacting = new InOrder()
  private closing: Promise<void> | undefined
  private readonly stopping = new AbortController()

  private constructor(private readonly parts: Parts) {}

  static async open(seams: StoreSeams, path: string, options: StoreOptions = {}): Promise<VolumeStore> {
    const { isIndexDiscarded = false } = options
    throwIfAborted(options.signal)
    const volumeBytesMax = volumeBytesMaxOf(options)
    checkIndexCache(options)
    await using opened = new DisposeStack()
    let lost: Failure | undefined
    const taken = await takeFolder(opened, seams, path, isIndexDiscarded, failure => (lost = failure))
    const space = await openSpace(opened, seams, taken)
    const folder = { ...taken, disk: space.disk }
    const { disk, deviceId, incarnation } = folder
    const folders = foldersOf(path)
    throwIfAborted(options.signal)
    if (isIndexDiscarded) await seams.stores.discard(folders.index, { disk, deviceId })
    const index = await seams.stores.openReader(folders.index, { disk, deviceId })
    opened.defer(() => index.close())
    const rows = new Rows(index, NO_BATCH)
    const directory = { folder: folders.volumes, deviceId, incarnation }
    const volumes = await openVolumes(disk, rows, directory, readSourceMark(index, VOLUMES_SOURCE), {
      limits: {
        ...VOLUME_LIMITS,
        // A larger one could not be copied on a full disk.
        volumeBytesMax: Math.min(volumeBytesMax, volumeBytesMaxFor(space.fullness.reserveBytes)),
      },
      mayAppend: bytes => space.mayTakeNeedles(bytes),
    })
    opened.defer(() => volumes.close())
    const { clock, stores } = seams
    const upkeep = await IndexUpkeep.open(opened, clock, { folder, stores, space, rows, volumes })
    const damaged = new Set<RowKey>()
    const onDamage = (id: NeedleId): void => void damaged.add(needleKeyOf(id))
    const compaction = new Compaction("compaction", volumes.upkeep, clock, onDamage, COMPACTION, space)
    space.setUndoCopies(() => compaction.undoCopies())
    const store = new VolumeStore({
      clock,
      opened: opened.move(),
      volumes,
      upkeep,
      compaction,
      damaged,
      lost: () => lost,
    })
    if (options.signal !== undefined) await store.closeWith(options.signal)
    return store
  }

  /** Closes the store when the signal fires. Throws `aborted` if it has fired while the store was being opened. */
  private async closeWith(signal: AbortSignal): Promise<void> {
    if (signal.aborted) await this.close()
    throwIfAborted(signal)
    const close = (): void => void this.close().catch(() => undefined)
    signal.addEventListener("abort", close, { once: true, signal: this.stopping.signal })
  }

  private checkOpen(): void {
    if (this.closing !== undefined) throw closedError()
  }

  private check(): void {
    this.checkOpen()
    const lost = this.parts.lost()
    if (lost !== undefined) throw fail(lost.kind, lost.details, lost)
  }

  /** Changes of a key follow each other in the order of their calls. */
  private async change<T>(rowKey: RowKey, work: () => Promise<T>): Promise<T> {
    const before = this.changing.get(rowKey)
    const changed = before === undefined ? work() : before.then(work)
    const settled = changed.catch(() => undefined)
    this.changing.set(rowKey, settled)
    try {
      return await changed
    } finally {
      if (this.changing.get(rowKey) === settled) this.changing.delete(rowKey)
    }
  }

  /** The value is durable when it resolves; its bytes must not change until then. */
  append(key: VolumeKey, value: Uint8Array): Promise<void> {
    return withVolumeErrors(async () => {
      this.check()
      const { volumes, upkeep } = this.parts
      const needle = needleOf(keyBytesOf(key), value)
      const rowKey = needleKeyOf(needle.id)
      await this.change(rowKey, async () => {
        this.check()
        await volumes.upkeep.index.warm(rowKey)
        if (volumes.upkeep.index.placeOf(rowKey) !== undefined) throw new VolumeError("exists", "the key has a value")
        await upkeep.spaceForWrites()
        await volumes.append(needle)
      })
    })
  }

  /**
   * Reads and verifies the value, or a range of it; returns undefined if the key has no value. Throws `damaged`, and
   * `invalid` for an offset or a length that is no whole number of bytes, and for a range that ends behind the value.
   */
  read(key: VolumeKey, { offset = 0, length }: ReadOptions = {}): Promise<Uint8Array | undefined> {
    return withVolumeErrors(async () => {
      this.check()
      if (![offset, length ?? 0].every(each => Number.isSafeInteger(each) && each >= 0)) {
        throw new VolumeError("invalid", "the offset and the length of a range are whole numbers of bytes, 0 or more")
      }
      const { volumes } = this.parts
      const id = needleIdOf(keyBytesOf(key))
      const rowKey = needleKeyOf(id)
      await volumes.upkeep.index.warm(rowKey)
      const place = volumes.upkeep.index.placeOf(rowKey)
      if (place === undefined) return undefined
      const lengthBytes = length ?? Math.max(0, place.bodyBytes - offset)
      if (offset + lengthBytes > place.bodyBytes) {
        throw new VolumeError("invalid", `the value has ${place.bodyBytes} bytes, and no such range`)
      }
      try {
        return await volumes.read(id, { offsetBytes: offset, lengthBytes }, read => read())
      } catch (error) {
        // It was removed meanwhile.
        if (isFailure(error, "noSuchNeedle")) return undefined
        throw error
      }
    }, readErrorOf)
  }

  has(key: VolumeKey): Promise<boolean> {
    return withVolumeErrors(async () => {
      this.check()
      const { upkeep } = this.parts.volumes
      const rowKey = needleKeyOf(needleIdOf(keyBytesOf(key)))
      await upkeep.index.warm(rowKey)
      return upkeep.index.placeOf(rowKey) !== undefined
    }, readErrorOf)
  }

  /** The removal is durable when it resolves. False if there was no value. */
  remove(key: VolumeKey): Promise<boolean> {
    return withVolumeErrors(async () => {
      this.check()
      const { volumes, upkeep } = this.parts
      const id = needleIdOf(keyBytesOf(key))
      const rowKey = needleKeyOf(id)
      return this.change(rowKey, async () => {
        this.check()
        await volumes.upkeep.index.warm(rowKey)
        if (volumes.upkeep.index.placeOf(rowKey) === undefined) return false
        await upkeep.spaceForWrites()
        await volumes.remove([id])
        return true
      })
    })
  }

  /**
   * All keys, in no useful order. Those that are added or removed meanwhile may be among them or not. Throws `damaged`
   * after the last one if some cannot be read, and at once where the index is damaged.
   */
  async *keys(): AsyncGenerator<Uint8Array, void> {
    const unread: { count: number; first: unknown } = { count: 0, first: undefined }
    const onDamage = (damage: unknown): void => {
      unread.first ??= damage
      unread.count += 1
    }
    try {
      this.check()
      const walk = this.parts.volumes.upkeep.index.walk()
      while (!walk.isOver) {
        const found: RowKey[] = []
        walk.step(KEYS_STEP_ROWS, (_, rowKey) => found.push(rowKey))
        for (const rowKey of found) {
          this.check()
          const key = await this.keyOf(rowKey, onDamage)
          if (key !== undefined) yield key
        }
      }
    } catch (error) {
      throw readErrorOf(error)
    }
    if (unread.count === 0) return
    const message = `${unread.count} keys cannot be read, and all others are listed: fsckVolumes finds the damage`
    throw new VolumeError("damaged", message, unread.first)
  }

  private async keyOf(rowKey: RowKey, onDamage: (error: unknown) => void): Promise<Uint8Array | undefined> {
    try {
      return (await this.parts.volumes.headerOf(needleIdOfKey(rowKey))).recoveryHeader
    } catch (error) {
      // It was removed meanwhile.
      if (isFailure(error, "noSuchNeedle")) return undefined
      const read = readErrorOf(error)
      if (!(read instanceof VolumeError) || read.code !== "damaged") throw error
      onDamage(read)
      return undefined
    }
  }

  /** Also after the folder was lost, which is a problem then. Throws `closed`. */
  stat(): VolumesStat {
    this.checkOpen()
    const { volumes, upkeep } = this.parts
    const { volumes: count, writtenBytes, deadShare } = volumes.usage()
    const damages = volumes.damages.map(
      ({ volumeId, fromBytes, toBytes, reason }) => `volume ${volumeId}, bytes ${fromBytes} to ${toBytes}: ${reason}`,
    )
    const others = [volumes.refusing?.message, upkeep.error, this.parts.lost()?.message]
    const problems = [...damages, ...others.filter(each => each !== undefined)]
    return { volumes: count, writtenBytes, deadShare, problems }
  }

  /**
   * Gives back the space of removed values. Reads, appends and removals go on meanwhile. A copy needs space for the
   * values that are left of one volume.
   */
  compact({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<Compacted> {
    return this.compacting.run(() => withVolumeErrors(() => this.compactNow(signal)))
  }

  private async compactNow(signal: AbortSignal | undefined): Promise<Compacted> {
    const ended = new FirstAbort([this.stopping.signal, signal])
    try {
      return await this.compactUntil(ended.signal, signal)
    } finally {
      ended.release()
    }
  }

  private compactUntil(ended: AbortSignal, signal: AbortSignal | undefined): Promise<Compacted> {
    this.check()
    const { clock, upkeep, compaction, damaged } = this.parts
    // The counts go on.
    const { freedBytes, copiedBytes } = compaction.counts
    return upkeep.alone(async checkpoint => {
      for (let quiet = 0; quiet < QUIET_STEPS;) {
        throwIfAborted(signal)
        this.check()
        const outcome = await compaction.step(ended)
        // Some steps wait for nothing.
        await laterTurn(clock)
        quiet = outcome === "busy" ? 0 : quiet + 1
        if (quiet > 0 || upkeep.isDue) await checkpoint()
      }
      const { counts } = compaction
      return {
        freedBytes: counts.freedBytes - freedBytes,
        copiedBytes: counts.copiedBytes - copiedBytes,
        damagedValues: damaged.size,
      }
    })
  }

  /** Waits for what is on its way. All callers get the same promise. */
  close(): Promise<void> {
    this.closing ??= withVolumeErrors(() => this.closeNow())
    return this.closing
  }

  private async closeNow(): Promise<void> {
    const { opened, upkeep } = this.parts
    this.stopping.abort()
    await this.compacting.ended()
    try {
      await upkeep.close()
    } catch (error) {
      // The volumes have everything: the next open brings the index up to date.
      if (!isFailure(error, "deviceFull", "deviceFailed")) throw error
    } finally {
      await opened[Symbol.asyncDispose]()
    }
  }
}
