/**
 * The needles of one device (after Haystack, OSDI '10): one open volume, group commit, an index of rows that is never
 * logged.
 *
 * Promises  Every later open finds, whole, each needle whose append resolved. Appends that wait together share one
 *           write; while one write is under way the next group collects.
 * Refuses   Appends that `mayAppend` rejects (`deviceFull`), those beyond the queue's limits (`tooManyInFlight`), and
 *           all after a write failed for another reason than a full disk (`deviceFailed`): the device must be
 *           inspected.
 * Limits    VolumeLimits.
 */
import { assert, must } from "@hayloft/base/assert.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import type { Failure } from "@hayloft/base/failures.js"
import { unlessFull } from "@hayloft/base/space/full-disk.js"
import { fail } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { SYNC_READ_BYTES_MAX } from "@hayloft/base/limits.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { DeviceRows } from "../device/contract.js"
import type { NeedleHeader, NeedlePlace } from "../format/needles/needle.js"
import { needleKeyOf } from "../format/needles/needle.js"
import type { VolumePosition } from "../format/needles/volume.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"
import { CachedPages } from "./cached-pages.js"
import { positionOfMark } from "./checkpoint-source.js"
import type {
  Allocate,
  CachedPlace,
  FetchedShard,
  IndexedNeedle,
  MayAppend,
  Needle,
  NeedleId,
  NeedleRange,
  ShardHeader,
  VolumeDamage,
  DeviceVolumeUsage,
} from "./contract.js"
import { type KeptVolumes, VolumeUpkeep } from "./upkeep.js"
import { VolumeFiles } from "./files.js"
import { VOLUME_LIMITS, type VolumeLimits } from "./limits.js"
import { NeedleIndex } from "./needle-index.js"
import { fetchShard, readHeader, readNeedle, wantedBy } from "./needle-read.js"
import { isSameNeedlePlace, planRead, subBlockStretchesOf } from "./needle-read-core.js"
import type { Recovered, UnvouchedGroup } from "./recovery.js"
import { recoverVolumes } from "./recovery.js"
import { WriteQueue } from "./write-queue.js"
import type { VolumeDirectory } from "./writer.js"
import { VolumeWriter } from "./writer.js"

type ReadAt<T> = (file: DiskFile, place: NeedlePlace, isWanted: (header: NeedleHeader) => boolean) => Soon<T>

const NOTHING = new Uint8Array(0)

/** Which needles may be read on the calling thread. */
interface SyncReadTerms {
  /** Runs such reads, and looks up what they need; returns undefined if that fails, and while none are allowed. */
  readonly reads: { read<T>(read: () => T): T | undefined; lookUp<T>(lookUp: () => T): T | undefined }
  /** The number of bytes of this device that the page cache is assumed to keep. */
  readonly cachedBytesMax: number
}

interface VolumeOptions {
  readonly limits?: VolumeLimits
  /** Default: every needle may be appended. */
  readonly mayAppend?: MayAppend
  /** Throws while no needle may be removed. Default: it never does. */
  readonly checkRemoval?: () => void
  /** It is undefined if nothing is read on the calling thread. */
  readonly sync?: SyncReadTerms
}

/**
 * Opens a device's volumes and brings the index up to date: everything written since the mark of the metadata store
 * (`VOLUMES_SOURCE`; undefined: all) is applied to the rows. The volume that was open is sealed at its last good group.
 * Damage is reported, not thrown. Throws `deviceFailed`.
 */
export async function openVolumes(
  disk: Disk,
  rows: DeviceRows,
  directory: VolumeDirectory,
  mark: Uint8Array | undefined,
  options: VolumeOptions = {},
): Promise<KeptVolumes> {
  await disk.makeFolder(directory.folder)
  const contained = positionOfMark(mark)
  const recovered = await recoverVolumes(disk, rows, directory, contained)
  const volumes = new NeedleVolumes(disk, rows, directory, recovered, options)
  volumes.contained(contained)
  await volumes.writeAgain(recovered.unvouched)
  return volumes
}

class NeedleVolumes implements KeptVolumes {
  readonly damages: readonly VolumeDamage[]
  readonly upkeep: VolumeUpkeep
  private readonly index: NeedleIndex
  private readonly writer: VolumeWriter
  private readonly queue: WriteQueue
  private readonly files: VolumeFiles
  /** How many writes of each needle wait or run: its body may already be acknowledged, and deleted. */
  private readonly coming = new Map<RowKey, number>()
  private readonly comingUnhurried = new Map<RowKey, number>()
  /** It is undefined if nothing is read on the calling thread. */
  private readonly cached: CachedPages | undefined
  /** Bodies on their way, which the space of the device does not include yet. */
  private comingBytes = 0

