/**
 * Scan: all needles of a folder of volumes since a position, in the order in which they were written,
 * by their headers alone. Recovery, checkpoints and the rebuilding of the index are this one walk.
 *
 * What counts as written. A group counts if it continues the volume's chain. Where it does not:
 * - below a position that is known to have been durable, it is damage. Such positions are where a
 *   later volume says that this one was sealed, where the caller knows it to be durable, and where any
 *   later group of the volume begins;
 * - beyond all of them it is a torn tail, the trace of a write that nobody was told of.
 * The last group has no later one to vouch for it: its bodies are read and have to be good.
 * Behind damage the walk goes on at the next group of the volume, so that one bad page costs one group.
 */
import type { DeviceId, VolumeId } from "../base/ids.js"
import type { VolumeHeader, VolumePosition } from "../format/volume.js"
import { decodeVolumeHeader, firstPosition, VOLUME_PAGE_BYTES } from "../format/volume.js"
import type { Disk } from "../seams/disk/contract.js"
import type { VolumeDamage } from "./contract.js"
import { listVolumes, volumePath } from "./files.js"
import type { ScannedGroup, ScannedNeedle, VolumeIdentity } from "./group-reader.js"
import { FileWindow, findGroup, isBodyGood, readGroup } from "./group-reader.js"

export type ScanEvent =
  | { readonly kind: "needle"; readonly needle: ScannedNeedle }
  | { readonly kind: "damage"; readonly damage: VolumeDamage }
  | { readonly kind: "tornTail"; readonly volumeId: VolumeId; readonly fromBytes: number; readonly lengthBytes: number }
  /** Everything up to here has been walked. */
  | { readonly kind: "position"; readonly position: VolumePosition }

export interface ScanRequest {
  readonly folder: string
  readonly deviceId: DeviceId
  /** Where an earlier walk ended; undefined: from the first volume on. */
  readonly from: VolumePosition | undefined
  /** Known to be durable, and where to end; undefined: to the end of what is there. */
  readonly upTo: VolumePosition | undefined
}

interface Listed {
  readonly volumeId: VolumeId
  readonly header: VolumeHeader | undefined
  /** Behind the header; undefined where that is damaged. */
  readonly first: VolumePosition | undefined
}

export async function* scanVolumes(disk: Disk, request: ScanRequest): AsyncGenerator<ScanEvent> {
  const { folder, from, upTo } = request
  const ids = (await listVolumes(disk, folder)).filter(id => id >= (from?.volumeId ?? 0))
  const volumes: Listed[] = []
  for (const volumeId of ids) volumes.push(await readVolumeHeader(disk, request, volumeId))
  for (const [i, volume] of volumes.entries()) {
    if (upTo !== undefined && volume.volumeId > upTo.volumeId) return
    const sealed = volumes.slice(i + 1).find(later => later.header?.sealed?.volumeId === volume.volumeId)
      ?.header?.sealed
    const durable = upTo?.volumeId === volume.volumeId ? upTo : sealed
    const start = from?.volumeId === volume.volumeId ? from : volume.first
    const file = await disk.open(volumePath(folder, volume.volumeId), "read")
    try {
      const window = new FileWindow(file, await file.sizeBytes())
      yield* new VolumeScan(window, { deviceId: request.deviceId, volumeId: volume.volumeId }, durable).run(start)
    } finally {
      await file.close()
    }
  }
}

async function readVolumeHeader(disk: Disk, request: ScanRequest, volumeId: VolumeId): Promise<Listed> {
  const file = await disk.open(volumePath(request.folder, volumeId), "read")
  try {
    const page = new Uint8Array(VOLUME_PAGE_BYTES)
    const count = await file.read(page, 0)
    const header = decodeVolumeHeader(page.subarray(0, count))
    const ours = header?.deviceId === request.deviceId && header.volumeId === volumeId
    return { volumeId, header: ours ? header : undefined, first: ours ? firstPosition(volumeId, page) : undefined }
  } finally {
    await file.close()
  }
}

