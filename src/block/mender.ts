/**
 * Mender: puts the shards of a live block where they should be. What lies elsewhere is copied, what is
 * lost is rebuilt from k others, and copies that are not wanted go once the right device has a good one.
 *
 * Promises  Only verified bytes are written. A shard is removed from one device only when another was
 *           seen to have it, whole.
 * Limits    `mendBytesMax` in memory, however many blocks are mended at once.
 */
import { must } from "../base/assert.js"
import { fail, isFailure, type Failure } from "../base/failures.js"
import type { DeviceId } from "../base/ids.js"
import { shardCount, shardsNeeded } from "../base/policy.js"
import { subBlockChecksums } from "../base/sub-block.js"
import { needleSeed } from "../format/needle.js"
import { mapBounded } from "../life/index.js"
import { slotsOf } from "../placement/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Compute } from "../seams/compute/contract.js"
import { ByteBudget } from "./byte-budget.js"
import type { Devices, LiveBlock, Mended, ShardCopy } from "./contract.js"
import { gather } from "./gathering.js"
import { isDamage, isLoss } from "./holders.js"
import type { Layouts } from "./layouts.js"
import { BLOCK_LIMITS } from "./limits.js"
import { planMend, type MendPlan, type MendWrite } from "./mend-core.js"
import { blockShape, shapeOf, type BlockShape } from "./read-plan-core.js"
import { ShardBuffers } from "./shard-buffers.js"
import { needleIdOf, type BlockGroup } from "./survey-core.js"

/** A block that is being mended. */
interface Patient {
  readonly group: BlockGroup
  readonly live: LiveBlock
  readonly shape: BlockShape
  /** Bodies that were read or rebuilt, to be given back when nothing is written from them any more. */
  readonly lent: Uint8Array[]
}

export class Mender {
  private readonly budget = new ByteBudget(BLOCK_LIMITS.mendBytesMax)
  private readonly buffers = new ShardBuffers(BLOCK_LIMITS.mendIdleBytesMax)

  constructor(
    private readonly clock: Clock,
    private readonly devices: Devices,
    private readonly layouts: Layouts,
    private readonly compute: Compute,
    private readonly onDamage: (copy: ShardCopy) => void,
  ) {}

  /** See `Blocks.mend`. */
  async mend(found: BlockGroup, live: LiveBlock): Promise<Mended> {
    // What lies on a device that has left meanwhile does not help.
    const group = { ...found, shards: found.shards.filter(({ deviceId }) => this.devices.has(deviceId)) }
    const shape = blockShape(live.extent, group.block)
    const held = this.layouts.hold()
    try {
      const slots = slotsOf(held.layout, group.partition)
      const plan = planMend(group, shape, slots, id => this.devices.get(id)?.isWritable ?? false)
      const patient = { group, live, shape, lent: [] }
      const bytesInMemory = this.bytesInMemory(plan, shape)
      const written = await this.budget.run(bytesInMemory, giveBack => this.writeAll(patient, plan.writes, giveBack))
      const lacking = plan.writes.flatMap(({ slot, to }) => (written.slots.includes(slot) ? [] : [to]))
      const removed = await this.removeSurplus(patient, plan, written.slots)
      return {
        writtenShards: written.slots.length,
        writtenBytes: written.slots.length * shape.shardBytes,
        removed,
        lacking,
        waitingFor: plan.waitingFor,
        isUnreadable: written.isUnreadable,
      }
    } finally {
      held.end()
    }
  }

  private bytesInMemory({ writes }: MendPlan, { policy, shardBytes }: BlockShape): number {
    const copied = writes.filter(({ from }) => from.length > 0).length
    const rebuilt = writes.length - copied
    if (rebuilt === 0) return copied * shardBytes
    // A copy is written as it was read.
    const isCopies = shapeOf(policy).kind === "copies"
    return (copied + shardsNeeded(policy) + (isCopies ? 0 : rebuilt)) * shardBytes
  }

  /** Slots that are durable at their new place. Throws `deviceFull`. */
  private async writeAll(
    patient: Patient,
    writes: readonly MendWrite[],
    giveBack: (bytes: number) => void,
  ): Promise<{ readonly slots: readonly number[]; readonly isUnreadable: boolean }> {
    if (writes.length === 0) return { slots: [], isUnreadable: false }
    const bodies = await this.copies(patient, writes)
    const missing = writes.flatMap(({ slot }) => (bodies.has(slot) ? [] : [slot]))
    const isUnreadable = missing.length > 0 && !(await this.rebuild(patient, missing, bodies))
    // What waits to be written is a fraction of what was read for it.
    giveBack(this.letGo(patient, new Set(bodies.values())))
    const outcomes = await mapBounded(writes, BLOCK_LIMITS.shardsAtOnce, async ({ slot, to }) => {
      const body = bodies.get(slot)
      return body && this.append(patient, slot, to, body).then(() => slot, failureOnly)
    })
    this.letGo(patient, new Set())
    const full = outcomes.find(outcome => isFailure(outcome, "deviceFull"))
    if (full !== undefined) throw full
    return { slots: outcomes.filter(outcome => typeof outcome === "number"), isUnreadable }
  }

