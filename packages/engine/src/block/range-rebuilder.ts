/**
 * Range rebuilder: the data shards of a range of a block. It reads k shards into compute memory, where one compute call
 * verifies and decodes them.
 *
 * Promises  The bytes that it returns are verified. Its memory is freed when no read writes into it any more.
 * Refuses   Copies, shards to which no layout leads, and damage (which it notes). Then it returns undefined, and the
 *           reader takes the slow path.
 */
import { copyPlainly } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { shardCount } from "@hayloft/base/policy.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { CHECKSUM_BYTES } from "@hayloft/base/simd/sub-block.js"
import type { Extent } from "../format/needles/extent.js"
import { needleSeed } from "../format/needles/needle.js"
import { partitionOf } from "../format/needles/partition.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute, ShardMemory } from "@hayloft/base/seams/compute/contract.js"
import type { Allocate, NeedleId } from "../volume/contract.js"
import type { BlockBackend } from "./backend.js"
import type { Devices, ShardCopy } from "./contract.js"
import { firstAnswers } from "./first-answers.js"
import { holdersOf, isLoss } from "./holders.js"
import type { Layouts } from "./layouts.js"
import { shapeOf, type BlockShape } from "./read-plan-core.js"
import type { ReadTimes } from "./read-times.js"

export interface RangeRebuild {
  readonly extent: Extent
  readonly shape: BlockShape
  readonly block: number
  /** The range within each shard: whole sub-blocks. */
  readonly offsetBytes: number
  readonly lengthBytes: number
  /** Wanted data slots: from `fromSlot` up to, but not including, `toSlot`. */
  readonly fromSlot: number
  readonly toSlot: number
  /** The slot whose shard is lost or slow. */
  readonly avoidSlot: number | undefined
  /** Allocates the returned bytes. */
  readonly allocate: Allocate
}

interface ShardMatch {
  readonly deviceId: DeviceId
  readonly id: NeedleId
  readonly bytes: Uint8Array
  readonly checksums: Uint8Array
}

export class RangeRebuilder {
  private readonly clock: Clock
  private readonly devices: Devices
  private readonly layouts: Layouts
  private readonly compute: Compute
  private readonly onDamage: (copy: ShardCopy) => void

  constructor(
    { clock, devices, layouts, compute, onDamage }: BlockBackend,
    private readonly times: ReadTimes,
  ) {
    this.clock = clock
    this.devices = devices
    this.layouts = layouts
    this.compute = compute
    this.onDamage = onDamage
  }

  /** By slot, each in its own memory; undefined if the fast path does not apply. */
  async rebuild(request: RangeRebuild): Promise<Map<number, Uint8Array> | undefined> {
    const { shape, offsetBytes, lengthBytes, fromSlot, toSlot, avoidSlot, allocate } = request
    const code = shapeOf(shape.policy)
    if (code.kind === "copies") return undefined
    const lent = new LentShards(this.compute.shards)
    try {
      const slots = Array.from({ length: shardCount(shape.policy) }, (_, slot) => slot)
      const found = await firstAnswers(this.clock, {
        candidates: slots.filter(slot => slot !== avoidSlot),
        needed: code.k,
        slowMs: this.times.slowMs,
        ask: slot => this.fetch(request, slot, lent),
      })
      if (found.size < code.k) return undefined
      const isWanted = (slot: number): boolean => slot >= fromSlot && slot < Math.min(toSlot, code.k)
      const wanted = slots
        .filter(slot => isWanted(slot) && !found.has(slot))
        .map(slot => ({ slot, bytes: lent.take(lengthBytes), seed: undefined }))
      const firstSubBlock = offsetBytes / SUB_BLOCK_BYTES
      const present = [...found].map(([slot, { id, ...shard }]) => ({ slot, seed: needleSeed(id), ...shard }))
      const { damaged } = await this.compute.mend({ shape: code, firstSubBlock, present, wanted })
      for (const slot of damaged) this.noteDamage(found.get(slot))
      if (damaged.length > 0) return undefined
      const data = [...present, ...wanted].filter(({ slot }) => isWanted(slot))
      return new Map(data.map(({ slot, bytes }) => [slot, copyOf(bytes, allocate)]))
    } finally {
      lent.end()
    }
  }

  /** The range of a shard, not yet verified, from the first device to which the layouts lead and that has it. */
  private async fetch(request: RangeRebuild, slot: number, lent: LentShards): Promise<ShardMatch | undefined> {
    const { extent, shape, block, offsetBytes, lengthBytes } = request
    const { uploadId, part } = extent
    const partition = partitionOf(uploadId, part, block)
    const id: NeedleId = { partition, uploadId, part, block, generation: shape.generation, slot }
    for (const deviceId of holdersOf(this.layouts, id, shape.exception)) {
      const volumes = this.devices.get(deviceId)?.volumes
      if (volumes === undefined) continue
      const startedMs = this.clock.monotonicMs()
      try {
        const range = { offsetBytes, lengthBytes }
        const { header, body } = await lent.use(take => volumes.fetch(id, shape.shardBytes, take, range))
        this.times.note(this.clock.monotonicMs() - startedMs)
        const from = (offsetBytes / SUB_BLOCK_BYTES) * CHECKSUM_BYTES
        return { deviceId, id, bytes: body, checksums: header.checksums.subarray(from) }
      } catch (error) {
        if (!isLoss(error) && this.devices.get(deviceId)?.volumes === volumes) throw error
        // The device itself reports a damaged index row; no needle can be marked for it.
        if (isFailure(error, "corruptNeedle")) this.noteDamage({ deviceId, id })
      }
    }
    return undefined
  }

  private noteDamage(copy: ShardCopy | undefined): void {
    if (copy && this.devices.has(copy.deviceId)) this.onDamage({ deviceId: copy.deviceId, id: copy.id })
  }
}

function copyOf(bytes: Uint8Array, allocate: Allocate): Uint8Array {
  const copy = allocate(bytes.length)
  copyPlainly(copy, bytes, 0)
  return copy
}

/** Compute memory of one rebuild; slow reads may still write into it after the rebuild has ended. */
class LentShards {
  private readonly lent: Uint8Array[] = []
  private isOver = false

  constructor(private readonly shards: ShardMemory) {}

  take(lengthBytes: number): Uint8Array {
    const bytes = this.shards.take(lengthBytes)
    this.lent.push(bytes)
    return bytes
  }

  /** Memory that a read takes is freed after the read has settled, at the earliest. */
  async use<T>(read: (take: Allocate) => Promise<T>): Promise<T> {
    const taken: Uint8Array[] = []
    try {
      return await read(lengthBytes => {
        const bytes = this.shards.take(lengthBytes)
        taken.push(bytes)
        return bytes
      })
    } finally {
      for (const bytes of taken) {
        if (this.isOver) this.shards.give(bytes)
        else this.lent.push(bytes)
      }
    }
  }

  end(): void {
    this.isOver = true
    for (const bytes of this.lent.splice(0)) this.shards.give(bytes)
  }
}
