/**
 * Block writer: one block of a body, coded in its slab and appended to its devices.
 *
 * The slab is given back when every shard write has ended, not when the block is acknowledged: a
 * straggler still reads from it. Until then the block holds on to the layout that it began with.
 * A write whose device was given up has ended, though it may go on: waited for, one disk that hangs would take
 * the slabs of all uploads. What it still takes from the slab does not fit the checksums in its needles, and a last
 * group whose bodies are not good counts nowhere (`volume/scan.ts`).
 */
import { asFailure, fail, isFailure } from "../base/failures.js"
import { must } from "../base/assert.js"
import type { DeviceId } from "../base/ids.js"
import { shardCount, textOfPolicy, tolerance, type Policy } from "../base/policy.js"
import { partitionOf } from "../format/partition.js"
import { needleSeed, type NeedleId } from "../format/needle.js"
import { slotsOf } from "../placement/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { CodedShard, HashPipeline, Slab } from "../seams/compute/contract.js"
import { slabBytesOf } from "../seams/compute/index.js"
import type { Devices, ShardDevice, WriteRequest } from "./contract.js"
import type { Layouts } from "./layouts.js"
import { BLOCK_LIMITS } from "./limits.js"
import { shapeOf } from "./read-plan-core.js"
import { decideAck, planWrite, type WriteCare, type WritePlan } from "./write-plan-core.js"

export interface WrittenBlock {
  readonly block: number
  readonly plan: WritePlan
  /** Slots that were not durable at the acknowledgement, planned or not. */
  readonly missingSlots: readonly number[]
  readonly slots: readonly DeviceId[]
}

/** What a block is written as. */
export interface BlockRequest extends Pick<WriteRequest, "uploadId" | "part" | "owner" | "policy" | "recoveryHeader"> {
  readonly generation: number
  readonly care: WriteCare
}

/** What happens where only a single device of a block's can be written. */
export interface SingleCopies {
  readonly areRefused: boolean
  /** One was written. */
  note(): void
}

export class BlockWriter {
  constructor(
    private readonly devices: Devices,
    private readonly layouts: Layouts,
    private readonly clock: Clock,
    private readonly singleCopies: SingleCopies,
  ) {}

  /**
   * Takes over the slab. Resolves when the acknowledgement rule is met. Throws `deviceFull` where one of
   * the block's devices has no room: nothing is written with less redundancy for want of space.
   */
  async write(
    request: BlockRequest,
    pipeline: HashPipeline,
    slab: Slab,
    block: number,
    lengthBytes: number,
  ): Promise<WrittenBlock> {
    const held = this.layouts.hold()
    const partition = partitionOf(request.uploadId, request.part, block)
    const slots = slotsOf(held.layout, partition)
    let ended: Promise<unknown> = Promise.resolve()
    try {
      const plan = this.plan(request, slots)
      requireRoom(plan.policy, slab, lengthBytes)
      // As they are now: one that is taken out meanwhile fails its write.
      const targets = plan.targets.map(id => id && must(this.devices.get(id), "it can be written"))
      const { uploadId, part, generation } = request
      const ids = targets.map((_, slot): NeedleId => ({ partition, uploadId, part, block, generation, slot }))
      const coded = await pipeline.code({ slab, lengthBytes, shape: shapeOf(plan.policy), seeds: ids.map(needleSeed) })
      const writes = new ShardWrites(plan)
      ids.forEach((id, slot) => {
        const target = targets[slot]
        if (target) writes.add(slot, append(request, plan.policy, target, id, lengthBytes, coded[slot]))
      })
      ended = writes.ended
      const missingSlots = await writes.acknowledged(this.clock)
      if (tolerance(request.policy) > 0 && shardCount(plan.policy) === 1) this.singleCopies.note()
      return { block, plan, missingSlots, slots }
    } finally {
      void ended.then(() => {
        slab.release()
        held.end()
      })
    }
  }

  /** Throws what would keep the block from being written now. */
  check(request: BlockRequest, block: number): void {
    const partition = partitionOf(request.uploadId, request.part, block)
    this.plan(request, slotsOf(this.layouts.current, partition))
  }

  private plan({ policy, care }: BlockRequest, slots: readonly DeviceId[]): WritePlan {
    for (const id of slots.slice(0, shardCount(policy))) {
      if (this.devices.get(id)?.isFull === true) throw fail("deviceFull", { device: id })
    }
    const plan = planWrite(
      policy,
      slots.map(id => ({ id, isWritable: this.devices.get(id)?.isWritable ?? false })),
      care,
    )
    if (tolerance(policy) === 0 || shardCount(plan.policy) > 1) return plan
    if (this.singleCopies.areRefused) {
      throw fail("deviceFailed", { message: "a single device is left for the block, and single copies are refused" })
    }
    return plan
  }
}

/** A redundancy may have been chosen since the memory was laid out. */
function requireRoom(policy: Policy, slab: Slab, lengthBytes: number): void {
  if (slabBytesOf(shapeOf(policy), lengthBytes) <= slab.bytes.length) return
  throw fail("invalidConfig", {
    message: "the memory for blocks was laid out for another redundancy; restart the server",
    redundancy: textOfPolicy(policy),
  })
}

function append(
  request: BlockRequest,
  policy: Policy,
  device: ShardDevice,
  id: NeedleId,
  blockLengthBytes: number,
  shard: CodedShard | undefined,
): Promise<void> {
  const { bytes, checksums } = must(shard, "each slot has its shard")
  const recoveryHeader = id.block === 0 ? request.recoveryHeader : undefined
  return device.volumes.append({
    id,
    owner: request.owner,
    policy,
    blockLengthBytes,
    recoveryHeader,
    body: bytes,
    checksums,
  })
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
        this.error = isFailure(error, "deviceFull") ? error : (this.error ?? error)
      },
    )
    this.all.push(settled.then(() => this.wake()))
  }

  get ended(): Promise<unknown> {
    return Promise.allSettled(this.all)
  }

  /** Resolves with the slots that are missing; throws what failed where too few are durable. */
  async acknowledged(clock: Clock): Promise<readonly number[]> {
    let callOff: (() => void) | undefined
    let stragglerOver = false
    try {
      for (;;) {
        // Nothing is acknowledged with a shard missing for want of space.
        if (isFailure(this.error, "deviceFull")) throw this.error
        const pending = this.all.length - this.durable.size - this.failed
        const verdict = decideAck(this.plan, {
          durable: this.durable.size,
          failed: this.failed,
          pending,
          stragglerOver,
        })
        if (verdict === "fail") throw asFailure(this.error ?? fail("deviceFailed"))
        if (verdict === "ack") return this.plan.targets.flatMap((_, slot) => (this.durable.has(slot) ? [] : [slot]))
        const changed = new Promise<void>(resolve => (this.wake = resolve))
        if (this.durable.size >= this.plan.durableMin) {
          callOff ??= clock.alarm(BLOCK_LIMITS.stragglerMs, () => {
            stragglerOver = true
            this.wake()
          })
        }
        await changed
      }
    } finally {
      callOff?.()
    }
  }
}