  /** Memory of the patient that is used no more, but for these bodies; says how much. */
  private letGo({ lent }: Patient, kept: ReadonlySet<Uint8Array>): number {
    const all = lent.splice(0)
    lent.push(...all.filter(body => kept.has(body)))
    const over = all.filter(body => !kept.has(body))
    for (const body of over) this.buffers.give(body)
    return over.reduce((sum, { length }) => sum + length, 0)
  }

  /** Shards of which a good copy lies elsewhere. */
  private async copies(patient: Patient, writes: readonly MendWrite[]): Promise<Map<number, Uint8Array>> {
    const bodies = new Map<number, Uint8Array>()
    await mapBounded(writes, BLOCK_LIMITS.shardsAtOnce, async ({ slot, from }) => {
      const body = from.length > 0 && (await this.readFirst(patient, slot, from))
      if (body) bodies.set(slot, body)
    })
    return bodies
  }

  /** Adds the missing shards; false where too few others are left. */
  private async rebuild(
    patient: Patient,
    missing: readonly number[],
    bodies: Map<number, Uint8Array>,
  ): Promise<boolean> {
    const { group, shape } = patient
    const needed = shardsNeeded(shape.policy)
    const present = new Map([...bodies].slice(0, needed))
    // Blocks begin with different slots, so that all devices take part.
    const n = shardCount(shape.policy)
    const slots = Array.from({ length: n }, (_, i) => (group.block + group.partition + i) % n)
    const more = await gather(this.clock, {
      candidates: slots.filter(slot => !present.has(slot) && !missing.includes(slot)),
      needed: needed - present.size,
      slowMs: BLOCK_LIMITS.slowReadMsMax,
      ask: slot => this.readFirst(patient, slot, holdersIn(group, slot)),
    })
    for (const [slot, body] of more) present.set(slot, body)
    if (present.size < needed) return false
    const coding = shapeOf(shape.policy)
    const rebuilt =
      coding.kind === "copies"
        ? new Map(missing.map(slot => [slot, must([...present.values()][0], "a copy was found")]))
        : await this.compute.rebuild({
            ...{ shape: coding, shardBytes: shape.shardBytes, present, wanted: missing },
            allocate: lengthBytes => this.lend(patient, lengthBytes),
          })
    for (const [slot, body] of rebuilt) bodies.set(slot, body)
    return true
  }

  /** Memory that is the patient's until everything is written. */
  private lend({ lent }: Patient, lengthBytes: number): Uint8Array {
    const buffer = this.buffers.take(lengthBytes)
    lent.push(buffer)
    return buffer
  }

  /** The whole shard, verified, from the first of these devices that has it. */
  private async readFirst(
    { group, shape, lent }: Patient,
    slot: number,
    from: readonly DeviceId[],
  ): Promise<Uint8Array | undefined> {
    const id = needleIdOf(group, slot)
    for (const deviceId of from) {
      try {
        const whole = { offsetBytes: 0, lengthBytes: shape.shardBytes }
        const body = await this.devices.get(deviceId)?.volumes.read(id, whole, length => this.buffers.take(length))
        if (body) lent.push(body)
        if (body) return body
      } catch (error) {
        if (!this.devices.has(deviceId)) continue
        if (!isLoss(error)) throw error
        if (isDamage(error)) this.onDamage({ deviceId, id })
      }
    }
    return undefined
  }

  private async append({ group, live, shape }: Patient, slot: number, to: DeviceId, body: Uint8Array): Promise<void> {
    const id = needleIdOf(group, slot)
    const device = this.devices.get(to)
    if (!device) throw fail("deviceFailed", { device: to })
    await device.volumes.append({
      id,
      owner: live.owner,
      policy: shape.policy,
      blockLengthBytes: shape.lengthBytes,
      birthNote: group.block === 0 ? live.birthNote() : undefined,
      body,
      checksums: subBlockChecksums(body, needleSeed(id)),
      isUnhurried: true,
    })
  }

  private async removeSurplus(patient: Patient, { surplus }: MendPlan, written: readonly number[]): Promise<number> {
    const { group } = patient
    const removed = await mapBounded(surplus, BLOCK_LIMITS.shardsAtOnce, async ({ slot, deviceId, onceOn }) => {
      const id = needleIdOf(group, slot)
      if (!written.includes(slot) && !(await this.readFirst(patient, slot, [onceOn]))) return 0
      const volumes = this.devices.get(deviceId)?.volumes
      if (volumes === undefined || volumes.refusing !== undefined) return 0
      await volumes.remove([id])
      return 1
    })
    return removed.reduce<number>((sum, count) => sum + count, 0)
  }
}

/** A device that fails is one that still lacks its shard; a mistake of ours is none of that. */
function failureOnly(error: unknown): Failure {
  if (isFailure(error)) return error
  throw error
}

const holdersIn = ({ shards }: BlockGroup, slot: number): readonly DeviceId[] =>
  shards.flatMap(shard => (shard.slot === slot ? [shard.deviceId] : []))
