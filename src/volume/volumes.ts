/**
 * The needles of one device (after Haystack, OSDI '10): one open volume, group commit, an index of
 * rows that is never logged.
 *
 * Promises  A needle whose append resolved is found, whole, by every later open. Appends that wait
 *           together share one write; while one write is under way the next group gathers.
 * Refuses   Appends beyond the queue's limits (`tooManyInFlight`), and all appends after a write
 *           failed for another reason than a full disk (`deviceFailed`): the device is to be judged.
 * Limits    VolumeLimits.
 */
import { must } from "../base/assert.js"
import type { Failure } from "../base/failures.js"
import { asFailure, fail, isFailure } from "../base/failures.js"
import type { PartitionId, RowKey } from "../base/ids.js"
import { parseVolumeId } from "../base/ids.js"
import type { DeviceRows } from "../device/contract.js"
import type { NeedleHeader, NeedlePlace } from "../format/needle.js"
import {
  decodeNeedlePlace,
  encodeNeedleHeader,
  needleIdOfKey,
  needleKeyOf,
  needleKeysOfPartition,
} from "../format/needle.js"
import type { VolumePosition } from "../format/volume.js"
import { mapBounded } from "../life/index.js"
import type { Disk, DiskFile } from "../seams/disk/contract.js"
import { positionOfMark } from "./checkpoint-source.js"
import type { Allocate, Needle, NeedleId, NeedleOwner, NeedleRange, VolumeDamage, Volumes } from "./contract.js"
import { VolumeFiles } from "./files.js"
import type { EncodedNeedle } from "./group-core.js"
import { groupBytes, groupCount, needleBytes } from "./group-core.js"
import { indexWrite } from "./index-writes.js"
import type { VolumeLimits } from "./limits.js"
import { VOLUME_LIMITS } from "./limits.js"
import { readNeedle, readOwner } from "./needle-read.js"
import type { Recovered, UnvouchedGroup } from "./recovery.js"
import { recoverVolumes } from "./recovery.js"
import type { VolumeHome } from "./writer.js"
import { VolumeWriter } from "./writer.js"

type ReadAt<T> = (file: DiskFile, place: NeedlePlace, isWanted: (header: NeedleHeader) => boolean) => Promise<T>

interface Queued extends EncodedNeedle {
  readonly decoded: NeedleHeader
  readonly bytes: number
  done(failure?: Failure): void
}

const NOTHING = new Uint8Array(0)

/**
 * Opens a device's volumes and brings the index up to date: what was written since the base's mark
 * (`VOLUMES_SOURCE`; undefined: since ever) is applied to the rows. The volume that was open is sealed
 * at its last good group. Damage is reported, not thrown. Throws `deviceFailed`.
 */
export async function openVolumes(
  disk: Disk,
  rows: DeviceRows,
  home: VolumeHome,
  mark: Uint8Array | undefined,
  limits: VolumeLimits = VOLUME_LIMITS,
): Promise<Volumes> {
  await disk.makeFolder(home.folder)
  const recovered = await recoverVolumes(disk, rows, home, positionOfMark(mark))
  const volumes = new NeedleVolumes(disk, rows, home, limits, recovered)
  await volumes.writeAgain(recovered.unvouched)
  return volumes
}

class NeedleVolumes implements Volumes {
  readonly damages: readonly VolumeDamage[]
  private readonly writer: VolumeWriter
  private readonly files: VolumeFiles
  private readonly queue: Queued[] = []
  private queuedBytes = 0
  /** Keys of needles that wait to be written, or are: their body may be acknowledged, and deleted, already. */
  private readonly coming = new Set<RowKey>()
  private writing: Promise<void> | undefined
  /** Why nothing is taken any more. */
  private refusal: Failure | undefined
  private lastVolume: number
  private volumes: number
  private writtenBytes: number

  constructor(
    disk: Disk,
    private readonly rows: DeviceRows,
    home: VolumeHome,
    private readonly limits: VolumeLimits,
    recovered: Recovered,
  ) {
    this.writer = new VolumeWriter(disk, home, "needles", recovered.sealed)
    this.files = new VolumeFiles(disk, home.folder, limits.filesOpenMax)
    this.damages = recovered.damages
    this.lastVolume = recovered.lastVolume
    this.volumes = recovered.volumes
    this.writtenBytes = recovered.writtenBytes
  }

  /**
   * Writes the group once more that nothing vouched for, and an empty one behind it that vouches for
   * the copy, so that the next start does not do it again. Until the copy is durable the group stays
   * what it was: a good tail behind the sealed part of its volume.
   */
  async writeAgain(unvouched: UnvouchedGroup | undefined): Promise<void> {
    if (unvouched === undefined) return
    try {
      await this.makeRoom(0)
      const places = await this.writer.write(unvouched.needles)
      await this.writer.write([])
      this.writtenBytes += must(this.writer.position, "a volume is open").offsetBytes
      this.rows.apply(unvouched.headers.map((header, i) => indexWrite(header, must(places[i], "each has a place"))))
    } catch (error) {
      // Without room it has to be believed as it is.
      if (!isFailure(error, "deviceFull")) throw error
      await this.writer.seal(unvouched.after)
    }
  }

  get refusing(): Failure | undefined {
    return this.refusal
  }

  async append(needle: Needle): Promise<void> {
    const { id, owner, policy, blockLengthBytes, birthNote, body, checksums } = needle
    const shard = { id, owner, policy, blockLengthBytes, birthNote, bodyBytes: body.length, checksums }
    const key = needleKeyOf(id)
    this.coming.add(key)
    try {
      await this.enqueue({ kind: "shard", ...shard }, body)
    } finally {
      this.coming.delete(key)
    }
  }

