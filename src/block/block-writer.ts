/**
 * Block writer: one block of a body, coded in its slab and appended to its devices.
 *
 * The slab is given back when every shard write has ended, not when the block is acknowledged: a
 * straggler still reads from it.
 */
import { asFailure, fail } from "../base/failures.js"
import { must } from "../base/assert.js"
import type { DeviceId } from "../base/ids.js"
import { partitionOf } from "../format/partition.js"
import { needleSeed, type NeedleId } from "../format/needle.js"
import { slotsOf, type Layout } from "../placement/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { CodedShard, Lane, Slab } from "../seams/compute/contract.js"
import type { ShardDevice, WriteRequest } from "./contract.js"
import { BLOCK_LIMITS } from "./limits.js"
import { shapeOf } from "./read-plan-core.js"
import { judgeAck, planWrite, type WritePlan } from "./write-plan-core.js"

export interface WrittenBlock {
  readonly block: number
  readonly plan: WritePlan
  /** Slots that were not durable at the acknowledgement, planned or not. */
  readonly missingSlots: readonly number[]
  readonly slots: readonly DeviceId[]
}

export type Devices = ReadonlyMap<DeviceId, ShardDevice>

export class BlockWriter {
  constructor(
    private readonly devices: Devices,
    private readonly layout: Layout,
    private readonly clock: Clock,
  ) {}

  /** Takes over the slab. Resolves when the acknowledgement rule is met. */
  async write(
    request: WriteRequest,
    lane: Lane,
    slab: Slab,
    block: number,
    lengthBytes: number,
  ): Promise<WrittenBlock> {
    const partition = partitionOf(request.uploadId, request.part, block)
    const slots = slotsOf(this.layout, partition)
    let ended: Promise<unknown> = Promise.resolve()
    try {
      const plan = planWrite(
        request.policy,
        slots.map(id => ({ id, isWritable: this.devices.get(id)?.isWritable ?? false })),
      )
      const ids = plan.targets.map((_, slot): NeedleId => {
        return { partition, uploadId: request.uploadId, part: request.part, block, generation: 0, slot }
      })
      const coded = await lane.code({ slab, lengthBytes, shape: shapeOf(plan.policy), seeds: ids.map(needleSeed) })
      const writes = new ShardWrites(plan)
      ids.forEach((id, slot) => {
        const target = plan.targets[slot]
        if (target !== undefined) writes.add(slot, this.append(request, plan, target, id, lengthBytes, coded[slot]))
      })
      ended = writes.ended
      const missingSlots = await writes.acknowledged(this.clock)
      return { block, plan, missingSlots, slots }
    } finally {
      void ended.then(() => slab.release())
    }
  }

  private append(
    request: WriteRequest,
    plan: WritePlan,
    target: DeviceId,
    id: NeedleId,
    blockLengthBytes: number,
    shard: CodedShard | undefined,
  ): Promise<void> {
    const { bytes, checksums } = must(shard, "each slot has its shard")
    const birthNote = id.slot === 0 && id.block === 0 ? request.birthNote : undefined
    const device = must(this.devices.get(target), "the layout names known devices")
    return device.volumes.append({
      id,
      owner: request.owner,
      policy: plan.policy,
      blockLengthBytes,
      birthNote,
      body: bytes,
      checksums,
    })
  }
}

/** The shard writes of one block, and when they are enough. */
class ShardWrites {
  private readonly durable = new Set<number>()
  private readonly all: Promise<void>[] = []
  private failed = 0
  private error: unknown
  private wake: () => void = () => undefined

  constructor(private readonly plan: WritePlan) {}

  add(slot: number, write: Promise<void>): void {
    const settled = write.then(
      () => void this.durable.add(slot),
      (error: unknown) => {
        this.failed += 1
        this.error ??= error
      },
    )
    this.all.push(settled.then(() => this.wake()))
  }

  get ended(): Promise<unknown> {
    return Promise.allSettled(this.all)
  }

  /** Resolves with the slots that are missing; throws what failed where too few are durable. */
  async acknowledged(clock: Clock): Promise<readonly number[]> {
    const over = new AbortController()
    let stragglerOver = false
    try {
      for (;;) {
        const pending = this.all.length - this.durable.size - this.failed
        const verdict = judgeAck(this.plan, { durable: this.durable.size, failed: this.failed, pending, stragglerOver })
        if (verdict === "fail") throw asFailure(this.error ?? fail("deviceFailed"))
        if (verdict === "ack") return this.plan.targets.flatMap((_, slot) => (this.durable.has(slot) ? [] : [slot]))
        const changed = new Promise<void>(resolve => (this.wake = resolve))
        const enough = this.durable.size >= this.plan.durableMin
        const straggler = clock.sleep(BLOCK_LIMITS.stragglerMs, over.signal).then(() => {
          stragglerOver ||= enough
        })
        await Promise.race(enough ? [changed, straggler] : [changed])
      }
    } finally {
      over.abort()
    }
  }
}
