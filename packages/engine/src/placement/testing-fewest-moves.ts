/**
 * The fewest slots that have to move from one layout to another. For tests of plans, and without their code.
 *
 * A bound by prices (the multipliers of Lagrange): a plan may give a device any number of slots, but pays the device's price
 * for each one above the number that it should have, and gets it for each one below. A plan with the right numbers pays
 * nothing, so none moves less than the best of the plans that may pay, which is found partition by partition. Any prices
 * give such a bound: if all are 0, the moves that an even spread alone needs; if they are 1 for the devices that gain,
 * at least those that the numbers alone need. Others combine the two, and are found from the later layout. Where that has moved
 * something needlessly, they are then raised and lowered as long as that helps.
 */
import assert from "node:assert/strict"
import { slotsPerDevice, type Layout, type LayoutDevice } from "./layout.js"

/** The names of all domains of a device, widest first. */
export const namesOf = ({ id, domains }: LayoutDevice): readonly string[] => {
  const { zone = "", machine = "", disk = `of ${id}` } = domains ?? {}
  return [zone, `${zone}/${machine}`, `${zone}/${machine}/${disk}`]
}

export function* partitionsOf({ table, width, devices }: Layout, every = 1): Generator<readonly string[]> {
  for (let at = 0; at < table.length; at += width * every) {
    yield Array.from(table.subarray(at, at + width), index => devices[index] ?? assert.fail())
  }
}

/** By device; 0 if it is not named. */
type Prices = ReadonlyMap<string, number>

/**
 * A lower bound, usually exact, of the moves by which `before` becomes a layout that is spread evenly over these devices,
 * which are those of `after`, and in which each holds as many slots as in `after`. The search ends when the bound
 * is at least `enough`.
 */
export function fewestMoves(before: Layout, after: Layout, devices: readonly LayoutDevice[], enough: number): number {
  const usable = devices.filter(({ weight }) => weight > 0)
  const [had, has] = [heldBy(before), heldBy(after)]
  const gains = ({ id }: LayoutDevice) => (has.get(id) ?? 0) > (had.get(id) ?? 0)
  const boundAt = boundsOf(before, has, usable)
  let [best, prices]: [number, Prices] = [boundAt(new Map()), new Map()]
  const tries = (others: Prices): boolean => {
    const bound = boundAt(others)
    if (bound <= best) return false
    best = bound
    prices = others
    return true
  }
  tries(pricesAfter(prices, usable.filter(gains), 1))
  if (best < enough) for (const found of pricesFor(before, after, usable)) if (tries(found) && best >= enough) break
  const groups = groupsOf(usable, gains)
  for (let isBetter = true; isBetter && best < enough;) {
    isBetter = false
    for (const group of groups) {
      for (const by of [1, -1]) while (best < enough && tries(pricesAfter(prices, group, by))) isBetter = true
    }
  }
  return best
}

const heldBy = (layout: Layout): ReadonlyMap<string, number> =>
  new Map(slotsPerDevice(layout).map((held, i) => [layout.devices[i] ?? "", held]))

function pricesAfter(prices: Prices, group: readonly LayoutDevice[], by: number): Prices {
  const changed = new Map(prices)
  for (const { id } of group) changed.set(id, (changed.get(id) ?? 0) + by)
  return changed
}

/**
 * Prices at which no exchange of a single shard makes a partition of `after` worth more (after Bellman and Ford): they exist
 * if nothing moved needlessly, and the last ones then make the bound exact. Otherwise earlier ones may be better.
 */
function* pricesFor(before: Layout, after: Layout, devices: readonly LayoutDevice[]): Generator<Prices> {
  const exchanges = exchangesIn(before, after, devices)
  const prices = new Map(devices.map(({ id }) => [String(id), 0]))
  for (let round = 0; round <= devices.length; round += 1) {
    for (const { from, to, cost } of exchanges) {
      prices.set(to, Math.min(prices.get(to) ?? 0, (prices.get(from) ?? 0) + cost))
    }
    yield new Map(prices)
  }
}

interface ShardExchange {
  readonly from: string
  readonly to: string
  /** Moves that it adds. */
  readonly cost: number
}

