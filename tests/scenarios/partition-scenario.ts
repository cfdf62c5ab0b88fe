/**
 * Repair of one partition, step by step: devices with their states, blocks with the places of their shards, and the
 * plans of the cores: what a block needs, which shards are written from which sources, and which copies are
 * removed.
 */
import { must } from "@hayloft/base/assert.js"
import { parsePartitionId, parseUploadId, type DeviceId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { parsePolicy, shardBytesOfBlock, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import type { BlockGroup } from "@hayloft/engine/block/index.js"
import { planMend, type MendPlan } from "@hayloft/engine/block/mend-core.js"
import type { HeldShard } from "@hayloft/engine/block/shard-scan-core.js"
import { Census } from "@hayloft/upkeep/repair/repair-census.js"
import type { RepairDevice } from "@hayloft/upkeep/repair/repair-contract.js"
import {
  haveChanged,
  scanBlock,
  takesPart,
  type BlockScan,
  type LayoutPair,
} from "@hayloft/upkeep/repair/repair-core.js"
import { PartitionScan } from "@hayloft/upkeep/repair/repair-visit.js"
import type { Layout } from "@hayloft/engine/placement/index.js"
import { shownBytes, type Call } from "./call.js"
import { idOf, nameOf, namesOf, STATES } from "./devices.js"
import type { Subject } from "./run-scenario.js"

const PARTITION = parsePartitionId(0)
const SHOWN_ACTIONS = {
  nothing: "nothing",
  resolve: "look its row up",
  move: "move shards",
  mend: "rebuild shards",
} as const

interface NamedBlock {
  readonly policy: Policy
  group: BlockGroup
}

export class PartitionScenario implements Subject {
  private layouts: LayoutPair | undefined
  private states = new Map<DeviceId, RepairDevice>()
  private readonly blocks = new Map<string, NamedBlock>()
  private readonly census = new Census()
  private plan: { readonly block: NamedBlock; readonly plan: MendPlan } | undefined
  private changes = 0

  readonly commands = {
    partition: (call: Call) => this.open(call),
    slots: (call: Call) => this.setLayouts(call),
    devices: (call: Call) => this.setStates(call),
    block: (call: Call) => this.declare(call),
    inspect: (call: Call) => [this.inspect(this.block(call))],
    plan: (call: Call) => this.planRepair(call),
    "carry-out": () => this.carryOut(),
    scan: (call: Call) => this.scan(call),
  }

  private open(call: Call): readonly string[] {
    const lines = this.setLayouts(call)
    this.setStates(call)
    return lines
  }

  private setLayouts(call: Call): readonly string[] {
    const [slots, previous] = [call.list("slots"), call.list("previous")]
    if (slots.length === 0) call.reject("needs slots=")
    const version = (this.layouts?.current.version ?? 1) + 1
    this.layouts = {
      current: layoutOf(slots.map(idOf), version),
      previous: previous.length > 0 ? layoutOf(previous.map(idOf), version - 1) : undefined,
    }
    for (const id of [...slots, ...previous].map(idOf)) {
      if (!this.states.has(id)) this.states.set(id, { state: "active", stateSinceMs: 0 })
    }
    const before = previous.length > 0 ? `, before: ${previous.join(" ")}` : ""
    return [`slots: ${slots.join(" ")}${before}`]
  }

  /** Input: `a offline`; `b gone` removes the device. */
  private setStates(call: Call): readonly string[] {
    const before = new Map(this.states)
    this.changes += 1
    for (const line of call.inputCalls()) {
      const [id, text] = [idOf(line.name), line.word()]
      const state = STATES[text]
      if (text === "gone") this.states.delete(id)
      else this.states.set(id, { state: state ?? line.reject("is not a state"), stateSinceMs: this.changes })
      line.checkAllRead()
    }
    return haveChanged(before, this.states) ? ["every partition is scanned again"] : []
  }

  /** Input: `0 on a`, `1 on b damaged`. */
  private declare(call: Call): readonly string[] {
    const [name, policy] = [call.word(), parsePolicy(call.word())]
    const blockBytes = call.number("bytes", 4 * MIB)
    const bodyBytes = shardBytesOfBlock(shardsNeeded(policy), blockBytes)
    const shards: HeldShard[] = []
    const damaged: HeldShard[] = []
    for (const line of call.inputCalls()) {
      if (line.word() !== "on") line.reject("is not like: 0 on a")
      const list = line.flag("damaged") ? damaged : shards
      list.push({ slot: Number(line.name), deviceId: idOf(line.word()), bodyBytes })
      line.checkAllRead()
    }
    const number = this.blocks.size + 1
    const group: BlockGroup = {
      partition: PARTITION,
      uploadId: parseUploadId(number.toString(16).padStart(32, "0")),
      part: 0,
      block: 0,
      generation: 0,
      shape: { policy, blockLengthBytes: blockBytes },
      shards,
      damaged,
    }
    const block = { policy, group }
    this.blocks.set(name, block)
    return [this.inspect(block)]
  }

  private block(call: Call): NamedBlock {
    const name = call.word()
    return this.blocks.get(name) ?? call.reject(`names no block: ${name}`)
  }

  /** The block as a scan finds it: devices that are offline or gone are not queried. */
  private seen({ group }: NamedBlock): BlockGroup {
    const isAsked = ({ deviceId }: HeldShard): boolean =>
      (this.states.get(deviceId)?.state ?? STATES["offline"]) !== STATES["offline"]
    return { ...group, shards: group.shards.filter(isAsked), damaged: group.damaged.filter(isAsked) }
  }

  private inspect(block: NamedBlock): string {
    const { shards, damaged } = this.seen(block)
    return shards.length + damaged.length > 0
      ? shownLook(this.look(block))
      : "no device that is asked has anything of it"
  }

  private look(block: NamedBlock): BlockScan {
    return scanBlock(
      this.seen(block),
      block.policy,
      must(this.layouts, "the scenario begins with partition"),
      this.states,
    )
  }

  /** `placed=0:a`: the row of the block names device a for slot 0. `full=b`: device b has no space. */
  private planRepair(call: Call): readonly string[] {
    const block = this.block(call)
    const placedSlots = call.list("placed").map((text): [number, DeviceId] => {
      const [slot, device] = text.split(":")
      return [Number(slot), idOf(device ?? "")]
    })
    const full = call.list("full").map(idOf)
    const { policy } = block
    const exception =
      placedSlots.length > 0
        ? { firstBlock: 0, lastBlock: 0, policy, generation: 0, missingSlots: [], placedSlots }
        : undefined
    const { devices } = must(this.layouts, "the scenario begins with partition").current
    const isWritable = (id: DeviceId): boolean => takesPart(this.states.get(id)) && !full.includes(id)
    const plan = planMend(this.seen(block), { policy, exception }, devices, isWritable)
    this.plan = { block, plan }
    return shownPlan(plan)
  }

  private carryOut(): readonly string[] {
    const { block, plan } = must(this.plan, "a plan comes first")
    const { group } = block
    const { bodyBytes } = group.shards[0] ?? { bodyBytes: 0 }
    const isSurplus = (shard: HeldShard): boolean =>
      plan.surplus.some(({ slot, deviceId }) => slot === shard.slot && deviceId === shard.deviceId)
    const written = plan.writes.map(({ slot, to }): HeldShard => ({ slot, deviceId: to, bodyBytes }))
    const isWritten = (shard: HeldShard): boolean =>
      written.some(({ slot, deviceId }) => slot === shard.slot && deviceId === shard.deviceId)
    block.group = {
      ...group,
      shards: [...group.shards.filter(shard => !isSurplus(shard)), ...written].sort((a, b) => a.slot - b.slot),
      damaged: group.damaged.filter(shard => !isSurplus(shard) && !isWritten(shard)),
    }
    return [shownShards(block.group.shards), this.inspect(block)]
  }

  /** Sums up the partition as a scan does; `named=x`: a row references block x. */
  private scan(call: Call): readonly string[] {
    const named = call.list("named")
    const partition = new PartitionScan(PARTITION)
    for (const [name, block] of this.blocks) {
      if (this.seen(block).shards.length === 0) continue
      const look = this.look(block)
      const seen = { ...look, isDoubtful: look.isDoubtful && !named.includes(name) }
      const blockBytes = block.group.shape?.blockLengthBytes ?? 0
      partition.add(block.policy, seen, blockBytes, {
        isHeld: false,
        isSettled: false,
        isReleased: false,
        isAwaited: true,
      })
    }
    this.census.set(partition.count)
    const { misplacedBlocks, singleCopyBlocks } = this.census.current(true)
    const { count, left } = partition
    const lines = [
      left
        ? `to do: ${SHOWN_ACTIONS[left.kind]}, spare shards ${left.spareShards}, ${shownBytes(left.bytes)} to write`
        : "to do: nothing",
      ...(count.lackingOn.size > 0 ? [`missing shards on ${namesOf(count.lackingOn)}`] : []),
      ...(count.perhapsLackingOn.size > 0 ? [`perhaps missing on ${namesOf(count.perhapsLackingOn)}`] : []),
      ...misplacedBlocks.map(
        ({ needed, devices, bytes }) =>
          `misplaced: ${shownBytes(bytes)} on ${namesOf(devices)}, of which a read needs ${needed}`,
      ),
      ...(singleCopyBlocks > 0 ? [`single-copy blocks: ${singleCopyBlocks}`] : []),
    ]
    const whole = [...this.states]
      .filter(([id, { state }]) => state === STATES["rebuilding"] && this.census.hasAll(id))
      .map(([id]) => id)
    return [...lines, ...(whole.length > 0 ? [`has all its shards: ${namesOf(whole)}`] : [])]
  }
}

function layoutOf(devices: readonly DeviceId[], version: number): Layout {
  return { version, width: devices.length, devices, table: Uint8Array.from(devices.keys()) }
}

const shownShards = (shards: readonly HeldShard[]): string =>
  `shards: ${shards.map(({ slot, deviceId }) => `${slot} on ${nameOf(deviceId)}`).join(", ")}`

function shownLook(look: BlockScan): string {
  const { need, spareShards, lackingOn, bytesToWrite, isMisplaced, isDoubtful } = look
  return [
    SHOWN_ACTIONS[need],
    `spare shards ${spareShards}`,
    ...(lackingOn.length > 0 ? [`missing on ${namesOf(lackingOn)}`, `${shownBytes(bytesToWrite)} to write`] : []),
    ...(isMisplaced ? ["misplaced"] : []),
    ...(isDoubtful ? ["perhaps deleted meanwhile"] : []),
  ].join(", ")
}

function shownPlan({ writes, surplus, waitingFor }: MendPlan): readonly string[] {
  const lines = [
    ...writes.map(({ slot, to, from }) => {
      const source = from.length > 0 ? `copy from ${namesOf(from)}` : "rebuild"
      return `write shard ${slot} to ${nameOf(to)}: ${source}`
    }),
    ...surplus.map(
      ({ slot, deviceId, onceOn }) => `remove shard ${slot} from ${nameOf(deviceId)} once it is on ${nameOf(onceOn)}`,
    ),
    ...(waitingFor.length > 0 ? [`wait for ${namesOf(waitingFor)}`] : []),
  ]
  return lines.length > 0 ? lines : ["nothing to do"]
}
