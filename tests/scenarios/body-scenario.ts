/**
 * A body from its write to its re-encoding, step by step: how each block is written while devices are offline, when
 * it is acknowledged, how the extent describes it, which missing-shard hints remain, and how re-encoding restores
 * the policy.
 */
import { must } from "@hayloft/base/assert.js"
import { parseUploadId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import { describeBody } from "@hayloft/engine/block/describe-core.js"
import { decideAck, planWrite, type SlotDevice, type WritePlan } from "@hayloft/engine/block/write-plan-core.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { planReencode, reencodedExtent, type ReencodePlan } from "@hayloft/upkeep/reencode/reencode-core.js"
import { rangeOf, shownRange, type Call } from "./call.js"
import { idOf, nameOf, namesOf } from "./devices.js"
import type { Subject } from "./run-scenario.js"

const UPLOAD = parseUploadId("0".repeat(32))
const SHOWN_VERDICTS = { wait: "wait", ack: "acknowledge", fail: "fail" } as const

type Written = Parameters<typeof describeBody>[2][number]

export class BodyScenario implements Subject {
  private policy: Policy | undefined
  private slots: readonly string[] = []
  private plan: WritePlan | undefined
  private written: Written[] = []
  private extent: Extent | undefined
  private reencoding: { readonly wanted: Policy; readonly generation: number; readonly plan: ReencodePlan } | undefined

  readonly commands = {
    body: (call: Call) => this.open(call),
    write: (call: Call) => this.write(call),
    acknowledge: (call: Call) => this.acknowledge(call),
    describe: () => this.describe(),
    reencode: (call: Call) => this.planReencoding(call),
    "carry-out": (call: Call) => this.carryOut(call),
  }

  private open(call: Call): readonly string[] {
    this.policy = parsePolicy(call.word())
    this.slots = call.list("slots")
    return []
  }

  private devices(offline: readonly string[]): readonly SlotDevice[] {
    return this.slots.map(name => ({ id: idOf(name), isWritable: !offline.includes(name) }))
  }

  /** `blocks=0-4 offline=e,f late=2`: shards of the slots in `late` were not durable at the acknowledgement. */
  private write(call: Call): readonly string[] {
    const [first, last] = rangeOf(call.text("blocks"))
    const [offline, late] = [call.list("offline"), call.list("late").map(Number)]
    const devices = this.devices(offline)
    const policy = must(this.policy, "the scenario begins with body")
    const plan = planWrite(policy, devices, call.flag("whole") ? "whole" : "asFits")
    this.plan = plan
    const missingSlots = [...plan.missingSlots, ...late]
    for (let block = first; block <= last; block += 1) {
      this.written.push({ block, plan, missingSlots, slots: devices.map(({ id }) => id) })
    }
    return shownWrite(plan)
  }

  private acknowledge(call: Call): readonly string[] {
    const plan = must(this.plan, "a write comes first")
    const verdict = decideAck(plan, {
      durable: call.number("durable"),
      failed: call.number("failed", 0),
      pending: call.number("pending", 0),
      stragglerOver: call.flag("late"),
    })
    return [SHOWN_VERDICTS[verdict]]
  }

  private describe(): readonly string[] {
    const policy = must(this.policy, "the scenario begins with body")
    const request = { uploadId: UPLOAD, part: 0, blockBytes: MIB, policy }
    const blocks = [...this.written].sort((a, b) => a.block - b.block)
    const { extent, hints } = describeBody(request, blocks.length * MIB, blocks)
    this.extent = extent
    const partitions = new Map<string, number>()
    for (const { deviceId } of hints) partitions.set(nameOf(deviceId), (partitions.get(nameOf(deviceId)) ?? 0) + 1)
    const counts = [...partitions].sort().map(([name, count]) => `${name} ${count}`)
    return [
      ...shownExtent(extent),
      `missing-shard hints, by partition: ${counts.length > 0 ? counts.join(", ") : "none"}`,
    ]
  }

  /** `misplaced=0-3`: blocks with a shard that is not on its assigned device. */
  private planReencoding(call: Call): readonly string[] {
    const wanted = parsePolicy(call.word())
    const generation = call.number("generation")
    const misplaced = call.list("misplaced").map(rangeOf)
    const isAssigned = (block: number): boolean => !misplaced.some(([first, last]) => block >= first && block <= last)
    const plan = planReencode(must(this.extent, "describe comes first"), wanted, isAssigned)
    this.reencoding = plan && { wanted, generation, plan }
    if (!plan) return ["nothing to re-encode"]
    const runs = plan.runs.map(({ firstBlock, lastBlock }) => shownRange(firstBlock, lastBlock))
    const kept = plan.kept.map(({ firstBlock, lastBlock }) => shownRange(firstBlock, lastBlock))
    return [
      `re-encode blocks: ${runs.length > 0 ? runs.join(", ") : "none"}`,
      `keep blocks: ${kept.length > 0 ? kept.join(", ") : "none"}`,
    ]
  }

  /** `late=5:1`: of block 5 the shard of slot 1 was late. */
  private carryOut(call: Call): readonly string[] {
    const { wanted, generation, plan } = must(this.reencoding, "reencode comes first")
    const late = new Map(
      call.list("late").map(text => {
        const [block, ...slots] = text.split(":").map(Number)
        return [block ?? 0, slots] as const
      }),
    )
    this.extent = reencodedExtent(must(this.extent, "describe comes first"), wanted, generation, plan, late)
    return shownExtent(this.extent)
  }
}

function shownWrite({ policy, targets, placedSlots, missingSlots, lacking, durableMin }: WritePlan): readonly string[] {
  const shown = targets.map((id, slot) => `${slot} ${id === undefined ? "nowhere" : `to ${nameOf(id)}`}`)
  return [
    `write as ${textOfPolicy(policy)}: shard ${shown.join(", ")}`,
    ...(placedSlots.length > 0 ? ["the extent names the device of every shard"] : []),
    ...(missingSlots.length > 0 ? [`missing shards: ${missingSlots.join(" ")}`] : []),
    ...(lacking.length > 0 ? [`hints for ${namesOf(lacking)}`] : []),
    `durable shards that an acknowledgement needs: ${durableMin}`,
  ]
}

function shownExtent({ policy, generation, exceptions }: Extent): readonly string[] {
  const usual = `extent: ${textOfPolicy(policy)}, generation ${generation}`
  return [
    usual,
    ...exceptions.map(each => {
      const parts = [`  blocks ${shownRange(each.firstBlock, each.lastBlock)}: ${textOfPolicy(each.policy)}`]
      parts.push(`generation ${each.generation}`)
      if (each.missingSlots.length > 0) parts.push(`missing shards ${each.missingSlots.join(" ")}`)
      if (each.placedSlots.length > 0) {
        parts.push(`placed ${each.placedSlots.map(([slot, id]) => `${slot} on ${nameOf(id)}`).join(" ")}`)
      }
      return parts.join(", ")
    }),
  ]
}
