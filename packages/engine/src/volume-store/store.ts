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
import { needleIdOfKey, needleKeyOf } from "../format/needle.js"
import { DisposeStack, laterTurn, supervise } from "@hayloft/base/life/index.js"
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
import { throwIfAborted, VolumeError, volumeErrorOf, withVolumeErrors } from "./volume-error.js"

export interface StoreSeams extends FolderSeams {
  readonly stores: Stores
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
  /** Keys that are being written. */
  private readonly appending = new Set<RowKey>()
  private compacting: Promise<unknown> = Promise.resolve()
  private closing: Promise<void> | undefined
  private readonly stopping = new AbortController()

  private constructor(private readonly parts: Parts) {}

  /** `isIndexDiscarded`: the index is rebuilt from the volumes. */
  static async open(
    seams: StoreSeams,
    path: string,
    options: OpenVolumesOptions = {},
    isIndexDiscarded = false,
  ): Promise<VolumeStore> {
    throwIfAborted(options.signal)
    const volumeBytesMax = volumeBytesMaxOf(options)
    await using opened = new DisposeStack()
    let lost: Failure | undefined
    const taken = await takeFolder(opened, seams, path, failure => (lost = failure))
    const space = await openSpace(opened, seams, taken)
    const folder = { ...taken, disk: space.disk }
    const { disk, deviceId, incarnation } = folder
    const folders = foldersOf(path)
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
    options.signal?.addEventListener("abort", () => void store.close().catch(() => undefined), { once: true })
    return store
  }

  private check(): void {
    if (this.closing !== undefined) throw new VolumeError("closed", "the store is closed")
    const lost = this.parts.lost()
    if (lost !== undefined) throw fail(lost.kind, lost.details, lost)
  }

  /** The value is durable when it resolves; its bytes must not change until then. */
  append(key: VolumeKey, value: Uint8Array): Promise<void> {
    return withVolumeErrors(async () => {
      this.check()
      const { volumes, upkeep } = this.parts
      const needle = needleOf(keyBytesOf(key), value)
      const rowKey = needleKeyOf(needle.id)
      if (this.appending.has(rowKey)) throw new VolumeError("exists", "the key is being written")
      this.appending.add(rowKey)
      try {
        await volumes.upkeep.warm(rowKey)
        if (volumes.upkeep.placeOf(rowKey) !== undefined) throw new VolumeError("exists", "the key has a value")
        await upkeep.spaceForWrites()
        await volumes.append(needle)
      } finally {
        this.appending.delete(rowKey)
      }
    })
  }

  /** Reads and verifies the value, or a range of it; returns undefined if the key has no value. Throws `damaged`. */
  read(key: VolumeKey, { offset = 0, length }: ReadOptions = {}): Promise<Uint8Array | undefined> {
    return withVolumeErrors(async () => {
      this.check()
      const { volumes } = this.parts
      const id = needleIdOf(keyBytesOf(key))
      const rowKey = needleKeyOf(id)
      await volumes.upkeep.warm(rowKey)
      const place = volumes.upkeep.placeOf(rowKey)
      if (place === undefined) return undefined
      const lengthBytes = length ?? Math.max(0, place.bodyBytes - offset)
      const isRange = [offset, lengthBytes].every(each => Number.isSafeInteger(each) && each >= 0)
      if (!isRange || offset + lengthBytes > place.bodyBytes) {
        throw new VolumeError("invalid", `the value has ${place.bodyBytes} bytes, and no such range`)
      }
      try {
        return await volumes.read(id, { offsetBytes: offset, lengthBytes }, read => read())
      } catch (error) {
        // It was removed meanwhile.
        if (isFailure(error, "noSuchNeedle")) return undefined
        throw error
      }
    })
  }

  has(key: VolumeKey): Promise<boolean> {
    return withVolumeErrors(async () => {
      this.check()
      const { upkeep } = this.parts.volumes
      const rowKey = needleKeyOf(needleIdOf(keyBytesOf(key)))
      await upkeep.warm(rowKey)
      return upkeep.placeOf(rowKey) !== undefined
    })
  }

  /** The removal is durable when it resolves. False if there was no value. */
  remove(key: VolumeKey): Promise<boolean> {
    return withVolumeErrors(async () => {
      this.check()
      const { volumes, upkeep } = this.parts
      const id = needleIdOf(keyBytesOf(key))
      const rowKey = needleKeyOf(id)
      await volumes.upkeep.warm(rowKey)
      const isThere = volumes.upkeep.placeOf(rowKey) !== undefined || this.appending.has(rowKey)
      if (!isThere) return false
      await upkeep.spaceForWrites()
      await volumes.remove([id])
      return true
    })
  }

  /** All keys, in no useful order. Those that are added or removed meanwhile may be among them or not. */
  async *keys(): AsyncGenerator<Uint8Array, void> {
    try {
      this.check()
      const { volumes } = this.parts
      const walk = volumes.upkeep.walkIndex()
      while (!walk.isOver) {
        const found: RowKey[] = []
        walk.step(KEYS_STEP_ROWS, (_, rowKey) => found.push(rowKey))
        for (const rowKey of found) {
          this.check()
          const key = await this.keyOf(rowKey)
          if (key !== undefined) yield key
        }
      }
    } catch (error) {
      throw volumeErrorOf(error)
    }
  }

  private async keyOf(rowKey: RowKey): Promise<Uint8Array | undefined> {
    try {
      return (await this.parts.volumes.headerOf(needleIdOfKey(rowKey))).recoveryHeader
    } catch (error) {
      // It was removed meanwhile.
      if (isFailure(error, "noSuchNeedle")) return undefined
      throw error
    }
  }

  stat(): VolumesStat {
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
    const run = (): Promise<Compacted> => withVolumeErrors(() => this.compactNow(signal))
    const compacted = this.compacting.then(run)
    this.compacting = compacted.catch(() => undefined)
    return compacted
  }

  private compactNow(signal: AbortSignal | undefined): Promise<Compacted> {
    this.check()
    const { clock, upkeep, compaction, damaged } = this.parts
    // The counts go on.
    const { freedBytes, copiedBytes } = compaction.counts
    const ended = AbortSignal.any(signal === undefined ? [this.stopping.signal] : [this.stopping.signal, signal])
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
    await this.compacting
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
