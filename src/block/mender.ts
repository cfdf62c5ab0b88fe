/**
 * Mender: puts the shards of a live block where they should be. What lies elsewhere is copied, what is
 * lost is rebuilt from k others, and copies that are not wanted go once the right device has a good one.
 *
 * Promises  Only verified bytes are written. A shard is removed from one device only when another was
 *           seen to have it, whole.
 * Limits    `mendBytesMax` in memory, however many blocks are mended at once; `mendBesideBytesMax` beside clients.
 */
import { must } from "../base/assert.js"
import { fail, isFailure, type Failure } from "../base/failures.js"
import type { DeviceId } from "../base/ids.js"
import { shardCount, shardsNeeded } from "../base/policy.js"
import { needleSeed } from "../format/needle.js"
import { mapBounded } from "../life/index.js"
import { slotsOf } from "../placement/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { CodingShape, Compute } from "../seams/compute/contract.js"
import type { FetchedShard, NeedleId } from "../volume/contract.js"
import { ByteBudget } from "./byte-budget.js"
import type { Devices, LiveBlock, Mended, ShardCopy } from "./contract.js"
import type { Foreground } from "./foreground.js"
import { gather } from "./batching.js"
import { isDamage, isLoss } from "./holders.js"
import type { Layouts } from "./layouts.js"
import { BLOCK_LIMITS } from "./limits.js"
import { planMend, type MendPlan, type MendWrite } from "./mend-core.js"
import { blockShape, shapeOf, type BlockShape } from "./read-plan-core.js"
import type { ShardStore } from "./shard-store.js"
import { needleIdOf, type BlockGroup, type HeldShard } from "./shard-scan-core.js"

/** A shard in memory, which is the patient's until it is over. */
interface Shard {
  readonly slot: number
  readonly memory: Uint8Array
  readonly body: Uint8Array
  readonly checksums: Uint8Array
}

interface SlotCopy {
  readonly slot: number
  readonly deviceId: DeviceId
}

/** As it was read, with the checksums that it should have. */
type ShardMatch = Shard & SlotCopy

/** What is only compared. */
const ONE_COPY: CodingShape = { kind: "copies", copies: 1 }

/** A block that is being mended. */
interface Patient {
  readonly group: BlockGroup
  readonly live: LiveBlock
  readonly shape: BlockShape
  /** Memory to be given back when nothing is written from it any more. */
  readonly lent: Set<Uint8Array>
  /** Copies of this block that turned out to be damaged. */
  readonly damaged: SlotCopy[]
  /** Reads that are slow may go on behind it. */
  isOver: boolean
}

export class Mender {
  private readonly budget: ByteBudget

  constructor(
    private readonly clock: Clock,
    private readonly devices: Devices,
    private readonly layouts: Layouts,
    private readonly compute: Compute,
    foreground: Foreground,
    private readonly onDamage: (copy: ShardCopy) => void,
  ) {
    const { mendBytesMax, mendBesideBytesMax } = BLOCK_LIMITS
    this.budget = new ByteBudget(() => (foreground.isActive ? mendBesideBytesMax : mendBytesMax))
  }

