/**
 * Mender: puts the shards of a live block on the right devices. It copies shards from elsewhere, rebuilds lost ones
 * from k others, and removes surplus copies once the right device has a good one. From devices that are being emptied it
 * also moves shards of blocks that no row references.
 *
 * Promises  Only verified bytes are written. A shard is removed from one device only after another device was seen to
 *           have it, whole.
 * Limits    `mendBytesMax` in memory for all concurrent mends; `mendForegroundBytesMax` while clients are active.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardBytesOfBlock, shardCount, shardsNeeded } from "@hayloft/base/policy.js"
import { needleSeed } from "../format/needles/needle.js"
import { ByteBudget, mapBounded } from "@hayloft/base/life/index.js"
import { slotsOf } from "../placement/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { CodingShape, Compute } from "@hayloft/base/seams/compute/contract.js"
import type { FetchedShard, NeedleId, ShardHeader } from "../volume/contract.js"
import type { BlockBackend } from "./backend.js"
import type { Devices, LiveBlock, Mended, ShardCopy } from "./contract.js"
import type { Foreground } from "./foreground.js"
import { firstAnswers } from "./first-answers.js"
import { isDamage, isLoss } from "./holders.js"
import type { Layouts } from "./layouts.js"
import { BLOCK_LIMITS } from "./limits.js"
import { planMend, planMoveAway, type MendPlan, type MendWrite } from "./mend-core.js"
import { blockShape, shapeOf, type BlockShape } from "./read-plan-core.js"
import type { ShardStore } from "./shard-store.js"
import { needleIdOf, type BlockGroup, type HeldShard } from "./shard-scan-core.js"

/** A shard in memory; the memory belongs to the mend until it is over. */
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

/** A shard as read, with its expected checksums. */
type ShardMatch = Shard & SlotCopy

/**
 * A copy elsewhere is removed only within this time after the right device was seen to have the shard. A process that was
 * paused for longer may have lost its lease, and the other copy may be gone.
 */
export const SURPLUS_MS_MAX = 30_000

/** For shards that are only verified. */
const ONE_COPY: CodingShape = { kind: "copies", copies: 1 }

/** The fields that the needles of a block have in common, apart from its shape. */
type Described = Pick<LiveBlock, "owner" | "recoveryHeader">

/** Returns what to do with a block whose partition has these devices. */
type Plan = (group: BlockGroup, slots: readonly DeviceId[], isWritable: (deviceId: DeviceId) => boolean) => MendPlan

/** A mend in progress. */
interface MendState {
  readonly group: BlockGroup
  readonly described: Described
  readonly shape: BlockShape
  /** Memory to return when it is no longer needed for writing. */
  readonly lent: Set<Uint8Array>
  /** Copies of this block that turned out to be damaged. */
  readonly damaged: SlotCopy[]
  /** A device that may have a good copy did not respond. */
  isCutOff: boolean
  /** True after the mend has ended; slow reads may still be running. */
  isOver: boolean
}

export class Mender {
  private readonly budget: ByteBudget

  private readonly clock: Clock
  private readonly devices: Devices
  private readonly layouts: Layouts
  private readonly compute: Compute
  private readonly onDamage: (copy: ShardCopy) => void

  constructor({ clock, devices, layouts, compute, onDamage }: BlockBackend, foreground: Foreground) {
    this.clock = clock
    this.devices = devices
    this.layouts = layouts
    this.compute = compute
    this.onDamage = onDamage
    const { mendBytesMax, mendForegroundBytesMax } = BLOCK_LIMITS
    this.budget = new ByteBudget(() => (foreground.isActive ? mendForegroundBytesMax : mendBytesMax))
  }

  /** See `Blocks.mend`. */
  mend(found: BlockGroup, live: LiveBlock): Promise<Mended> {
    const shape = blockShape(live.extent, found.block)
    return this.carryOut(found, live, shape, (group, slots, isWritable) => planMend(group, shape, slots, isWritable))
  }