/** For two devices, the cheapest exchange of one for the other in a partition which leaves that spread evenly. */
function exchangesIn(before: Layout, after: Layout, devices: readonly LayoutDevice[]): readonly ShardExchange[] {
  const store = partOf(devices)
  const olds = [...partitionsOf(before)]
  const cheapest = new Map<string, ShardExchange>()
  for (const [partition, holders] of [...partitionsOf(after)].entries()) {
    const old = new Set(olds[partition])
    const cost = (from: string, to: string) => Number(old.has(from)) - Number(old.has(to))
    for (const from of holders) {
      for (const { id: to, mayGain } of devices) {
        const key = `${from} ${to}`
        if (holders.includes(to) || (mayGain === false && !old.has(to))) continue
        if (cost(from, to) >= (cheapest.get(key)?.cost ?? Infinity)) continue
        const others = new Set(holders.map(id => (id === from ? to : id)))
        const worth = mostWorth(store, ({ id, mayGain }) =>
          others.has(id) ? 1 : mayGain === false && !old.has(id) ? undefined : 0,
        )
        if (worth[after.width] === after.width) cheapest.set(key, { from, to, cost: cost(from, to) })
      }
    }
  }
  return [...cheapest.values()]
}

/** Devices whose prices change together: those of each domain, those of them that gain, the others, and each device. */
function groupsOf(
  devices: readonly LayoutDevice[],
  gains: (device: LayoutDevice) => boolean,
): readonly (readonly LayoutDevice[])[] {
  const domains = [0, 1, 2].flatMap(level =>
    [...new Set(devices.map(device => namesOf(device)[level]))].map(name =>
      devices.filter(device => namesOf(device)[level] === name),
    ),
  )
  const parts = domains.flatMap(all => [all, all.filter(gains), all.filter(device => !gains(device))])
  return [...parts, ...devices.map(device => [device])].filter(({ length }) => length > 0)
}

/** The bound at some prices: a function of them. */
function boundsOf(before: Layout, has: ReadonlyMap<string, number>, devices: readonly LayoutDevice[]) {
  const store = partOf(devices)
  const partitions = Array.from(partitionsOf(before), holders => new Set(holders))
  return (prices: Prices): number => {
    const price = (id: string) => prices.get(id) ?? 0
    let sum = devices.reduce((all, { id }) => all + price(id) * (has.get(id) ?? 0), 0)
    for (const holders of partitions) {
      const worth = mostWorth(store, ({ id, mayGain }) =>
        holders.has(id) ? 1 + price(id) : mayGain === false ? undefined : price(id),
      )
      sum += before.width - (worth[before.width] ?? 0)
    }
    return sum
  }
}

/** A device, or the parts of a domain. */
type Part = LayoutDevice | readonly Part[]

const isDomain = (part: Part): part is readonly Part[] => Array.isArray(part)

function partOf(devices: readonly LayoutDevice[], level = 0): Part {
  const inside = new Map<string, LayoutDevice[]>()
  for (const device of devices) {
    const name = namesOf(device)[level] ?? device.id
    inside.set(name, [...(inside.get(name) ?? []), device])
  }
  return Array.from(inside.values(), members => (members.length > 1 ? partOf(members, level + 1) : (members[0] ?? [])))
}

/**
 * By number of shards in the part, the most that the devices which hold them are worth together, if they are spread
 * evenly. A device that may hold none is worth nothing, which is not 0.
 */
function mostWorth(part: Part, worthOf: (device: LayoutDevice) => number | undefined): readonly number[] {
  if (!isDomain(part)) {
    const worth = worthOf(part)
    return worth === undefined ? [0] : [0, worth]
  }
  const inside = part.map(each => mostWorth(each, worthOf))
  const most = [0]
  // All have this many shards, as far as they can, before any has one more.
  for (let each = 0; ; each += 1) {
    const more = inside.filter(({ length }) => length > each + 1).map(of => (of[each + 1] ?? 0) - (of[each] ?? 0))
    if (more.length === 0) return most
    more.sort((one, two) => two - one)
    for (const worth of more) most.push((most[most.length - 1] ?? 0) + worth)
  }
}
