/**
 * Fsck of a device's volumes: verifies every needle in them, live or dead, and compares the index with them. For stores
 * that are stopped; needs no index, verifies every checksum, and changes nothing.
 *
 * Limits    `compareIndex` keeps the index derived from the volumes in memory: some 300 bytes a needle.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import type { DeviceId, RowKey, VolumeId } from "@hayloft/base/ids.js"
import type { NeedleHeader, NeedlePlace } from "../format/needles/needle.js"
import { decodeNeedlePlace } from "../format/needles/needle.js"
import type { VolumePosition } from "../format/needles/volume.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { VolumeDamage } from "./contract.js"
import { isUnreadable, listVolumes, VolumeFiles } from "./files.js"
import type { ScannedNeedle } from "./group-reader.js"
import { FileWindow } from "./group-reader.js"
import { indexWrite } from "./index-writes.js"
import { VOLUME_LIMITS } from "./limits.js"
import { isBodyWhole } from "./needle-check.js"
import { isSameNeedlePlace } from "./needle-read-core.js"
import { walkVolume } from "./scan.js"

export type FsckFinding =
  | { readonly kind: "damage"; readonly damage: VolumeDamage }
  /** The body does not match its header. */
  | { readonly kind: "needle"; readonly header: NeedleHeader; readonly place: NeedlePlace }
  /** The trace of a write that was cut off and never acknowledged. No damage. */
  | { readonly kind: "tornTail"; readonly volumeId: VolumeId; readonly fromBytes: number; readonly lengthBytes: number }
  /** The disk cannot read a part of the volume; the part behind it was not checked. */
  | { readonly kind: "unreadable"; readonly volumeId: VolumeId; readonly reason: string }
  /** A file with nothing of this device: a volume whose creation was cut off, or another device's. */
  | { readonly kind: "nothing"; readonly volumeId: VolumeId }

export interface FsckProgress {
  readonly volumes: number
  readonly volumesDone: number
  readonly bytes: number
  readonly bytesDone: number
}

export interface FsckTotals {
  readonly volumes: number
  readonly bytes: number
  /** Shards, copies and payloads, dead ones included. */
  readonly needles: number
  readonly tombstones: number
  readonly badNeedles: number
  /** Bytes of bodies. */
  readonly verifiedBytes: number
}

interface FolderOfVolumes {
  readonly folder: string
  readonly deviceId: DeviceId
  /** Without it the bodies of encrypted payloads cannot be checked. */
  readonly cipher?: DeviceCipher | undefined
}

/**
 * Verifies all volumes of a folder (needles or payloads), and reports findings in the order of the bytes. Ends early,
 * with its findings so far, when the signal fires. Throws `deviceFailed`.
 */
export async function fsckVolumes(
  disk: Disk,
  directory: FolderOfVolumes,
  signal: AbortSignal,
  onFinding: (finding: FsckFinding) => void,
  onProgress: (progress: FsckProgress) => void = () => undefined,
): Promise<FsckTotals> {
  const totals = { volumes: 0, bytes: 0, needles: 0, tombstones: 0, badNeedles: 0, verifiedBytes: 0 }
  for await (const event of walkAll(disk, directory, signal, onProgress)) {
    if (event.kind === "volume") {
      totals.volumes += 1
      totals.bytes += event.sizeBytes
    } else if (event.kind === "needle") {
      const { needle, window } = event
      if (needle.header.kind === "tombstone") totals.tombstones += 1
      else totals.needles += 1
      totals.verifiedBytes += needle.place.bodyBytes
      if (await isBodyWhole(window, needle)) continue
      totals.badNeedles += 1
      onFinding({ kind: "needle", ...needle })
    } else onFinding(event)
  }
  return totals
}

/** A row of the index that differs from the volumes. */
export interface IndexDifference {
  readonly key: RowKey
  /** The row is undefined if the index does not contain the needle. */
  readonly found: Uint8Array | undefined
  /** The correct row; undefined: there is no such needle. */
  readonly expected: Uint8Array | undefined
}