  /** See `Blocks.moveAway`. `header`: of any of its needles. */
  moveAway(found: BlockGroup, header: ShardHeader, from: ReadonlySet<DeviceId>): Promise<Mended> {
    const { owner, policy, blockLengthBytes: lengthBytes, recoveryHeader } = header
    const shardBytes = shardBytesOfBlock(shardsNeeded(policy), lengthBytes)
    const shape = { policy, lengthBytes, shardBytes, generation: found.generation, exception: undefined }
    return this.carryOut(found, { owner, recoveryHeader: () => recoveryHeader }, shape, (group, slots, isWritable) =>
      planMoveAway(group, policy, slots, from, isWritable),
    )
  }

  private async carryOut(found: BlockGroup, described: Described, shape: BlockShape, planOf: Plan): Promise<Mended> {
    // Shards on a device that has gone meanwhile do not help.
    const isHere = ({ deviceId }: HeldShard): boolean => this.devices.has(deviceId)
    const group = { ...found, shards: found.shards.filter(isHere), damaged: found.damaged.filter(isHere) }
    const held = this.layouts.hold()
    const state: MendState = { group, described, shape, lent: new Set(), damaged: [], isCutOff: false, isOver: false }
    try {
      const slots = slotsOf(held.layout, group.partition)
      const plan = planOf(group, slots, id => this.devices.get(id)?.isWritable ?? false)
      const { previous } = this.layouts
      const areSame = (): boolean => this.layouts.current === held.layout && this.layouts.previous === previous
      const writingMs = this.clock.monotonicMs()
      const bytesInMemory = this.bytesInMemory(plan, shape)
      const written = await this.budget.run(bytesInMemory, giveBack => this.writeAll(state, plan.writes, giveBack))
      const lacking = plan.writes.flatMap(({ slot, to }) => (written.slots.includes(slot) ? [] : [to]))
      const isCertainAt = (seenMs: number): boolean => areSame() && this.clock.monotonicMs() - seenMs < SURPLUS_MS_MAX
      const removed = await this.removeSurplus(
        state,
        plan,
        new Map(written.slots.map(slot => [slot, writingMs])),
        isCertainAt,
      )
      return {
        writtenShards: written.slots.length,
        writtenBytes: written.slots.length * shape.shardBytes,
        removed: removed.filter(outcome => outcome === "removed").length,
        leftSurplus: removed.includes("left"),
        lacking,
        waitingFor: plan.waitingFor,
        isUnreadable: written.isUnreadable,
      }
    } finally {
      state.isOver = true
      this.free(state, [])
      held.end()
    }
  }

  private bytesInMemory({ writes }: MendPlan, { policy, shardBytes }: BlockShape): number {
    const copied = writes.filter(({ from }) => from.length > 0).length
    const rebuilt = writes.length - copied
    if (rebuilt === 0) return copied * shardBytes
    // A rebuilt copy shares the memory of the copy that was read.
    const isCopies = shapeOf(policy).kind === "copies"
    return (copied + shardsNeeded(policy) + (isCopies ? 0 : rebuilt)) * shardBytes
  }

  /** Returns the slots that are durable on their new device. Throws `deviceFull`. */
  private async writeAll(
    state: MendState,
    writes: readonly MendWrite[],
    giveBack: (bytes: number) => void,
  ): Promise<{ readonly slots: readonly number[]; readonly isUnreadable: boolean }> {
    if (writes.length === 0) return { slots: [], isUnreadable: false }
    const copies = await this.copies(state, writes)
    const missing = writes.flatMap(({ slot }) => (copies.has(slot) ? [] : [slot]))
    const rebuilt = missing.length > 0 ? await this.rebuild(state, missing, copies) : []
    const good = new Map<number, Shard>(copies)
    for (const shard of rebuilt ?? []) good.set(shard.slot, shard)
    // The shards to write are only part of what was read.
    giveBack(this.free(state, good.values()))
    const outcomes = await mapBounded(writes, BLOCK_LIMITS.maxConcurrentShards, async ({ slot, to }) => {
      const shard = good.get(slot)
      return shard && this.append(state, shard, to).then(() => slot, failureOnly)
    })
    // The others have been written all the same: the next visit of the block finds them.
    const full = outcomes.find(lacksSpace)
    if (full !== undefined) throw full
    return {
      slots: outcomes.filter(outcome => typeof outcome === "number"),
      isUnreadable: rebuilt === undefined && !state.isCutOff,
    }
  }