  async remove(ids: readonly NeedleId[]): Promise<void> {
    const present = ids.filter(id => this.has(id) || this.coming.has(needleKeyOf(id)))
    // Half of the queue at most, so that a large removal does not turn appends away.
    const together = Math.ceil(this.limits.appendsQueuedMax / 2)
    await mapBounded(present, together, id => this.enqueue({ kind: "tombstone", id }, NOTHING))
  }

  read(id: NeedleId, range: NeedleRange, allocate?: Allocate): Promise<Uint8Array> {
    return this.atPlace(id, (file, place, isWanted) => readNeedle(file, place, range, isWanted, allocate))
  }

  ownerOf(id: NeedleId): Promise<NeedleOwner> {
    return this.atPlace(id, readOwner)
  }

  /** Reads where the index says that the needle is. */
  private async atPlace<T>(id: NeedleId, readAt: ReadAt<T>): Promise<T> {
    const key = needleKeyOf(id)
    const warm = this.rows.warm("needles", [key])
    if (warm) await warm
    const place = this.placeOf(key)
    if (place === undefined) throw fail("noSuchNeedle", { ...id })
    const isWanted = (header: NeedleHeader): boolean => header.kind === "shard" && needleKeyOf(header.id) === key
    const readFrom = (from: NeedlePlace) => this.files.use(from.volume, file => readAt(file, from, isWanted))
    try {
      return await readFrom(place)
    } catch (error) {
      // A newer copy may have taken its place meanwhile, and the old volume may be gone.
      const later = this.placeOf(key)
      if (later === undefined || samePlace(later, place)) throw error
      return readFrom(later)
    }
  }

  has(id: NeedleId): boolean {
    return this.placeOf(needleKeyOf(id)) !== undefined
  }

  *idsOfPartition(partition: PartitionId): Iterable<NeedleId> {
    for (const [key] of this.rows.range("needles", needleKeysOfPartition(partition))) yield needleIdOfKey(key)
  }

  usage(): { readonly volumes: number; readonly writtenBytes: number } {
    return { volumes: this.volumes, writtenBytes: this.writtenBytes }
  }

  durable(): VolumePosition | undefined {
    return this.writer.position
  }

  async close(): Promise<void> {
    this.refusal ??= fail("stopping")
    await this.writing
    await this.writer.leave()
    await this.files.close()
  }

  private placeOf(key: RowKey): NeedlePlace | undefined {
    const row = this.rows.get("needles", key)
    return row === undefined ? undefined : decodeNeedlePlace(row.value)
  }

  /** Resolves when the needle is durable and in the index. */
  private async enqueue(decoded: NeedleHeader, body: Uint8Array): Promise<void> {
    if (this.refusal !== undefined) throw this.refusal
    const header = encodeNeedleHeader(decoded)
    const bytes = header.length + body.length
    const { appendsQueuedMax, appendBytesQueuedMax } = this.limits
    const full = this.queue.length >= appendsQueuedMax || this.queuedBytes + bytes > appendBytesQueuedMax
    if (full && this.queue.length > 0)
      throw fail("tooManyInFlight", { queued: this.queue.length, bytes: this.queuedBytes })
    await new Promise<void>((resolve, reject) => {
      const done = (failure?: Failure): void => (failure === undefined ? resolve() : reject(failure))
      this.queue.push({ decoded, header, body, bytes, done })
      this.queuedBytes += bytes
      this.writing ??= this.writeQueue()
    })
  }

  /** Writes group after group until nothing waits. Never rejects: each needle is told its own outcome. */
  private async writeQueue(): Promise<void> {
    // Those that are appended in the same turn share the first write.
    await Promise.resolve()
    while (this.queue.length > 0) {
      const { groupNeedlesMax, groupBytesMax } = this.limits
      const count = groupCount(this.queue, { needlesMax: groupNeedlesMax, bytesMax: groupBytesMax })
      const group = this.queue.splice(0, count)
      this.queuedBytes -= group.reduce((sum, { bytes }) => sum + bytes, 0)
      const failure = await this.writeGroup(group)
      for (const needle of group) needle.done(failure)
    }
    this.writing = undefined
  }

  private async writeGroup(group: readonly Queued[]): Promise<Failure | undefined> {
    // What was waiting when a write failed is not written behind it.
    if (this.refusal !== undefined && !isFailure(this.refusal, "stopping")) return this.refusal
    try {
      const lengthBytes = groupBytes(group.reduce((sum, needle) => sum + needleBytes(needle), 0))
      await this.makeRoom(lengthBytes)
      const places = await this.writer.write(group)
      this.writtenBytes += lengthBytes
      this.rows.apply(group.map(({ decoded }, i) => indexWrite(decoded, must(places[i], "each needle has a place"))))
      return undefined
    } catch (error) {
      const failure = asFailure(error)
      if (!isFailure(failure, "deviceFull")) this.refusal = failure
      return failure
    }
  }

  /** Begins a new volume where there is no open one, or where the group would make it too long. */
  private async makeRoom(groupLengthBytes: number): Promise<void> {
    const end = (this.writer.position?.offsetBytes ?? 0) + groupLengthBytes
    const isFresh = this.writer.position?.groups === 0
    if (this.writer.isOpen && (end <= this.limits.volumeBytesMax || isFresh)) return
    this.lastVolume += 1
    await this.writer.begin(parseVolumeId(this.lastVolume))
    this.volumes += 1
  }
}

const samePlace = (a: NeedlePlace, b: NeedlePlace): boolean => a.volume === b.volume && a.offsetBytes === b.offsetBytes