  /** See `Blocks.mend`. */
  async mend(found: BlockGroup, live: LiveBlock): Promise<Mended> {
    // What lies on a device that has left meanwhile does not help.
    const isHere = ({ deviceId }: HeldShard): boolean => this.devices.has(deviceId)
    const group = { ...found, shards: found.shards.filter(isHere), damaged: found.damaged.filter(isHere) }
    const shape = blockShape(live.extent, group.block)
    const held = this.layouts.hold()
    const patient: Patient = { group, live, shape, lent: new Set(), damaged: [], isOver: false }
    try {
      const slots = slotsOf(held.layout, group.partition)
      const plan = planMend(group, shape, slots, id => this.devices.get(id)?.isWritable ?? false)
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
      patient.isOver = true
      this.letGo(patient, [])
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
    const copies = await this.copies(patient, writes)
    const missing = writes.flatMap(({ slot }) => (copies.has(slot) ? [] : [slot]))
    const rebuilt = missing.length > 0 ? await this.rebuild(patient, missing, copies) : []
    const good = new Map<number, Shard>(copies)
    for (const shard of rebuilt ?? []) good.set(shard.slot, shard)
    // What waits to be written is a fraction of what was read for it.
    giveBack(this.letGo(patient, good.values()))
    const outcomes = await mapBounded(writes, BLOCK_LIMITS.shardsAtOnce, async ({ slot, to }) => {
      const shard = good.get(slot)
      return shard && this.append(patient, shard, to).then(() => slot, failureOnly)
    })
    const full = outcomes.find(outcome => isFailure(outcome, "deviceFull"))
    if (full !== undefined) throw full
    return { slots: outcomes.filter(outcome => typeof outcome === "number"), isUnreadable: rebuilt === undefined }
  }

  /** Memory of the patient that is used no more, but for these shards; says how much. */
  private letGo({ lent }: Patient, kept: Iterable<Shard>): number {
    const keep = new Set(Array.from(kept, ({ memory }) => memory))
    let bytes = 0
    for (const memory of lent) {
      if (keep.has(memory)) continue
      bytes += memory.length
      lent.delete(memory)
      this.compute.shards.give(memory)
    }
    return bytes
  }

  /** Shards of which a good copy lies elsewhere. */
  private async copies(patient: Patient, writes: readonly MendWrite[]): Promise<Map<number, ShardMatch>> {
    const copies = new Map<number, ShardMatch>()
    await mapBounded(writes, BLOCK_LIMITS.shardsAtOnce, async ({ slot, from }) => {
      const shard = from.length > 0 && (await this.readGood(patient, slot, from))
      if (shard) copies.set(slot, shard)
    })
    return copies
  }

  /** The missing shards; undefined where too few others are left. Those that prove damaged are replaced by others. */
  private async rebuild(
    patient: Patient,
    missing: readonly number[],
    copies: ReadonlyMap<number, ShardMatch>,
  ): Promise<readonly Shard[] | undefined> {
    const { policy, shardBytes } = patient.shape
    const shape = shapeOf(policy)
    for (;;) {
      const found = await this.findEnough(patient, missing, copies)
      const [first] = found
      if (first === undefined || found.length < shardsNeeded(policy)) return undefined
      const wanted = missing.map(slot => {
        // A copy is written as it was read.
        if (shape.kind === "copies") return { slot, memory: first.memory, body: first.body }
        const memory = this.lend(patient, shardBytes)
        return { slot, memory, body: memory }
      })
      const checksums = await this.compareAndFill(patient, shape, found, wanted)
      if (checksums)
        return wanted.map((shard, i) => ({ ...shard, checksums: must(checksums[i], "one for each shard") }))
      this.letGo(patient, copies.values())
    }
  }

  /** As many other shards as a rebuild needs, or all that there are. */
  private async findEnough(
    patient: Patient,
    missing: readonly number[],
    copies: ReadonlyMap<number, ShardMatch>,
  ): Promise<readonly ShardMatch[]> {
    const { group, shape } = patient
    const needed = shardsNeeded(shape.policy)
    const present = [...copies.values()].filter(shard => !isKnownDamaged(patient, shard)).slice(0, needed)
    // Blocks begin with different slots, so that all devices take part.
    const n = shardCount(shape.policy)
    const slots = Array.from({ length: n }, (_, i) => (group.block + group.partition + i) % n)
    const more = await gather(this.clock, {
      candidates: slots.filter(slot => !copies.has(slot) && !missing.includes(slot)),
      needed: needed - present.length,
      slowMs: BLOCK_LIMITS.slowReadMsMax,
      ask: slot => this.readFirst(patient, slot, holdersIn(group, slot)),
    })
    return [...present, ...more.values()]
  }

  /**
   * Fills the wanted shards from those found, if all of them are good, and resolves with their checksums.
   * Undefined: one is damaged, which is noted.
   */
  private async compareAndFill(
    patient: Patient,
    shape: CodingShape,
    found: readonly ShardMatch[],
    wanted: readonly Omit<Shard, "checksums">[],
  ): Promise<readonly Uint8Array[] | undefined> {
    const seedOf = (slot: number): bigint => needleSeed(needleIdOf(patient.group, slot))
    const { damaged, checksums } = await this.compute.mend({
      shape,
      present: found.map(({ slot, body, checksums: known }) => {
        return { slot, bytes: body, seed: seedOf(slot), checksums: known }
      }),
      wanted: wanted.map(({ slot, body }) => ({ slot, bytes: body, seed: seedOf(slot) })),
    })
    for (const shard of found) if (damaged.includes(shard.slot)) this.noteDamage(patient, shard)
    return damaged.length === 0 ? checksums : undefined
  }

  private noteDamage({ group, damaged }: Patient, { slot, deviceId }: SlotCopy): void {
    damaged.push({ slot, deviceId })
    if (this.devices.has(deviceId)) this.onDamage({ deviceId, id: needleIdOf(group, slot) })
  }

  /** Memory that is the patient's until everything is written. */
  private lend({ lent }: Patient, lengthBytes: number): Uint8Array {
    const memory = this.compute.shards.take(lengthBytes)
    lent.add(memory)
    return memory
  }
  /** The whole shard, verified, from the first of these devices that has it. */
  private async readGood(patient: Patient, slot: number, from: readonly DeviceId[]): Promise<ShardMatch | undefined> {
    for (;;) {
      const found = await this.readFirst(patient, slot, from)
      if (found === undefined || (await this.compareAndFill(patient, ONE_COPY, [found], []))) return found
    }
  }

  /** The whole shard, not verified yet, from the first of these devices that has it and was not found out. */
  private async readFirst(patient: Patient, slot: number, from: readonly DeviceId[]): Promise<ShardMatch | undefined> {
    const id = needleIdOf(patient.group, slot)
    for (const deviceId of from) {
      if (isKnownDamaged(patient, { slot, deviceId })) continue
      try {
        const fetched = await this.fetch(patient, this.devices.get(deviceId)?.volumes, id)
        if (fetched) return { slot, deviceId, ...fetched, checksums: fetched.header.checksums }
      } catch (error) {
        if (!this.devices.has(deviceId)) continue
        if (!isLoss(error)) throw error
        if (isDamage(error)) this.noteDamage(patient, { slot, deviceId })
      }
    }
    return undefined
  }

  private async fetch(
    patient: Patient,
    volumes: ShardStore | undefined,
    id: NeedleId,
  ): Promise<FetchedShard | undefined> {
    const taken: Uint8Array[] = []
    const allocate = (lengthBytes: number): Uint8Array => {
      const memory = this.compute.shards.take(lengthBytes)
      taken.push(memory)
      return memory
    }
    try {
      return await volumes?.fetch(id, patient.shape.shardBytes, allocate)
    } finally {
      for (const memory of taken) {
        // Somebody else was quicker, and everything is over.
        if (patient.isOver) this.compute.shards.give(memory)
        else patient.lent.add(memory)
      }
    }
  }

  private async append({ group, live, shape }: Patient, shard: Shard, to: DeviceId): Promise<void> {
    const id = needleIdOf(group, shard.slot)
    const device = this.devices.get(to)
    if (!device) throw fail("deviceFailed", { device: to })
    await device.volumes.append({
      id,
      owner: live.owner,
      policy: shape.policy,
      blockLengthBytes: shape.lengthBytes,
      recoveryHeader: group.block === 0 ? live.recoveryHeader() : undefined,
      body: shard.body,
      checksums: shard.checksums,
      isUnhurried: true,
    })
  }

  private async removeSurplus(patient: Patient, { surplus }: MendPlan, written: readonly number[]): Promise<number> {
    const { group } = patient
    const removed = await mapBounded(surplus, BLOCK_LIMITS.shardsAtOnce, async ({ slot, deviceId, onceOn }) => {
      const id = needleIdOf(group, slot)
      if (!written.includes(slot) && !(await this.readGood(patient, slot, [onceOn]))) return 0
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

const isKnownDamaged = ({ damaged }: Patient, { slot, deviceId }: SlotCopy): boolean =>
  damaged.some(copy => copy.slot === slot && copy.deviceId === deviceId)

const holdersIn = ({ shards }: BlockGroup, slot: number): readonly DeviceId[] =>
  shards.flatMap(shard => (shard.slot === slot ? [shard.deviceId] : []))
