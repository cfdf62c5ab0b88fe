/** Random states of stores, for tests of how safe a store is: any mix of states, layouts, policies and misplaced blocks. */
import { must } from "@hayloft/base/assert.js"
import { parseDeviceId, type DeviceId } from "@hayloft/base/ids.js"
import { parsePolicy, type Policy } from "@hayloft/base/policy.js"
import type { Layout } from "../placement/index.js"
import type { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { MisplacedGroup, StoragePolicyUse, SafetyDevice, SafetyInput } from "./safety-core.js"

/** Size limits of a random store. */
interface StateSize {
  readonly devices: number
  /** Most slots of a partition. */
  readonly width: number
  readonly partitions: number
  /** Most devices that hold metadata, and most devices of a misplaced group. */
  readonly holders: number
}

const idOf = (index: number): DeviceId => parseDeviceId((index + 1).toString(16).padStart(16, "0"))

/** Most sums of bytes stay whole numbers, so that they are equal however they are added up. */
const BYTES_OF_PARTITION = 1000
const MISPLACED_BYTES = 5

const oneOf = <T>(random: SimRandom, values: readonly T[]): T => must(values[random.below(values.length)], "not empty")

/** A random sample of the values, without repeats. */
function pick<T>(random: SimRandom, values: readonly T[], count: number): readonly T[] {
  const left = [...values]
  return Array.from({ length: Math.min(count, values.length) }, () =>
    must(left.splice(random.below(left.length), 1)[0], "enough are left"),
  )
}

/** Each partition is on devices chosen at random, without planning, to be fast. */
function randomLayout(random: SimRandom, indexes: readonly number[], width: number, partitions: number): Layout {
  const Table = indexes.length <= 0xff ? Uint8Array : Uint16Array
  const table = new Table(partitions * width)
  const all = indexes.map((_, i) => i)
  for (let at = 0; at < table.length; at += width) table.set(pick(random, all, width), at)
  return { version: 1, width, table, devices: indexes.map(idOf) }
}

/** A table near the previous one, as planning makes it: most slots keep their device. */
function nextLayout(random: SimRandom, before: Layout, indexes: readonly number[], width: number): Layout {
  const next = randomLayout(random, indexes, width, before.table.length / before.width)
  for (let at = 0; at < next.table.length; at += width) {
    const start = (at / width) * before.width
    for (let slot = 0; slot < Math.min(width, before.width); slot += 1) {
      const id = before.devices[before.table[start + slot] ?? 0]
      const index = id === undefined ? -1 : next.devices.indexOf(id)
      const isFree = index >= 0 && !next.table.subarray(at, at + width).includes(index)
      if (isFree && random.below(8) > 0) next.table[at + slot] = index
    }
  }
  return next
}

function randomPolicy(random: SimRandom, width: number): Policy {
  const shards = 1 + random.below(width)
  const k = Math.min(1 + random.below(shards), 1 + random.below(shards))
  const isReplica = k === shards || random.below(3) === 0
  return parsePolicy(isReplica ? `replica:${shards}` : `ec:${k}+${shards - k}`)
}

function randomDevices(random: SimRandom, count: number): readonly SafetyDevice[] {
  const isSharing = random.below(3) === 0
  const ill = Math.max(0, random.below(4) - 1)
  return Array.from({ length: count }, (_, index) => ({
    id: idOf(index),
    disk: isSharing ? `disk ${random.below(count)}` : `disk ${index}`,
    state: random.below(4) < ill ? oneOf(random, ["active", "rebuilding", "offline", "draining"] as const) : "active",
  }))
}

function randomLayouts(random: SimRandom, { devices, width, partitions }: StateSize) {
  const all = Array.from({ length: devices }, (_, index) => index)
  const widest = Math.min(width, devices)
  const chosen = Math.max(1 + random.below(widest), 1 + random.below(widest))
  if (random.below(3) > 0) return { layout: randomLayout(random, all, chosen, partitions), previousLayout: undefined }
  // An older layout may name a device that has been forgotten.
  const older = random.below(4) === 0 ? [...all, devices] : all.slice(0, 1 + random.below(devices))
  const previousLayout = randomLayout(random, older, 1 + random.below(Math.min(width, older.length)), partitions)
  return { layout: nextLayout(random, previousLayout, pick(random, all, devices), chosen), previousLayout }
}

function randomMisplacedGroups(
  random: SimRandom,
  ids: readonly DeviceId[],
  size: StateSize,
): readonly MisplacedGroup[] {
  return Array.from({ length: random.below(2) * random.below(4) }, () => {
    const devices = pick(random, ids, random.below(1 + size.holders))
    return {
      partition: random.below(size.partitions),
      needed: 1 + random.below(Math.max(1, devices.length)),
      devices,
      bytes: MISPLACED_BYTES,
    }
  })
}

export function randomState(random: SimRandom, size: StateSize): SafetyInput {
  const devices = randomDevices(random, size.devices)
  const ids = devices.map(({ id }) => id)
  const { layout, previousLayout } = randomLayouts(random, size)
  const policies = Array.from({ length: 1 + random.below(3) }, (_, i): StoragePolicyUse => ({
    policy: randomPolicy(random, layout.width),
    bytes: size.partitions * BYTES_OF_PARTITION,
    isDecommissioning: i > 0 && random.below(2) === 0,
    isNew: random.below(6) === 0,
  }))
  // A known device often lacks little or nothing.
  const flags = () => {
    const oneIn = 2 ** random.below(4)
    const isWhole = random.below(4) === 0
    return Uint8Array.from({ length: size.partitions }, () => (isWhole || random.below(oneIn) > 0 ? 0 : 1))
  }
  const lacking = devices.flatMap(({ id, state }): [DeviceId, Uint8Array][] =>
    random.below(state === "rebuilding" ? 2 : 6) === 0 ? [[id, flags()]] : [],
  )
  const holders = pick(random, ids, size.holders)
  const replicas = holders.slice(0, 1 + random.below(holders.length))
  return {
    devices,
    layout,
    previousLayout,
    policies,
    metadata: {
      replicas,
      learners: holders.slice(replicas.length).filter(() => random.below(4) === 0),
      copiesWanted: 1 + random.below(holders.length),
    },
    lacking: new Map(lacking),
    misplacedGroups: randomMisplacedGroups(random, ids, size),
  }
}
