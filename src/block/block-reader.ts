/**
 * Block reader: verified bytes of a range, piece by piece, some pieces ahead of the client.
 *
 * A piece whose shard is missing or fails its checksum is rebuilt from k others, behind the reader's
 * back, and counted. Bytes that fail their checksum are never passed on.
 */
import { must } from "../base/assert.js"
import { fail, isFailure } from "../base/failures.js"
import { roundUp } from "../base/bytes.js"
import type { DeviceId } from "../base/ids.js"
import { SHARD_ALIGN_BYTES } from "../base/limits.js"
import { shardCount, shardsNeeded } from "../base/policy.js"
import type { Extent } from "../format/extent.js"
import { partitionOf } from "../format/partition.js"
import { mapBounded } from "../life/index.js"
import { slotsOf, type Layout } from "../placement/index.js"
import type { Compute } from "../seams/compute/contract.js"
import type { Counter } from "../seams/telemetry/contract.js"
import type { Allocate, NeedleId } from "../volume/contract.js"
import type { Devices } from "./block-writer.js"
import type { PieceOwner } from "./contract.js"
import { BLOCK_LIMITS } from "./limits.js"
import { ReadBuffers } from "./read-buffers.js"
import { blockShape, planRead, shapeOf, type BlockShape, type ReadPiece } from "./read-plan-core.js"

interface ShardRange {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

export class BlockReader {
  private aheadBytes = 0
  private readonly buffers = new ReadBuffers(BLOCK_LIMITS.readBuffersIdleBytesMax)

  constructor(
    private readonly devices: Devices,
    private readonly layout: Layout,
    private readonly compute: Compute,
    private readonly rebuilt: Counter,
  ) {}

  /** See `Blocks.read`. A piece that is lent comes back when the next is asked for, never when the read is given up. */
  async *read(
    extent: Extent,
    { offsetBytes, lengthBytes }: ShardRange,
    signal: AbortSignal,
    owner: PieceOwner,
  ): AsyncGenerator<Uint8Array> {
    const allocate: Allocate | undefined = owner === "reader" ? length => this.buffers.take(length) : undefined
    const pieces = planRead(extent, offsetBytes, lengthBytes)
    const ahead: { readonly bytes: Promise<Uint8Array>; readonly lengthBytes: number }[] = []
    const fetchNext = (): boolean => {
      const next = pieces.next()
      if (next.done) return false
      const bytes = this.readPiece(extent, next.value, allocate)
      bytes.catch(() => undefined)
      ahead.push({ bytes, lengthBytes: next.value.lengthBytes })
      this.aheadBytes += next.value.lengthBytes
      return true
    }
    try {
      for (;;) {
        signal.throwIfAborted()
        const mayReadAhead = () => ahead.length < BLOCK_LIMITS.readAheadPiecesMax && this.hasCredit()
        while (ahead.length === 0 || mayReadAhead()) if (!fetchNext()) break
        const first = ahead.shift()
        if (!first) return
        this.aheadBytes -= first.lengthBytes
        const bytes = await first.bytes
        yield bytes
        if (allocate) this.buffers.give(bytes)
      }
    } finally {
      for (const { lengthBytes: unused } of ahead) this.aheadBytes -= unused
    }
  }

  private hasCredit(): boolean {
    return this.aheadBytes < BLOCK_LIMITS.readAheadBytesMax
  }

  private async readPiece(extent: Extent, piece: ReadPiece, allocate: Allocate | undefined): Promise<Uint8Array> {
    const shape = blockShape(extent, piece.block)
    try {
      return await this.readShard(extent, shape, piece.block, piece.slot, piece, allocate)
    } catch (error) {
      if (!isFailure(error, "noSuchNeedle", "corruptNeedle", "deviceFailed")) throw error
      this.rebuilt.add({ reason: error.kind })
      return this.rebuildPiece(extent, shape, piece)
    }
  }

  private async readShard(
    extent: Extent,
    shape: BlockShape,
    block: number,
    slot: number,
    { offsetBytes, lengthBytes }: ShardRange,
    allocate?: Allocate,
  ): Promise<Uint8Array> {
    const id: NeedleId = {
      partition: partitionOf(extent.uploadId, extent.part, block),
      uploadId: extent.uploadId,
      part: extent.part,
      block,
      generation: shape.generation,
      slot,
    }
    const device = this.devices.get(this.deviceOf(id, shape))
    if (!device) throw fail("deviceFailed", { slot })
    return device.volumes.read(id, { offsetBytes, lengthBytes }, allocate)
  }

  private deviceOf(id: NeedleId, shape: BlockShape): DeviceId {
    const placed = shape.exception?.placedSlots.find(([slot]) => slot === id.slot)
    return placed?.[1] ?? must(slotsOf(this.layout, id.partition)[id.slot], "the layout is wide enough")
  }

  /** The piece from other shards: a copy, or k equal ranges decoded. */
  private async rebuildPiece(extent: Extent, shape: BlockShape, piece: ReadPiece): Promise<Uint8Array> {
    const { policy, shardBytes } = shape
    const from = Math.floor(piece.offsetBytes / SHARD_ALIGN_BYTES) * SHARD_ALIGN_BYTES
    const to = Math.min(shardBytes, roundUp(piece.offsetBytes + piece.lengthBytes, SHARD_ALIGN_BYTES))
    const range = { offsetBytes: from, lengthBytes: to - from }
    const others = Array.from({ length: shardCount(policy) }, (_, slot) => slot).filter(slot => slot !== piece.slot)
    const present = await this.gather(extent, shape, piece.block, others, range)
    const bytes = await this.decode(shape, piece.slot, range.lengthBytes, present)
    return bytes.subarray(piece.offsetBytes - from, piece.offsetBytes - from + piece.lengthBytes)
  }

  private async gather(
    extent: Extent,
    shape: BlockShape,
    block: number,
    candidates: readonly number[],
    range: ShardRange,
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const needed = shardsNeeded(shape.policy)
    const present = new Map<number, Uint8Array>()
    const left = [...candidates]
    while (present.size < needed) {
      const tried = left.splice(0, needed - present.size)
      if (tried.length === 0) throw fail("notEnoughShards", { uploadId: extent.uploadId, part: extent.part, block })
      await mapBounded(tried, BLOCK_LIMITS.shardsAtOnce, async slot => {
        try {
          present.set(slot, await this.readShard(extent, shape, block, slot, range))
        } catch (error) {
          if (!isFailure(error, "noSuchNeedle", "corruptNeedle", "deviceFailed")) throw error
        }
      })
    }
    return present
  }

  private async decode(
    { policy }: BlockShape,
    slot: number,
    rangeBytes: number,
    present: ReadonlyMap<number, Uint8Array>,
  ): Promise<Uint8Array> {
    const shape = shapeOf(policy)
    if (shape.kind === "copies") return must([...present.values()][0], "a copy was found")
    const wanted = await this.compute.rebuild({ shape, shardBytes: rangeBytes, present, wanted: [slot] })
    return must(wanted.get(slot), "the wanted shard was rebuilt")
  }
}
