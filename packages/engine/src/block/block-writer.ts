/**
 * Block writer: one block of a body, coded in its slab and appended to its devices.
 *
 * The slab is released when every shard write has ended, not when the block is acknowledged: a straggler still reads
 * from it. Until then the block holds the layout that it started with. When a device is given up, its write counts as
 * ended although it may still be running; otherwise one hung disk would block the slabs of all uploads. Bytes that such
 * a write later reads from the reused slab fail the checksums in its needles, and recovery ignores a last group whose
 * bodies are bad (`volume/scan.ts`).
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import { must } from "@hayloft/base/assert.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount, textOfPolicy, tolerance, type Policy } from "@hayloft/base/policy.js"
import { asPromise } from "@hayloft/base/soon.js"
import { traced, type Span } from "@hayloft/base/trace.js"
import { sealedBytesOf } from "@hayloft/base/encryption/segments.js"
import { partitionOf } from "../format/needles/partition.js"
import type { Needle } from "../volume/contract.js"
import { needleSeed, type NeedleId } from "../format/needles/needle.js"
import { slotsOf } from "../placement/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { CodedShard, HashPipeline, SealedBlock, Slab } from "@hayloft/base/seams/compute/contract.js"
import { slabBytesOf } from "@hayloft/base/seams/compute/index.js"
import type { Devices, ShardDevice, WriteRequest } from "./contract.js"
import type { Layouts } from "./layouts.js"
import { BLOCK_LIMITS } from "./limits.js"
import { shapeOf } from "./read-plan-core.js"
import { WriteTurns } from "./write-turns.js"
import { decideAck, planWrite, type WriteCare, type WritePlan } from "./write-plan-core.js"

export interface WrittenBlock {
  readonly block: number
  readonly plan: WritePlan
  /** Slots that were not durable at the acknowledgement, planned or not. */
  readonly missingSlots: readonly number[]
  readonly slots: readonly DeviceId[]
}

/** How one block is written. */
interface BlockRequest extends Pick<
  WriteRequest,
  "uploadId" | "part" | "owner" | "policy" | "recoveryHeader" | "endsAtMs" | "payer"
> {
  readonly generation: number
  readonly care: WriteCare
  /** The slab has the plaintext of a block to be sealed; undefined: the block as it is stored. */
  readonly seal?: SealedBlock | undefined
}

/** The rule for a block with a single writable device. */
interface SingleCopies {
  readonly areRefused: boolean
  /** Called after a single copy was written. */
  note(): void
}

export class BlockWriter {
  private readonly turns: WriteTurns

  constructor(
    private readonly devices: Devices,
    private readonly layouts: Layouts,
    private readonly clock: Clock,
    private readonly singleCopies: SingleCopies,
  ) {
    this.turns = new WriteTurns(clock)
  }

  /**
   * Takes over the slab, with `lengthBytes` of the block. Resolves when the acknowledgement rule is met. Throws
   * `deviceFull` if one of the block's devices has no space: lack of space never reduces redundancy.
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
      const { seal } = request
      const storedBytes = seal === undefined ? lengthBytes : sealedBytesOf(lengthBytes)
      requireSpace(plan.policy, slab, storedBytes)
      // The devices as they are now: if one goes offline meanwhile, its write fails.
      const targets = plan.targets.map(id => id && must(this.devices.get(id), "it can be written"))
      const { uploadId, part, generation } = request
      const ids = targets.map((_, slot): NeedleId => ({ partition, uploadId, part, block, generation, slot }))
      const shape = shapeOf(plan.policy)
      const code = { slab, lengthBytes, shape, seeds: ids.map(needleSeed) }
      const coded = await pipeline.code(seal === undefined ? code : { ...code, seal })
      const missingSlots = await this.inTurn(request, lengthBytes, () => {
        const writes = new ShardWrites(plan)
        ids.forEach((id, slot) => {
          const target = targets[slot]
          if (target) writes.add(slot, append(request, plan.policy, target, id, storedBytes, coded[slot]))
        })
        ended = writes.ended
        return writes.acknowledged(this.clock)
      })
      if (tolerance(request.policy) > 0 && shardCount(plan.policy) === 1) this.singleCopies.note()
      return { block, plan, missingSlots, slots }
    } finally {
      void ended.then(() => {
        slab.release()
        held.end()
      })
    }
  }

  /** Writes once it is the turn of the block; short ones do not wait, and background work has limits of its own. */
  private async inTurn<T>({ payer, policy }: BlockRequest, lengthBytes: number, write: () => Promise<T>): Promise<T> {
    if (payer === undefined || lengthBytes <= BLOCK_LIMITS.shortWriteBytes) return write()
    const { sharedWritesOfDevice: ofDevice } = BLOCK_LIMITS
    const party = payer.payer
    const waits = this.turns.take(party, Math.max(ofDevice, (ofDevice * this.devices.size) / shardCount(policy)))
    if (waits !== undefined) await waits
    try {
      return await write()
    } finally {
      this.turns.leave(party)
    }
  }

  /** Throws the error that would keep the block from being written now. */
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
      throw fail("deviceFailed", {
        message: "only one device can store the block, and single copies are refused; bring another device online",
      })
    }
    return plan
  }
}

/** The redundancy may have changed since the buffers were allocated. */
function requireSpace(policy: Policy, slab: Slab, lengthBytes: number): void {
  if (slabBytesOf(shapeOf(policy), lengthBytes) <= slab.bytes.length) return
  throw fail("invalidConfig", {
    message: "the block buffers were allocated for another redundancy; restart the server",
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
  const { owner, endsAtMs } = request
  const needle: Needle = { id, owner, policy, blockLengthBytes, recoveryHeader, endsAtMs, body: bytes, checksums }
  const parent = request.payer?.trace
  if (parent === undefined) return device.volumes.append(needle)
  const facts = { "hayloft.device": device.id, "hayloft.block": id.block, "hayloft.slot": id.slot }
  const write = (trace: Span) => device.volumes.append({ ...needle, trace })
  return asPromise(() => traced(parent, "shard write", facts, write))
}

/** The shard writes of one block, and the decision when enough are durable. */
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
        this.error = lacksSpace(error) ? error : (this.error ?? error)
      },
    )
    this.all.push(settled.then(() => this.wake()))
  }

  get ended(): Promise<unknown> {
    return Promise.allSettled(this.all)
  }

  /** Resolves with the missing slots. Throws the first failure if too few shards are durable. */
  async acknowledged(clock: Clock): Promise<readonly number[]> {
    let callOff: (() => void) | undefined
    let stragglerOver = false
    try {
      for (;;) {
        // A block is never acknowledged with a shard missing for lack of space.
        if (lacksSpace(this.error)) throw this.error
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