  /** Frees the mend's memory except that of these shards; returns the freed bytes. */
  private free({ lent }: MendState, kept: Iterable<Shard>): number {
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

  /** Shards that have a good copy on another device. */
  private async copies(state: MendState, writes: readonly MendWrite[]): Promise<Map<number, ShardMatch>> {
    const copies = new Map<number, ShardMatch>()
    await mapBounded(writes, BLOCK_LIMITS.maxConcurrentShards, async ({ slot, from }) => {
      const shard = from.length > 0 && (await this.readGood(state, slot, from))
      if (shard) copies.set(slot, shard)
    })
    return copies
  }

  /** The missing shards; undefined if too few others remain. Shards that turn out damaged are replaced by others. */
  private async rebuild(
    state: MendState,
    missing: readonly number[],
    copies: ReadonlyMap<number, ShardMatch>,
  ): Promise<readonly Shard[] | undefined> {
    const { policy, shardBytes } = state.shape
    const shape = shapeOf(policy)
    for (;;) {
      const found = await this.findEnough(state, missing, copies)
      const [first] = found
      if (first === undefined || found.length < shardsNeeded(policy)) return undefined
      const wanted = missing.map(slot => {
        // A rebuilt copy shares the memory of the copy that was read.
        if (shape.kind === "copies") return { slot, memory: first.memory, body: first.body }
        const memory = this.lend(state, shardBytes)
        return { slot, memory, body: memory }
      })
      const checksums = await this.compareAndFill(state, shape, found, wanted)
      if (checksums)
        return wanted.map((shard, i) => ({ ...shard, checksums: must(checksums[i], "one for each shard") }))
      this.free(state, copies.values())
    }
  }

  /** Returns as many of the other shards as a rebuild needs, or all that exist. */
  private async findEnough(
    state: MendState,
    missing: readonly number[],
    copies: ReadonlyMap<number, ShardMatch>,
  ): Promise<readonly ShardMatch[]> {
    const { group, shape } = state
    const needed = shardsNeeded(shape.policy)
    const present = [...copies.values()].filter(shard => !isKnownDamaged(state, shard)).slice(0, needed)
    // Different blocks start at different slots, so that all devices share the reads.
    const n = shardCount(shape.policy)
    const slots = Array.from({ length: n }, (_, i) => (group.block + group.partition + i) % n)
    const more = await firstAnswers(this.clock, {
      candidates: slots.filter(slot => !copies.has(slot) && !missing.includes(slot)),
      needed: needed - present.length,
      slowMs: BLOCK_LIMITS.slowReadMsMax,
      ask: slot => this.readFirst(state, slot, holdersIn(group, slot)),
    })
    return [...present, ...more.values()]
  }

  /**
   * Verifies the shards in `found` and fills the wanted ones from them; resolves with the checksums of the wanted ones.
   * Resolves with undefined, and notes the damage, if any shard in `found` is damaged.
   */
  private async compareAndFill(
    state: MendState,
    shape: CodingShape,
    found: readonly ShardMatch[],
    wanted: readonly Omit<Shard, "checksums">[],
  ): Promise<readonly Uint8Array[] | undefined> {
    const seedOf = (slot: number): bigint => needleSeed(needleIdOf(state.group, slot))
    const { damaged, checksums } = await this.compute.mend({
      shape,
      present: found.map(({ slot, body, checksums: known }) => {
        return { slot, bytes: body, seed: seedOf(slot), checksums: known }
      }),
      wanted: wanted.map(({ slot, body }) => ({ slot, bytes: body, seed: seedOf(slot) })),
    })
    for (const shard of found) if (damaged.includes(shard.slot)) this.noteDamage(state, shard)
    return damaged.length === 0 ? checksums : undefined
  }

  private noteDamage({ group, damaged }: MendState, { slot, deviceId }: SlotCopy): void {
    damaged.push({ slot, deviceId })
    if (this.devices.has(deviceId)) this.onDamage({ deviceId, id: needleIdOf(group, slot) })
  }

  /** Memory that belongs to the mend until everything is written. */
  private lend({ lent }: MendState, lengthBytes: number): Uint8Array {
    const memory = this.compute.shards.take(lengthBytes)
    lent.add(memory)
    return memory
  }
  /** The whole shard, verified, from the first of these devices that has a good copy. */
  private async readGood(state: MendState, slot: number, from: readonly DeviceId[]): Promise<ShardMatch | undefined> {
    for (;;) {
      const found = await this.readFirst(state, slot, from)
      if (found === undefined || (await this.compareAndFill(state, ONE_COPY, [found], []))) return found
    }
  }

  /** The whole shard, not yet verified, from the first of these devices that has it and is not known as damaged. */
  private async readFirst(state: MendState, slot: number, from: readonly DeviceId[]): Promise<ShardMatch | undefined> {
    const id = needleIdOf(state.group, slot)
    for (const deviceId of from) {
      if (isKnownDamaged(state, { slot, deviceId })) continue
      try {
        const fetched = await this.fetch(state, this.devices.get(deviceId)?.volumes, id)
        if (fetched) return { slot, deviceId, ...fetched, checksums: fetched.header.checksums }
      } catch (error) {
        if (!this.devices.has(deviceId)) continue
        if (!isLoss(error)) throw error
        if (isDamage(error)) this.noteDamage(state, { slot, deviceId })
        else if (isFailure(error, "deviceFailed")) state.isCutOff = true
      }
    }
    return undefined
  }

  private async fetch(
    state: MendState,
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
      return await volumes?.fetch(id, state.shape.shardBytes, allocate, undefined, true)
    } finally {
      for (const memory of taken) {
        // The mend ended before this slow read did.
        if (state.isOver) this.compute.shards.give(memory)
        else state.lent.add(memory)
      }
    }
  }

