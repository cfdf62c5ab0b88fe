/**
 * Scan: all needles of a folder of volumes since a position, in the order in which they were written, by their headers
 * alone. Recovery, checkpoints and the rebuilding of the index are this one walk.
 *
 * Rules for what counts as written: a group counts if it continues the volume's chain. If it does not:
 * - below a position that is known to have been durable, it is damage. Such positions are the one at which a later
 *   volume records that this one was sealed, the one that the caller passes, and the beginning of any later group of
 *   the volume;
 * - beyond all of them it is a torn tail, the trace of a write that was never acknowledged.
 * A last group that no such position confirms must have good bodies; it is reported as unvouched, because it may be in
 * the page cache only: after a failed sync the kernel marks pages clean that never reached the disk. After damage the
 * walk continues at the next group of the volume, so that one bad page costs one group.
 */
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import type { DeviceId, VolumeId } from "@hayloft/base/ids.js"
import type { VolumeHeader, VolumePosition } from "../format/needles/volume.js"
import { decodeVolumeHeader, firstPosition, VOLUME_PAGE_BYTES } from "../format/needles/volume.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"
import type { VolumeDamage } from "./contract.js"
import type { ReadableFile } from "./files.js"
import { isAbsent, isUnreadable, listVolumes, volumePath } from "./files.js"
import type { PassNeedle, ScannedGroup, ScannedNeedle, VolumeIdentity, FileWindowMemory } from "./group-reader.js"
import { FileWindow, findGroup, isBodyGood, readGroup } from "./group-reader.js"

type Happening =
  | { readonly kind: "damage"; readonly damage: VolumeDamage }
  | TornTail
  /** The following needles belong to a group that only its own checksums confirm. */
  | { readonly kind: "unvouched"; readonly group: ScannedGroup; readonly before: VolumePosition }
  /** Everything up to here has been walked. */
  | { readonly kind: "position"; readonly position: VolumePosition }

interface TornTail {
  readonly kind: "tornTail"
  readonly volumeId: VolumeId
  readonly fromBytes: number
  readonly lengthBytes: number
  /**
   * Needles of its first group, as far as they can be read: a tail that was durable once and has rotted looks the same.
   */
  readonly needles: readonly ScannedNeedle[]
}

type ScanEvent = { readonly kind: "needle"; readonly needle: ScannedNeedle } | Happening
export type ScanEvents = AsyncGenerator<ScanEvent, void>

/** The same with the needles of a group together: to yield small ones one by one costs more than to read them. */
type GroupEvent = { readonly kind: "needles"; readonly needles: readonly ScannedNeedle[] } | Happening
type GroupEvents = AsyncGenerator<GroupEvent, void>

async function* oneByOne(events: GroupEvents): ScanEvents {
  for await (const event of events) {
    if (event.kind !== "needles") yield event
    else for (const needle of event.needles) yield { kind: "needle", needle }
  }
}

interface ScanRequest {
  readonly folder: string
  readonly deviceId: DeviceId
  /** The place where an earlier walk ended; undefined: from the first volume on. */
  readonly from: VolumePosition | undefined
  /** Known to be durable, and where to end; undefined: to the end of the volumes. */
  readonly upTo: VolumePosition | undefined
}

interface Listed {
  readonly volumeId: VolumeId
  readonly header: VolumeHeader | undefined
  /** Behind the header; undefined if the header is damaged. */
  readonly first: VolumePosition | undefined
}

/**
 * A listed volume that is gone when it is opened was removed by compaction. The walk skips it: a caller with a mark to
 * begin from has everything that it contained.
 */
export async function* scanVolumes(disk: Disk, request: ScanRequest): ScanEvents {
  const { folder, deviceId, from, upTo } = request
  const ids = (await listVolumes(disk, folder)).filter(id => id >= (from?.volumeId ?? 0))
  const headers = new Map<VolumeId, Listed>()
  for (const volumeId of ids) {
    const listed = await withVolume(disk, folder, volumeId, file => readVolumeHeader(file, deviceId, volumeId))
    if (listed !== undefined) headers.set(volumeId, listed)
  }
  const volumes = [...headers.values()]
  for (const [i, volume] of volumes.entries()) {
    const { volumeId } = volume
    if (upTo !== undefined && volumeId > upTo.volumeId) return
    const sealed = volumes.slice(i + 1).find(later => later.header?.sealed?.volumeId === volumeId)?.header?.sealed
    const end = upTo?.volumeId === volumeId ? upTo : undefined
    const start = from?.volumeId === volumeId ? from : volume.first
    const file = await openPresent(disk, volumePath(folder, volumeId))
    if (file === undefined) continue
    try {
      const window = new FileWindow(file, await file.sizeBytes())
      yield* oneByOne(new VolumeScan(window, { deviceId, volumeId }, end ?? sealed, end?.offsetBytes).run(start))
    } finally {
      await file.close()
    }
  }
}

