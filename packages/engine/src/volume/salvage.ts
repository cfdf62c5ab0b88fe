/**
 * Salvage: the recoverable needles of a folder of volumes whose index, marks and record are lost.
 *
 * Needles are found by their headers, in the order in which they were written, across every stretch that cannot be
 * decoded; bodies are read and verified on request. Writes nothing.
 */
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { asFailure, isFailure } from "@hayloft/base/failures.js"
import type { NeedleHeader, NeedlePlace } from "../format/needles/needle.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Allocate, NeedleRange, VolumeDamage } from "./contract.js"
import { isAbsent, listVolumes, VolumeFiles, volumePath } from "./files.js"
import { inspectVolume, type VolumeItem } from "./inspect.js"
import { readHeader, readNeedle } from "./needle-read.js"

const OPEN_VOLUMES_MAX = 16

type SalvagedItem =
  | { readonly kind: "needle"; readonly header: NeedleHeader; readonly place: NeedlePlace }
  | { readonly kind: "damage"; readonly damage: VolumeDamage }

/** The needles in a folder, none if it is missing; tombstones follow the needles that they remove. */
export async function* salvageNeedles(
  disk: Disk,
  folder: string,
  cipher?: DeviceCipher,
): AsyncGenerator<SalvagedItem, void> {
  const volumes = await listVolumes(disk, folder).catch((error: unknown) => {
    if (isAbsent(error)) return []
    throw error
  })
  for (const volumeId of volumes) {
    const damage = (fromBytes: number, toBytes: number, reason: string): SalvagedItem => {
      return { kind: "damage", damage: { volumeId, fromBytes, toBytes, reason } }
    }
    let readBytes = 0
    try {
      for await (const item of inspectVolume(disk, volumePath(folder, volumeId), { bodies: "unread", cipher })) {
        if (item.kind === "needle") {
          const { header, place } = item.needle
          readBytes = place.offsetBytes + place.headerBytes
          yield { kind: "needle", header, place: { ...place, volume: volumeId } }
        } else {
          const found = damageIn(item)
          if (found) yield damage(...found)
        }
      }
    } catch (error) {
      if (!isFailure(error)) throw error
      yield damage(readBytes, Infinity, asFailure(error).message)
    }
  }
}

function damageIn(
  item: Exclude<VolumeItem, { kind: "needle" }>,
): [from: number, to: number, reason: string] | undefined {
  switch (item.kind) {
    case "volume":
      return item.header === undefined ? [0, item.lengthBytes, "the volume's header is damaged"] : undefined
    case "group": {
      const { damage, header } = item
      return damage && [damage.offsetBytes, header.offsetBytes + header.lengthBytes, damage.reason]
    }
    case "unreadable":
      if (item.atEnd && item.empty) return undefined
      return [item.fromBytes, item.toBytes, item.atEnd ? "a torn write, or damage" : "no group begins here"]
  }
}

/** Reads needles of one folder at places that `salvageNeedles` returned. */
export class SalvageReader {
  private readonly files: VolumeFiles

  constructor(
    disk: Disk,
    folder: string,
    private readonly cipher?: DeviceCipher,
  ) {
    this.files = new VolumeFiles(disk, folder, OPEN_VOLUMES_MAX)
  }

  /** Verified bytes. Throws `corruptNeedle`, `deviceFailed`. */
  read(
    place: NeedlePlace,
    range: NeedleRange,
    isWanted: (header: NeedleHeader) => boolean,
    allocate?: Allocate,
  ): Promise<Uint8Array> {
    return this.files.use(place.volume, file => readNeedle(file, { place, range, isWanted, allocate }))
  }

  /** The header of a shard. Throws `corruptNeedle`, `deviceFailed`. */
  headerOf(place: NeedlePlace, isWanted: (header: NeedleHeader) => boolean) {
    return this.files.use(place.volume, file => readHeader(file, place, { isWanted, names: this.cipher }))
  }

  close(): Promise<void> {
    return this.files.close()
  }
}