/**
 * Compares an index (its rows in any order) with the volumes. Writing the differences corrects it. Needles that were
 * written or removed behind `contained`, which the next start brings to the index, are left out. Throws `deviceFailed`,
 * and the errors of the index.
 */
export async function* compareIndex(
  disk: Disk,
  directory: FolderOfVolumes,
  index: Iterable<readonly [RowKey, Uint8Array]> | AsyncIterable<readonly [RowKey, Uint8Array]>,
  signal: AbortSignal,
  onProgress: (progress: FsckProgress) => void = () => undefined,
  contained?: VolumePosition,
): AsyncGenerator<IndexDifference, void> {
  const expected = new Map<RowKey, Uint8Array>()
  const later = new Set<RowKey>()
  for await (const event of walkAll(disk, directory, signal, onProgress)) {
    if (event.kind !== "needle" || event.needle.header.kind === "payload") continue
    const { key, value } = indexWrite(event.needle.header, event.needle.place)
    if (contained !== undefined && isBehind(event.needle.place, contained)) later.add(key)
    if (value === undefined) expected.delete(key)
    else expected.set(key, value)
  }
  for (const key of later) expected.delete(key)
  for await (const [key, found] of index) {
    if (signal.aborted) return
    if (later.has(key)) continue
    const value = expected.get(key)
    expected.delete(key)
    const isRight = value !== undefined && isSameNeedlePlace(placeIn(found), decodeNeedlePlace(value))
    if (!isRight) yield { key, found, expected: value }
  }
  for (const [key, value] of expected) yield { key, found: undefined, expected: value }
}

const isBehind = ({ volume, offsetBytes }: NeedlePlace, position: VolumePosition): boolean =>
  volume > position.volumeId || (volume === position.volumeId && offsetBytes >= position.offsetBytes)

function placeIn(value: Uint8Array): NeedlePlace | undefined {
  try {
    return decodeNeedlePlace(value)
  } catch (error) {
    if (isFailure(error, "corruptRow")) return undefined
    throw error
  }
}

type Walked =
  | { readonly kind: "volume"; readonly sizeBytes: number }
  | { readonly kind: "needle"; readonly needle: ScannedNeedle; readonly window: FileWindow }
  | Exclude<FsckFinding, { readonly kind: "needle" }>

async function* walkAll(
  disk: Disk,
  { folder, deviceId, cipher }: FolderOfVolumes,
  signal: AbortSignal,
  onProgress: (progress: FsckProgress) => void,
): AsyncGenerator<Walked, void> {
  const files = new VolumeFiles(disk, folder, VOLUME_LIMITS.filesOpenMax)
  try {
    const volumeIds = await listVolumes(disk, folder)
    const sizes = new Map<VolumeId, number>()
    for (const volumeId of volumeIds) sizes.set(volumeId, await files.readable(volumeId).sizeBytes())
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0)
    let [volumesDone, bytesBefore] = [0, 0]
    const tell = (at: number): void =>
      onProgress({ volumes: sizes.size, volumesDone, bytes, bytesDone: bytesBefore + at })
    const shelf = { deviceId, volumeIds, cipher, fileOf: (volumeId: VolumeId) => files.readable(volumeId) }
    for (const [volumeId, sizeBytes] of sizes) {
      yield { kind: "volume", sizeBytes }
      let isAnything = false
      try {
        const window = new FileWindow(files.readable(volumeId), sizeBytes)
        for await (const event of walkVolume(shelf, { volumeId, from: undefined, upTo: undefined })) {
          if (signal.aborted) return
          isAnything = true
          if (event.kind === "position") tell(event.position.offsetBytes)
          else if (event.kind === "needle") yield { ...event, window }
          else if (event.kind !== "unvouched") yield event
        }
        if (!isAnything) yield { kind: "nothing", volumeId }
      } catch (error) {
        if (!isUnreadable(error)) throw error
        yield { kind: "unreadable", volumeId, reason: String(error) }
      }
      volumesDone += 1
      bytesBefore += sizeBytes
      tell(0)
    }
  } finally {
    await files.close()
  }
}