/** The volumes of a device, to be read one at a time. */
export interface VolumeShelf {
  readonly deviceId: DeviceId
  /** Ascending. */
  readonly volumeIds: readonly VolumeId[]
  readonly fileOf: (volumeId: VolumeId) => ReadableFile
  /** Reads encrypted names; absent: needles come without. */
  readonly cipher?: DeviceCipher | undefined
}

export interface WalkRequest {
  readonly volumeId: VolumeId
  /** The place where an earlier walk through it stopped; undefined: from its beginning. */
  readonly from: VolumePosition | undefined
  /** Known to be durable, and where to end; undefined: to where it was sealed, or to the end of the file. */
  readonly upTo: VolumePosition | undefined
  /** See `readGroup`. */
  readonly pass?: PassNeedle | undefined
  /** Buffer of the walk; no other walk uses it meanwhile. */
  readonly memory?: FileWindowMemory | undefined
  /** Bodies of up to this size are read along: to skip them would cost more in extra reads. */
  readonly smallBodyBytes?: number
}

/**
 * The same walk through one volume, which keeps nothing open between its steps. It also reads the header of the
 * following volume, which records where this one was sealed. Throws `deviceFailed`, also if the volume is gone.
 */
export const walkVolume = (shelf: VolumeShelf, request: WalkRequest): ScanEvents => oneByOne(walkGroups(shelf, request))

export async function* walkGroups(shelf: VolumeShelf, request: WalkRequest): GroupEvents {
  const { volumeId, from, upTo, pass, memory, smallBodyBytes } = request
  const { deviceId, cipher } = shelf
  const file = shelf.fileOf(volumeId)
  const { first } = await readHeaderInUse(file, deviceId, volumeId)
  const durable = upTo ?? (await sealOf(shelf, volumeId))
  const window = new FileWindow(file, await file.sizeBytes(), memory, smallBodyBytes)
  yield* new VolumeScan(window, { deviceId, volumeId, cipher }, durable, upTo?.offsetBytes, pass).run(from ?? first)
}

/**
 * Returns where a volume was sealed, as recorded by the next one whose header is intact. Removal of a volume first closes the
 * one before it.
 */
async function sealOf({ deviceId, volumeIds, fileOf }: VolumeShelf, of: VolumeId): Promise<VolumePosition | undefined> {
  for (const volumeId of volumeIds) {
    if (volumeId <= of) continue
    const header = await headerIfPresent(fileOf(volumeId), deviceId, volumeId)
    if (header !== undefined) return header.sealed?.volumeId === of ? header.sealed : undefined
  }
  return undefined
}