  private readonly limits: VolumeLimits
  private readonly mayAppend: MayAppend
  private readonly checkRemoval: () => void
  private readonly sync: SyncReadTerms | undefined
  private readonly cipher: DeviceCipher | undefined
  private readonly folder: string

  constructor(
    disk: Disk,
    rows: DeviceRows,
    directory: VolumeDirectory,
    recovered: Recovered,
    { limits = VOLUME_LIMITS, mayAppend = () => true, checkRemoval = () => undefined, sync }: VolumeOptions,
  ) {
    this.limits = limits
    this.mayAppend = mayAppend
    this.checkRemoval = checkRemoval
    this.sync = sync
    this.cipher = directory.cipher
    this.folder = directory.folder
    // No volume is certain to have been written through the cache as a whole.
    this.cached = sync && new CachedPages(Infinity, limits.volumeBytesMax, sync.cachedBytesMax)
    this.writer = new VolumeWriter(disk, directory, "needles", recovered.sealed, (volume, group) => {
      this.cached?.note(volume, group)
    })
    this.files = new VolumeFiles(disk, directory.folder, limits.filesOpenMax)
    this.index = new NeedleIndex(rows, recovered.sizes)
    const { index } = this
    const owner = {
      began: volumeId => index.usages.began(volumeId),
      prepare: headers => index.prepare(headers),
      written: (headers, places, after) => this.written(headers, places, after),
    } satisfies ConstructorParameters<typeof WriteQueue>[1]
    this.queue = new WriteQueue(this.writer, owner, limits, recovered.lastVolume)
    this.upkeep = new VolumeUpkeep(disk, directory, index, this.queue, this.files, limits.volumeBytesMax)
    this.upkeep.changedUpTo = recovered.sealed
    this.damages = recovered.damages
  }

  /**
   * Writes the unvouched group once more, and an empty one behind it that confirms the copy, so that the next start
   * does not do it again. Until the copy is durable the group stays what it was: a good tail behind the sealed part of
   * its volume.
   */
  async writeAgain(unvouched: UnvouchedGroup | undefined): Promise<void> {
    if (unvouched === undefined) return
    const write = async (): Promise<void> => {
      const places = await this.queue.writeFirst(unvouched.needles)
      await this.writer.write([])
      this.written(unvouched.headers, places, must(this.writer.position, "a volume is open"))
    }
    // Without space the group must be accepted as it is.
    await unlessFull(write, async () => {
      await this.writer.seal(unvouched.after)
      this.upkeep.changedUpTo = unvouched.after
    })
  }

  get refusing(): Failure | undefined {
    return this.queue.refusing
  }

  async append(needle: Needle): Promise<void> {
    const { id, owner, policy, blockLengthBytes, recoveryHeader, body, checksums, isUnhurried = false } = needle
    if (!this.mayAppend(this.comingBytes + body.length)) {
      throw fail("deviceFull", { message: "only the reserve is left" })
    }
    const shard = { id, owner, policy, blockLengthBytes, recoveryHeader, bodyBytes: body.length, checksums }
    const key = needleKeyOf(id)
    this.upkeep.appended += 1
    const coming = isUnhurried ? this.comingUnhurried : this.coming
    count(coming, key, 1)
    this.comingBytes += body.length
    try {
      if (isUnhurried) await this.queue.appendUnhurried({ kind: "shard", ...shard }, body)
      else await this.queue.append({ kind: "shard", ...shard }, body)
    } finally {
      count(coming, key, -1)
      this.comingBytes -= body.length
    }
  }

  async remove(ids: readonly NeedleId[]): Promise<void> {
    this.checkRemoval()
    const present = ids.filter(id => {
      const key = needleKeyOf(id)
      return this.coming.has(key) || this.comingUnhurried.has(key) || this.index.placeOf(key) !== undefined
    })
    // Unhurried appends on their way must be written before the tombstones, too.
    const unhurried = present.filter(id => this.comingUnhurried.has(needleKeyOf(id)))
    // Half of the queue at most, so that a large removal does not cause appends to be rejected.
    const together = Math.ceil(this.limits.appendsQueuedMax / 2)
    await mapBounded(present, together, id => this.queue.append({ kind: "tombstone", id }, NOTHING))
    await mapBounded(unhurried, together, id => this.queue.appendUnhurried({ kind: "tombstone", id }, NOTHING))
  }

  markSuspect(ids: readonly NeedleId[]): void {
    for (const id of ids) {
      const key = needleKeyOf(id)
      if (this.index.placeOf(key) !== undefined) this.index.markSuspect(key)
    }
  }

  read<Slow>(
    id: NeedleId,
    range: NeedleRange,
    ifSlow: (read: () => Promise<Uint8Array>) => Slow,
    allocate?: Allocate,
  ): Uint8Array | Slow {
    return this.readSync(id, range, allocate) ?? ifSlow(() => this.readSlowly(id, range, allocate))
  }