  private async append({ group, described, shape }: MendState, shard: Shard, to: DeviceId): Promise<void> {
    const id = needleIdOf(group, shard.slot)
    const device = this.devices.get(to)
    if (!device) throw fail("deviceFailed", { device: to })
    await device.volumes.append({
      id,
      owner: described.owner,
      policy: shape.policy,
      blockLengthBytes: shape.lengthBytes,
      recoveryHeader: group.block === 0 ? described.recoveryHeader() : undefined,
      body: shard.body,
      checksums: shard.checksums,
      isUnhurried: true,
    })
  }

  /** `written`: when the write of a slot began. `isCertainAt`: whether what was seen at that time holds now. */
  private async removeSurplus(
    state: MendState,
    { surplus }: MendPlan,
    written: ReadonlyMap<number, number>,
    isCertainAt: (seenMs: number) => boolean,
  ): Promise<readonly ("removed" | "kept" | "left")[]> {
    return mapBounded(surplus, BLOCK_LIMITS.maxConcurrentShards, async ({ slot, deviceId, onceOn }) => {
      const id = needleIdOf(state.group, slot)
      const seenMs = written.get(slot) ?? this.clock.monotonicMs()
      if (!written.has(slot) && !(await this.readGood(state, slot, [onceOn]))) return "kept"
      const volumes = this.devices.get(deviceId)?.volumes
      if (volumes === undefined || volumes.refusing !== undefined) return "kept"
      if (!isCertainAt(seenMs)) return "left"
      await volumes.remove([id])
      return "removed"
    })
  }
}

/** A failed device still lacks its shard; any other error is a programming error and is thrown. */
function failureOnly(error: unknown): Failure {
  if (isFailure(error)) return error
  throw error
}

const isKnownDamaged = ({ damaged }: MendState, { slot, deviceId }: SlotCopy): boolean =>
  damaged.some(copy => copy.slot === slot && copy.deviceId === deviceId)

const holdersIn = ({ shards }: BlockGroup, slot: number): readonly DeviceId[] =>
  shards.flatMap(shard => (shard.slot === slot ? [shard.deviceId] : []))