/** Returns undefined if the header is damaged or the volume has just been removed. */
async function headerIfPresent(
  file: ReadableFile,
  deviceId: DeviceId,
  volumeId: VolumeId,
): Promise<VolumeHeader | undefined> {
  try {
    return (await readHeaderInUse(file, deviceId, volumeId)).header
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

async function openPresent(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.open(path, "read")
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

async function withVolume<T>(
  disk: Disk,
  folder: string,
  volumeId: VolumeId,
  use: (file: DiskFile) => Promise<T>,
): Promise<T | undefined> {
  const file = await openPresent(disk, volumePath(folder, volumeId))
  if (file === undefined) return undefined
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}

async function readVolumeHeader(file: ReadableFile, deviceId: DeviceId, volumeId: VolumeId): Promise<Listed> {
  const page = new Uint8Array(VOLUME_PAGE_BYTES)
  const count = await file.read(page, 0)
  const header = decodeVolumeHeader(page.subarray(0, count))
  const ours = header?.deviceId === deviceId && header.volumeId === volumeId
  return { volumeId, header: ours ? header : undefined, first: ours ? firstPosition(volumeId, page) : undefined }
}

/** Reads a header like `readVolumeHeader`, for volumes in use: one that the disk cannot read counts as damaged. */
export async function readHeaderInUse(file: ReadableFile, deviceId: DeviceId, volumeId: VolumeId): Promise<Listed> {
  try {
    return await readVolumeHeader(file, deviceId, volumeId)
  } catch (error) {
    if (!isUnreadable(error)) throw error
    return { volumeId, header: undefined, first: undefined }
  }
}

/** The walk through one volume. */
export class VolumeScan {
  /** Behind the last group that was accepted. */
  private at = VOLUME_PAGE_BYTES
  private groups = 0
  /** The position that the next group has to continue; undefined behind damage, where any later group is accepted. */
  private chain: VolumePosition | undefined

  /** `durable`: up to where the volume is known to have been durable. `endBytes`: where to stop. */
  constructor(
    private readonly window: FileWindow,
    private readonly identity: VolumeIdentity,
    private readonly durable: VolumePosition | undefined,
    private readonly endBytes = Infinity,
    private readonly pass?: PassNeedle,
  ) {}

  async *run(start: VolumePosition | undefined): GroupEvents {
    if (start === undefined) {
      const next = await this.next(VOLUME_PAGE_BYTES)
      // A volume whose creation was cut short: nothing was ever written to it.
      if (next === undefined && this.durable === undefined) return
      yield this.damage(0, next ?? VOLUME_PAGE_BYTES, "the volume's header is damaged")
      this.at = next ?? VOLUME_PAGE_BYTES
    } else {
      this.at = start.offsetBytes
      this.groups = start.groups
      this.chain = start
    }
    const end = Math.min(this.endBytes, this.window.sizeBytes)
    while (this.at < end) {
      const torn = yield* this.step(end)
      if (torn) break
    }
    const durableBytes = Math.max(start?.offsetBytes ?? 0, this.durable?.offsetBytes ?? 0)
    if (this.window.sizeBytes < durableBytes) {
      yield this.damage(this.window.sizeBytes, durableBytes, "the volume is cut short")
    }
    yield this.position()
  }

  /** One group, or one gap; true where a torn tail begins. */
  private async *step(end: number): AsyncGenerator<GroupEvent, boolean> {
    const isDurable = this.at < (this.durable?.offsetBytes ?? 0)
    const group = await this.readNext()
    const isIntact = group !== undefined && group.damage === undefined
    // No search ahead for an intact durable group, so that a walk that also reads bodies reads the file straight on.
    if (isDurable && isIntact) {
      yield* this.accept(group)
      return false
    }
    const next = await this.next(group?.after.offsetBytes ?? this.at + VOLUME_PAGE_BYTES, group?.header.sequence)
    const isVouchedFor = isDurable || next !== undefined
    if (isIntact && (isVouchedFor || (await this.hasGoodBodies(group)))) {
      if (!isVouchedFor) yield { kind: "unvouched", group, before: this.here() }
      yield* this.accept(group)
      return false
    }
    if (!isVouchedFor) {
      const lengthBytes = this.window.sizeBytes - this.at
      const { volumeId } = this.identity
      yield { kind: "tornTail", volumeId, fromBytes: this.at, lengthBytes, needles: group?.needles ?? [] }
      return true
    }
    yield* this.passDamage(group, Math.min(next ?? this.durable?.offsetBytes ?? end, end))
    return false
  }

  /** The group here, if it continues the one before. */
  private async readNext(): Promise<ScannedGroup | undefined> {
    const group = await readGroup(this.window, this.identity, this.at, this.pass)
    if (group === undefined || this.chain === undefined) return group
    const { sequence, previousChecksum } = group.header
    return sequence === this.chain.groups + 1 && previousChecksum === this.chain.checksum ? group : undefined
  }

  private next(fromBytes: number, afterSequence = this.groups): Promise<number | undefined> {
    return findGroup(this.window, this.identity, fromBytes, afterSequence)
  }

  private async hasGoodBodies(group: ScannedGroup): Promise<boolean> {
    for (const needle of group.needles) if (!(await isBodyGood(this.window, needle))) return false
    return true
  }

  private *accept(group: ScannedGroup): Generator<GroupEvent> {
    yield { kind: "needles", needles: group.needles }
    this.at = group.after.offsetBytes
    this.groups = group.header.sequence
    this.chain = group.after
    yield this.position()
  }

  /** The readable part of a damaged group, then the gap. */
  private *passDamage(group: ScannedGroup | undefined, next: number): Generator<GroupEvent> {
    if (group) yield { kind: "needles", needles: group.needles }
    const fromBytes = group?.damage?.offsetBytes ?? this.at
    yield this.damage(fromBytes, next, group?.damage?.reason ?? "no group continues here")
    if (group !== undefined) this.groups = group.header.sequence
    this.at = next
    this.chain = next === this.durable?.offsetBytes ? this.durable : undefined
  }

  private damage(fromBytes: number, toBytes: number, reason: string): Happening {
    return { kind: "damage", damage: { volumeId: this.identity.volumeId, fromBytes, toBytes, reason } }
  }

  private position(): Happening {
    return { kind: "position", position: this.here() }
  }

  /** Behind damage the chain is unknown; nothing is ever written there, so a position without one is enough. */
  private here(): VolumePosition {
    const { volumeId } = this.identity
    return this.chain ?? { volumeId, offsetBytes: this.at, groups: this.groups, checksum: 0n }
  }
}
