import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { parseDeviceId, type DeviceId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import {
  defaultPolicy,
  parsePolicy,
  shardCount,
  shardsNeeded,
  textOfPolicy,
  type Policy,
} from "@hayloft/base/policy.js"
import { planLayout, type Layout } from "../placement/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { evaluateSafety, RISKIEST_MAX, SafetyEvaluator, type SafetyDevice, type SafetyInput } from "./safety-core.js"

const idOf = (index: number): DeviceId => parseDeviceId((index + 1).toString(16).padStart(16, "0"))

/** A group with a shared fate, listed one by one: the disks of its pieces, and how many must remain. */
interface Fate {
  readonly disks: readonly string[]
  readonly needed: number
  readonly bytes: number
  readonly partition: number | undefined
  readonly isNames: boolean
}

/** States here are made with every disk known. */
const diskNameOf = ({ disk }: SafetyDevice): string => disk ?? assert.fail("a device without a disk")

function fatesNow(input: SafetyInput): Fate[] {
  const diskOf = (id: DeviceId) => input.devices.find(device => device.id === id && device.state !== "offline")?.disk
  const has = (id: DeviceId | undefined, partition: number): id is DeviceId => {
    const device = input.devices.find(each => each.id === id)
    if (id === undefined || device === undefined || device.state === "offline") return false
    const flags = input.lacking.get(id)
    return flags === undefined ? device.state !== "rebuilding" : flags[partition] === 0
  }
  const disksOf = (ids: readonly DeviceId[]) => ids.flatMap(id => diskOf(id) ?? [])
  const at = ({ table, width, devices }: Layout, partition: number, slot: number) =>
    slot < width ? devices[table[partition * width + slot] ?? 0] : undefined
  const { layout, previousLayout, metadata } = input
  const partitions = layout.table.length / layout.width
  const fates: Fate[] = []
  if (metadata) {
    fates.push({ disks: disksOf(metadata.replicas), needed: 1, bytes: 0, partition: undefined, isNames: true })
  }
  for (const { partition, needed, devices, bytes } of input.misplacedGroups) {
    fates.push({ disks: disksOf(devices), needed, bytes, partition, isNames: false })
  }
  for (const { policy, bytes, isNew } of input.policies) {
    for (let partition = 0; partition < partitions; partition += 1) {
      const slots = Array.from({ length: Math.min(shardCount(policy), layout.width) }, (_, slot) => slot)
      const before = slots.flatMap(slot => {
        const to = at(layout, partition, slot)
        const from = previousLayout ? at(previousLayout, partition, slot) : to
        // A device that gained the slot has the shard only if a scan found it.
        const isBelieved = to !== undefined && (to === from || input.lacking.has(to))
        if (has(to, partition) && isBelieved) return [to]
        return has(from, partition) ? [from] : []
      })
      const since = slots.flatMap(slot => at(layout, partition, slot) ?? [])
      const common = { needed: shardsNeeded(policy), partition, isNames: false }
      const [b, s] = [disksOf(before), disksOf(since)]
      const isSince = previousLayout && (isNew === true || previousLayout.width < shardsNeeded(policy))
      const halves = previousLayout === undefined ? [b] : isSince ? [s] : [b, s]
      // The bytes are counted once, by the worse half.
      const worst = Math.min(...halves.map(disks => survived(input, { ...common, disks, bytes: 0 })))
      let voting = false
      for (const disks of halves) {
        const isWorst: boolean = !voting && survived(input, { ...common, disks, bytes: 0 }) === worst
        fates.push({ ...common, disks, bytes: isWorst ? bytes / partitions : 0 })
        voting ||= isWorst
      }
    }
  }
  return fates
}

const stays = ({ disks, needed }: Fate, lost: readonly string[]): boolean =>
  disks.filter(disk => !lost.includes(disk)).length >= needed

function subsetsOf(disks: readonly string[]): readonly (readonly string[])[] {
  return Array.from({ length: 2 ** disks.length }, (_, bits) => disks.filter((__, i) => (bits & (1 << i)) !== 0))
}

/** How many arbitrary disks may fail, by trying all sets; -1: lost already. */
function survived({ devices }: Pick<SafetyInput, "devices">, ...fates: readonly Fate[]): number {
  const disks = [...new Set(devices.map(diskNameOf))]
  const fatal = subsetsOf(disks).filter(lost => fates.some(fate => !stays(fate, lost)))
  return Math.min(...fatal.map(lost => lost.length)) - 1
}

/** The same store with everything in place. */
function mended(input: SafetyInput): SafetyInput {
  const { metadata, devices, policies } = input
  const holders = metadata ? [...metadata.replicas, ...metadata.learners] : []
  for (const { id, state } of devices) {
    if (holders.length < (metadata?.copiesWanted ?? 0) && state !== "draining" && !holders.includes(id))
      holders.push(id)
  }
  return {
    ...input,
    devices: devices.map(device => ({ ...device, state: "active" })),
    previousLayout: undefined,
    policies: policies.filter(({ isDecommissioning }) => !isDecommissioning),
    metadata: metadata && { ...metadata, replicas: holders },
    lacking: new Map(),
    misplacedGroups: [],
  }
}

const apart = (input: SafetyInput): SafetyInput => ({
  ...input,
  devices: input.devices.map(device => ({ ...device, disk: device.id })),
})

/** Planning takes longer than the code under test. */
const planned = new Map<string, Layout>()

function plannedFor(ids: readonly number[], width: number): Layout {
  const name = `${ids.join()} ${width}`
  const layout =
    planned.get(name) ??
    planLayout(
      ids.map(index => ({ id: idOf(index), weight: 1 })),
      width,
    )
  planned.set(name, layout)
  return layout
}

function randomState(random: SimRandom): SafetyInput {
  const count = 2 + random.below(6)
  const oneOf = <T>(values: readonly T[]): T => values[random.below(values.length)] ?? (() => assert.fail())()
  const sharing = random.below(3) === 0
  const faulty = Math.max(0, random.below(4) - 1)
  const devices: SafetyDevice[] = Array.from({ length: count }, (_, index) => ({
    id: idOf(index),
    disk: sharing ? `disk ${random.below(count)}` : `disk ${index}`,
    state: random.below(4) < faulty ? oneOf(["active", "rebuilding", "offline", "draining"]) : "active",
  }))
  const partitions = 1 + random.below(6)
  const layoutOf = (ids: readonly number[], width: number): Layout => {
    const whole = plannedFor(ids, width)
    const from = random.below(PARTITIONS - partitions) * width
    return { ...whole, table: whole.table.slice(from, from + partitions * width) }
  }
  const all = devices.map((_, index) => index)
  // An older layout may name a device that has been forgotten.
  const older = random.below(4) === 0 ? [...all, count] : all.slice(0, 1 + random.below(count))
  const width = Math.max(1 + random.below(count), 1 + random.below(count))
  const policies: Policy[] = Array.from({ length: 1 + random.below(3) }, () => {
    const shards = 1 + random.below(width)
    const k = Math.min(1 + random.below(shards), 1 + random.below(shards))
    return k === shards || random.below(3) === 0
      ? parsePolicy(`replica:${shards}`)
      : parsePolicy(`ec:${k}+${shards - k}`)
  })
  const flags = () => Uint8Array.from({ length: partitions }, () => random.below(2))
  const lacking = devices.flatMap(({ id, state }): [DeviceId, Uint8Array][] =>
    random.below(state === "rebuilding" ? 2 : 6) === 0 ? [[id, flags()]] : [],
  )
  const some = (share: number) => [...new Set([...all.filter(() => random.below(share) > 0), oneOf(all)])]
  const replicas = some(3)
  return {
    devices,
    layout: layoutOf(all, width),
    previousLayout: random.below(3) === 0 ? layoutOf(older, 1 + random.below(older.length)) : undefined,
    policies: policies.map((policy, i) => ({
      policy,
      bytes: partitions * 1000,
      isDecommissioning: i > 0 && random.below(2) === 0,
      isNew: random.below(6) === 0,
    })),
    metadata: {
      replicas: replicas.map(idOf),
      learners: all.filter(index => !replicas.includes(index) && random.below(4) === 0).map(idOf),
      copiesWanted: 1 + random.below(count),
    },
    lacking: new Map(lacking),
    misplacedGroups: Array.from({ length: random.below(2) * random.below(4) }, () => {
      const on = some(2)
      return {
        partition: random.below(partitions),
        needed: 1 + random.below(on.length),
        devices: on.map(idOf),
        bytes: 5,
      }
    }),
  }
}

test("agrees with trying every set of disks against every group, on random states", () => {
  const random = new SimRandom(TEST_SEED)
  const seen = new Map<number, number>()
  for (let round = 0; round < runsOf(2_000); round += 1) {
    const input = randomState(random)
    const label = `round ${round}`
    const safety = evaluateSafety(input)
    const fates = fatesNow(input)
    const losses = survived(input, ...fates)
    seen.set(losses, (seen.get(losses) ?? 0) + 1)
    assert.equal(safety.now.disks, losses, label)
    assert.equal(safety.now.devices, survived(apart(input), ...fatesNow(apart(input))), label)
    const healthy = mended(input)
    assert.equal(safety.whole.disks, survived(healthy, ...fatesNow(healthy)), label)
    assert.equal(safety.whole.devices, survived(apart(healthy), ...fatesNow(apart(healthy))), label)

    const here = input.devices.filter(({ state }) => state !== "offline").map(diskNameOf)
    assert.deepEqual([safety.disks, safety.offline], [new Set(here).size, input.devices.length - here.length], label)
    const opening = {
      disks: here,
      needed: Math.floor(here.length / 2) + 1,
      bytes: 0,
      partition: undefined,
      isNames: false,
    }
    assert.equal(safety.opensWithout, Math.max(0, survived(input, opening)), label)

    const readable = fates.filter(fate => stays(fate, []))
    const disks = [...new Set(input.devices.map(diskNameOf))]
    const fatal = disks.filter(disk => readable.some(fate => !stays(fate, [disk])))
    const critical = input.devices.filter(({ state, disk }) => state !== "offline" && fatal.includes(disk ?? ""))
    assert.deepEqual(
      safety.critical,
      critical.map(({ id }) => id),
      label,
    )

    const levels = new Map<number, number>()
    for (const fate of fates) {
      const level = survived(input, fate)
      levels.set(level, (levels.get(level) ?? 0) + fate.bytes)
    }
    assert.deepEqual(
      safety.levels,
      [...levels]
        .filter(([, bytes]) => bytes > 0)
        .sort(([a], [b]) => a - b)
        .map(([at, bytes]) => ({ losses: at, bytes })),
      label,
    )
    for (const { partition, losses: reported } of safety.riskiest) {
      assert.equal(
        reported,
        survived(input, ...fates.filter(fate => fate.partition === partition)),
        `${label}, riskiest`,
      )
    }
    // The weakest partition comes first, if it lacks something and metadata is not the limit.
    const isStill =
      input.previousLayout === undefined && input.policies.every(({ isDecommissioning }) => !isDecommissioning)
    if (safety.weakest === "blocks" && losses < safety.whole.disks && isStill) {
      assert.equal(safety.riskiest[0]?.losses, losses, label)
    }
  }
  for (const losses of [-1, 0, 1, 2, 3])
    assert.ok((seen.get(losses) ?? 0) >= 3, `${losses}: ${seen.get(losses)} states`)
})

/** The same store a little later: with or without a change. */
function laterState(input: SafetyInput, other: SafetyInput, random: SimRandom): SafetyInput {
  const { devices, policies, lacking, metadata } = input
  const at = random.below(devices.length)
  const withDevice = (change: Partial<SafetyDevice>): SafetyInput => ({
    ...input,
    devices: devices.map((device, i) => (i === at ? { ...device, ...change } : device)),
  })
  // The shard scan also changes flags in place: those of the earlier state become those of the later one.
  const flip = (): SafetyInput => {
    for (const flags of lacking.values()) flags[random.below(flags.length)] = random.below(2)
    return input
  }
  const flagged = () =>
    devices.flatMap(({ id }, i): [DeviceId, Uint8Array][] => {
      const flags = lacking.get(id) ?? new Uint8Array(input.layout.table.length / input.layout.width)
      return (i === at) === lacking.has(id) ? [] : [[id, flags]]
    })
  const changes: readonly (() => SafetyInput)[] = [
    () => input,
    () => ({ ...input, policies: policies.map(use => ({ ...use, bytes: use.bytes * 2 })) }),
    () => ({ ...input, policies: policies.map(use => ({ ...use, isDecommissioning: random.below(2) === 0 })) }),
    () => ({ ...input, policies: policies.map(use => ({ ...use, isNew: random.below(2) === 0 })) }),
    () => ({ ...input, policies: [...policies, ...policies.slice(0, 1)] }),
    () => ({ ...input, misplacedGroups: other.misplacedGroups.filter(({ partition }) => partition === 0) }),
    () => ({ ...input, lacking: new Map(flagged()) }),
    () => ({ ...input, previousLayout: input.previousLayout === undefined ? input.layout : undefined }),
    () => withDevice({ state: "offline" }),
    () => withDevice({ state: "active" }),
    () => withDevice({ state: "rebuilding" }),
    () => withDevice({ disk: "disk 0" }),
    () => ({ ...input, metadata: metadata && { ...metadata, replicas: metadata.replicas.slice(1) } }),
    () => ({ ...input, metadata: undefined }),
    flip,
    () => other,
  ]
  return (changes[random.below(changes.length)] ?? flip)()
}

test("an evaluator that is reused returns what a new one returns, whatever changed in between", () => {
  const random = new SimRandom(TEST_SEED)
  const evaluate = new SafetyEvaluator()
  let input = randomState(random)
  for (let round = 0; round < runsOf(1_000); round += 1) {
    assert.deepEqual(evaluate.evaluate(input), evaluateSafety(input), `round ${round}`)
    input = laterState(input, randomState(random), random)
  }
})

function store(devices: number, policy: Policy, change: Partial<SafetyInput> = {}): SafetyInput {
  const ids = Array.from({ length: devices }, (_, index) => idOf(index))
  const copies = Math.min(devices, 3)
  return {
    devices: ids.map(id => ({ id, state: "active", disk: id })),
    layout: planLayout(
      ids.map(id => ({ id, weight: 1 })),
      shardCount(policy),
    ),
    previousLayout: undefined,
    policies: [{ policy, bytes: 1000, isDecommissioning: false }],
    metadata: { replicas: ids.slice(0, copies), learners: [], copiesWanted: copies },
    lacking: new Map(),
    misplacedGroups: [],
    ...change,
  }
}

const withStates = (input: SafetyInput, states: Readonly<Record<number, SafetyDevice["state"]>>): SafetyInput => ({
  ...input,
  devices: input.devices.map((device, index) => ({ ...device, state: states[index] ?? device.state })),
})

test("two lost of 4+3 leave one; the partitions that lost most come first", () => {
  const input = withStates(store(7, parsePolicy("ec:4+3"), { metadata: metadataOn(5) }), { 5: "offline", 6: "offline" })
  const safety = evaluateSafety(input)
  assert.deepEqual([safety.now.disks, safety.whole.disks], [1, 3])
  assert.deepEqual(safety.causes.offline, [idOf(5), idOf(6)])
  assert.deepEqual(safety.critical, [])
  assert.equal(safety.riskiest.length, RISKIEST_MAX)
  assert.deepEqual(safety.riskiest[0], { partition: 0, losses: 1, lacking: safety.riskiest[0]?.lacking })
  assert.deepEqual(new Set(safety.riskiest[0]?.lacking), new Set([idOf(5), idOf(6)]))
})

const metadataOn = (count: number) => ({
  replicas: Array.from({ length: count }, (_, index) => idOf(index)),
  learners: [],
  copiesWanted: count,
})

test("a rebuilding device counts where it has caught up, and only there", () => {
  const base = withStates(store(3, parsePolicy("replica:2"), { metadata: metadataOn(3) }), { 2: "rebuilding" })
  assert.equal(evaluateSafety(base).now.disks, 0)
  const half = new Uint8Array(PARTITIONS).fill(1, PARTITIONS / 2)
  const rebuilding = evaluateSafety({ ...base, lacking: new Map([[idOf(2), half]]) })
  assert.equal(rebuilding.now.disks, 0)
  // A third of the partitions do not use it, and half of the others have been rebuilt.
  const safe = rebuilding.levels.find(({ losses }) => losses === 1)?.bytes ?? 0
  assert.ok(safe > 640 && safe < 695, `${safe} of 1000 bytes`)
  const filled = evaluateSafety({ ...base, lacking: new Map([[idOf(2), new Uint8Array(PARTITIONS)]]) })
  assert.deepEqual([filled.now.disks, filled.riskiest.length], [1, 0])
})

test("while shards move, a shard that has not arrived counts at its old place", () => {
  const before = store(4, parsePolicy("ec:2+2"), { metadata: metadataOn(3) })
  const five = store(5, parsePolicy("ec:2+2"), { metadata: metadataOn(3) })
  const moving = { ...five, previousLayout: before.layout, devices: five.devices }
  const arriving = evaluateSafety(withStates(moving, { 4: "rebuilding" }))
  assert.deepEqual([arriving.now.disks, arriving.causes.isMoving, arriving.riskiest.length], [2, true, 0])
  const withoutWhatWas = withStates({ ...moving, previousLayout: undefined }, { 4: "rebuilding" })
  assert.equal(evaluateSafety(withoutWhatWas).now.disks, 1)
})

test("metadata on fewer devices than shards limits what may fail", () => {
  const safety = evaluateSafety(store(6, parsePolicy("ec:3+3"), { metadata: { ...metadataOn(2), copiesWanted: 5 } }))
  assert.deepEqual([safety.now.disks, safety.whole.disks, safety.weakest], [1, 3, "metadata"])
  assert.equal(safety.causes.metadataCopiesMissing, 3)
})

test("blocks of a wider policy that was just set do not count as lost", () => {
  const previousLayout = plannedFor([0, 1, 2, 3, 4, 5], 2)
  const during = (policies: SafetyInput["policies"]) =>
    evaluateSafety(store(6, parsePolicy("ec:4+2"), { previousLayout, policies, metadata: metadataOn(6) })).now.disks
  const old = { policy: parsePolicy("replica:2"), bytes: 1000, isDecommissioning: true }
  assert.equal(during([old, { policy: parsePolicy("ec:4+2"), bytes: 0, isDecommissioning: false }]), 1)
  // Some blocks of this policy may be on two devices only.
  const fitting = { policy: parsePolicy("ec:2+1"), bytes: 0, isDecommissioning: false }
  assert.equal(during([fitting]), 0)
  assert.equal(during([{ ...fitting, isNew: true }]), 1)
})

test("folders of one disk fail together", () => {
  const shared = (disks: readonly string[]): SafetyInput => {
    const input = store(disks.length, defaultPolicy(disks.length), { metadata: metadataOn(disks.length) })
    return { ...input, devices: input.devices.map((device, index) => ({ ...device, disk: disks[index] ?? "" })) }
  }
  const one = evaluateSafety(shared(["a", "a", "a", "a"]))
  assert.deepEqual([one.disks, one.now], [1, { disks: 0, devices: 2 }])
  const two = evaluateSafety(shared(["a", "a", "b", "b"]))
  assert.deepEqual([two.disks, two.now], [2, { disks: 1, devices: 2 }])
  const uneven = evaluateSafety(shared(["a", "a", "a", "b", "c", "d"]))
  assert.deepEqual(uneven.now, { disks: 0, devices: 2 }, textOfPolicy(defaultPolicy(6)))
  assert.deepEqual(uneven.critical, [idOf(0), idOf(1), idOf(2)])
})

test("if each partition lacks the shard of its first slot, every device is critical for some", () => {
  const input = store(3, parsePolicy("ec:2+1"), { metadata: metadataOn(3) })
  const { table, width, devices } = input.layout
  const lacking = new Map(
    devices.map((id, index) => [
      id,
      Uint8Array.from({ length: PARTITIONS }, (_, partition) => (table[partition * width] === index ? 1 : 0)),
    ]),
  )
  const safety = evaluateSafety({ ...input, lacking })
  assert.deepEqual([safety.now.disks, safety.critical, safety.riskiest.length], [0, devices, RISKIEST_MAX])
  const whole = evaluateSafety(input)
  assert.deepEqual([whole.now.disks, whole.critical, whole.riskiest, whole.levels.length], [1, [], [], 1])
})