  private readSync(id: NeedleId, range: NeedleRange, allocate: Allocate | undefined): Uint8Array | undefined {
    const { sync } = this
    if (sync === undefined || range.lengthBytes > SYNC_READ_BYTES_MAX) return undefined
    return sync.reads.read(() => {
      const key = needleKeyOf(id)
      const warming = this.index.warm(key)
      // The slow read waits for it, and reports its failure.
      warming?.catch(() => undefined)
      const place = warming === undefined ? this.index.placeOf(key) : undefined
      const file = place && this.files.opened(place.volume)
      if (place === undefined || file === undefined || !this.isCached(place, range)) return undefined
      const bytes = readNeedle(file, { place, range, isWanted: wantedBy(key), allocate, use: "resident" })
      assert(bytes instanceof Uint8Array, "a resident read does not wait")
      return bytes
    })
  }

  private readSlowly(id: NeedleId, range: NeedleRange, allocate: Allocate | undefined): Promise<Uint8Array> {
    return this.atPlace(id, async (file, place, isWanted) => {
      const bytes = await readNeedle(file, { place, range, isWanted, allocate })
      const { cached } = this
      if (cached)
        for (const stretch of subBlockStretchesOf(place, planRead(place, range))) cached.note(place.volume, stretch)
      return bytes
    })
  }

  cachedPlaceOf(id: NeedleId, range: NeedleRange): CachedPlace | undefined {
    return this.sync?.reads.lookUp(() => {
      const key = needleKeyOf(id)
      const warming = this.index.warm(key)
      // The read that follows waits for it, and reports its failure.
      warming?.catch(() => undefined)
      const place = warming === undefined ? this.index.placeOf(key) : undefined
      return place && this.isCached(place, range) ? { folder: this.folder, place } : undefined
    })
  }

  get removedVolumes(): number {
    return this.upkeep.removed
  }

  private isCached(place: NeedlePlace, range: NeedleRange): boolean {
    return subBlockStretchesOf(place, planRead(place, range)).every(
      stretch => this.cached?.has(place.volume, stretch) === true,
    )
  }

  fetch(
    id: NeedleId,
    bodyBytes: number,
    allocate: Allocate,
    range = { offsetBytes: 0, lengthBytes: bodyBytes },
  ): Promise<FetchedShard> {
    return this.atPlace(id, (file, place, isWanted) =>
      fetchShard(file, place, { bodyBytes, range }, { isWanted, names: this.cipher }, allocate),
    )
  }

  headerOf(id: NeedleId): Promise<ShardHeader> {
    return this.atPlace(id, (file, place, isWanted) => readHeader(file, place, { isWanted, names: this.cipher }))
  }

  /** Reads the needle at the place in the index. */
  private async atPlace<T>(id: NeedleId, readAt: ReadAt<T>): Promise<T> {
    const key = needleKeyOf(id)
    const warm = this.index.warm(key)
    if (warm) await warm
    const place = this.index.placeOf(key)
    if (place === undefined) throw fail("noSuchNeedle", { ...id })
    const isWanted = wantedBy(key)
    const readFrom = (from: NeedlePlace) => this.files.use(from.volume, file => readAt(file, from, isWanted))
    try {
      return await readFrom(place)
    } catch (error) {
      // A newer copy may have replaced it meanwhile, and the old volume may be gone.
      const later = this.index.placeOf(key)
      if (later === undefined || isSameNeedlePlace(later, place)) throw error
      return readFrom(later)
    }
  }

  has(id: NeedleId): boolean {
    return this.index.has(needleKeyOf(id))
  }

  indexed(range: KeyRange): Iterable<IndexedNeedle> {
    return this.index.indexed(range)
  }

  usage(): DeviceVolumeUsage {
    const { volumes, writtenBytes, liveBytes } = this.index.usages.totals()
    const deadBytes = writtenBytes - (liveBytes ?? 0)
    const deadShare = liveBytes === undefined ? undefined : writtenBytes === 0 ? 0 : deadBytes / writtenBytes
    return { volumes, writtenBytes, liveBytes, deadShare }
  }

  durable(): VolumePosition | undefined {
    return this.writer.position
  }

  contained(upTo: VolumePosition | undefined): void {
    this.upkeep.containedUpTo = upTo
  }

  async close(): Promise<void> {
    await this.queue.stop()
    await this.files.close()
  }

  private written(headers: readonly NeedleHeader[], places: readonly NeedlePlace[], after: VolumePosition): void {
    this.index.written(headers, places)
    this.index.usages.wrote(after.volumeId, after.offsetBytes)
    this.upkeep.changedUpTo = after
  }
}

function count(coming: Map<RowKey, number>, key: RowKey, change: 1 | -1): void {
  const now = (coming.get(key) ?? 0) + change
  if (now === 0) coming.delete(key)
  else coming.set(key, now)
}