/** The walk through one volume. */
class VolumeScan {
  /** Behind the last group that was accepted. */
  private at = VOLUME_PAGE_BYTES
  private groups = 0
  /** What the next group has to continue; undefined behind damage, where any later group is taken. */
  private chain: VolumePosition | undefined

  /** `durable`: where the volume is known to end. */
  constructor(
    private readonly window: FileWindow,
    private readonly identity: VolumeIdentity,
    private readonly durable: VolumePosition | undefined,
  ) {}

  async *run(start: VolumePosition | undefined): AsyncGenerator<ScanEvent> {
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
      if (start.offsetBytes > this.window.sizeBytes && this.durable === undefined) {
        yield this.damage(this.window.sizeBytes, start.offsetBytes, "the volume is cut short")
      }
    }
    const end = Math.min(this.durable?.offsetBytes ?? Infinity, this.window.sizeBytes)
    while (this.at < end) {
      const group = await this.readNext()
      if (group?.damage === undefined && group !== undefined && (await this.isVouchedFor(group))) {
        yield* this.accept(group)
        continue
      }
      const next = await this.next(group?.after.offsetBytes ?? this.at + VOLUME_PAGE_BYTES)
      if (next === undefined && this.durable === undefined) {
        yield* this.sealTornTail()
        return
      }
      yield* this.passDamage(group, Math.min(next ?? end, end))
    }
    if (this.durable !== undefined && end < this.durable.offsetBytes) {
      yield this.damage(end, this.durable.offsetBytes, "the volume is cut short")
    }
    yield this.position(this.durable ?? this.chain)
  }

  /** The group here, if it continues what came before. */
  private async readNext(): Promise<ScannedGroup | undefined> {
    const group = await readGroup(this.window, this.identity, this.at)
    if (group === undefined || this.chain === undefined) return group
    const { sequence, previousChecksum } = group.header
    return sequence === this.chain.groups + 1 && previousChecksum === this.chain.checksum ? group : undefined
  }

  private next(fromBytes: number): Promise<number | undefined> {
    return findGroup(this.window, this.identity, fromBytes, this.groups)
  }

  private async isVouchedFor(group: ScannedGroup): Promise<boolean> {
    if (this.durable !== undefined) return true
    if ((await findGroup(this.window, this.identity, group.after.offsetBytes, group.header.sequence)) !== undefined) {
      return true
    }
    for (const needle of group.needles) if (!(await isBodyGood(this.window, needle))) return false
    return true
  }

  private *accept(group: ScannedGroup): Generator<ScanEvent> {
    for (const needle of group.needles) yield { kind: "needle", needle }
    this.at = group.after.offsetBytes
    this.groups = group.header.sequence
    this.chain = group.after
    yield this.position(group.after)
  }

  /** What can still be had of a damaged group, then the gap. */
  private *passDamage(group: ScannedGroup | undefined, next: number): Generator<ScanEvent> {
    for (const needle of group?.needles ?? []) yield { kind: "needle", needle }
    const fromBytes = group?.damage?.offsetBytes ?? this.at
    yield this.damage(fromBytes, next, group?.damage?.reason ?? "no group continues here")
    if (group !== undefined) this.groups = group.header.sequence
    this.at = next
    this.chain = undefined
  }

  private *sealTornTail(): Generator<ScanEvent> {
    const { volumeId } = this.identity
    yield { kind: "tornTail", volumeId, fromBytes: this.at, lengthBytes: this.window.sizeBytes - this.at }
    yield this.position(this.chain)
  }

  private damage(fromBytes: number, toBytes: number, reason: string): ScanEvent {
    return { kind: "damage", damage: { volumeId: this.identity.volumeId, fromBytes, toBytes, reason } }
  }

  /** Behind damage the chain is unknown; nothing is ever written there, so a position without one will do. */
  private position(known: VolumePosition | undefined): ScanEvent {
    const { volumeId } = this.identity
    const position = known ?? { volumeId, offsetBytes: this.at, groups: this.groups, checksum: 0n }
    return { kind: "position", position }
  }
}
