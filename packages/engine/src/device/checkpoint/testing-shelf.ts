/** Payload volumes in memory, for tests of checkpoints. */
import { fail } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { VolumePlace } from "../../format/tables/stored-row.js"
import type { VolumePosition } from "../../format/needles/volume.js"
import { parseVolumeId } from "@hayloft/base/ids.js"
import type { VolumeFindings, PayloadMatch, PayloadShelf, PayloadVolumeSize } from "../contract.js"

interface Kept {
  readonly family: Family
  readonly key: RowKey
  readonly payload: Uint8Array
  readonly offsetBytes: number
}

export class MemoryShelf implements PayloadShelf {
  readonly volumes = new Map<number, Kept[]>()
  /** Payloads that cannot be read, by volume and offset. */
  readonly damaged = new Set<string>()
  private open: number | undefined
  private last = 0
  private keptBelow = 1
  /** How often a flush is to fail for lack of space. */
  fullFlushes = 0

  constructor(private readonly volumeBytesMax: number) {}

  append({ family, key, payload }: { readonly family: Family; readonly key: RowKey; readonly payload: Uint8Array }) {
    if (this.open === undefined || this.writtenBytes(this.open) >= this.volumeBytesMax) {
      this.last += 1
      this.open = this.last
      this.volumes.set(this.last, [])
    }
    const volume = this.open
    const offsetBytes = this.writtenBytes(volume)
    this.volumes.get(volume)?.push({ family, key, payload: Uint8Array.from(payload), offsetBytes })
    return { in: "volume", volume, offsetBytes, lengthBytes: payload.length } as const
  }

  async flush(): Promise<void> {
    if (this.fullFlushes === 0) return
    this.fullFlushes -= 1
    await this.seal()
    throw fail("deviceFull")
  }

  keep(): void {
    this.keptBelow = this.last + 1
  }

  async rollBack(): Promise<void> {
    await this.seal()
    for (const volume of [...this.volumes.keys()]) if (volume >= this.keptBelow) this.volumes.delete(volume)
  }

  list(): readonly PayloadVolumeSize[] {
    return [...this.volumes.keys()].map(volume => ({
      volume,
      writtenBytes: this.writtenBytes(volume),
      isOpen: volume === this.open,
    }))
  }

  bytesOf(key: RowKey, lengthBytes: number): number {
    return key.length + lengthBytes
  }

  async *walk(volume: number, from: VolumePosition | undefined): AsyncGenerator<VolumeFindings> {
    const volumeId = parseVolumeId(volume)
    for (const { family, key, payload, offsetBytes } of this.kept(volume)) {
      if (offsetBytes < (from?.offsetBytes ?? 0)) continue
      const place = { volume, offsetBytes, lengthBytes: payload.length }
      yield { kind: "payloads", payloads: [{ family, key, place }] }
      const after = offsetBytes + this.bytesOf(key, payload.length)
      yield { kind: "position", position: { volumeId, offsetBytes: after, groups: 0, checksum: 0n } }
    }
  }

  async readRun(payloads: readonly PayloadMatch[]): Promise<readonly (Uint8Array | undefined)[]> {
    const found: (Uint8Array | undefined)[] = []
    for (const { family, key, place } of payloads) {
      found.push(await this.read(family, key, place).catch(() => undefined))
    }
    return found
  }

  async read(family: Family, key: RowKey, { volume, offsetBytes }: VolumePlace): Promise<Uint8Array> {
    const found = this.kept(volume).find(each => each.offsetBytes === offsetBytes)
    const isDamaged = this.damaged.has(`${volume}/${offsetBytes}`)
    if (found?.family !== family || found.key !== key || isDamaged) throw fail("corruptNeedle", { volume, offsetBytes })
    return found.payload
  }

  async seal(): Promise<void> {
    this.open = undefined
  }

  async remove(volume: number): Promise<void> {
    this.volumes.delete(volume)
  }

  private kept(volume: number): readonly Kept[] {
    const kept = this.volumes.get(volume)
    if (kept === undefined) throw fail("deviceFailed", { code: "ENOENT", volume })
    return kept
  }

  private writtenBytes(volume: number): number {
    return this.kept(volume).reduce((sum, { key, payload }) => sum + this.bytesOf(key, payload.length), 0)
  }
}
