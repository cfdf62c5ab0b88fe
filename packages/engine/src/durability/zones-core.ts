/**
 * Zones and machines: how shards spread over them, how many may be lost, and how their loss adds to that of devices.
 * Formulas F12 to F15 of docs/design/durability.md.
 *
 * A zone is lost permanently at a constant rate, with all its devices, and rebuilt elsewhere in a given time.
 */
import { HOURS_PER_YEAR, hoursToLoss, type GroupRates } from "./chain-core.js"

/** A zone, machine or other part of a layout, as far as spreading shards goes. */
interface Domain {
  readonly devices: number
}

/** Shards of each domain, in the order of the domains: one at a time to the emptiest one that has a device left. */
export function shardsPerDomain(domains: readonly Domain[], shards: number): readonly number[] {
  const counts = domains.map(() => 0)
  for (let placed = 0; placed < shards; placed += 1) {
    let best: number | undefined
    domains.forEach(({ devices }, at) => {
      const count = counts[at] ?? 0
      if (count < devices && (best === undefined || count < (counts[best] ?? 0))) best = at
    })
    if (best === undefined) break
    counts[best] = (counts[best] ?? 0) + 1
  }
  return counts
}

/** F12: the number of arbitrary domains that may be lost. */
export function domainTolerance(counts: readonly number[], needed: number): number {
  const largestFirst = counts.filter(count => count > 0).sort((a, b) => b - a)
  let left = largestFirst.reduce((sum, count) => sum + count, 0)
  let tolerated = 0
  for (const count of largestFirst) {
    left -= count
    if (left < needed) break
    tolerated += 1
  }
  return tolerated
}

interface ZoneRisk {
  readonly shardsPerZone: readonly number[]
  /** The losses of one zone. */
  readonly lossesPerYear: number
  readonly repairHours: number
}

/** Rates per hour of the ways to lose data; their sum is F15. */
interface LossRates {
  /** Devices alone, F3. */
  readonly devices: number
  /** More zones than the shards tolerate, F13; 0 if zones are not considered. */
  readonly zones: number
  /** A zone, and devices of others while it is rebuilt, F14. */
  readonly zoneAndDevices: number
}

/** How many groups of so many shards fail independently by devices; `lostZone`: only the other zones are left. */
export type CountGroups = (shards: number, lostZone?: number) => number

export const ONE_GROUP: CountGroups = () => 1

/** Rates of groups that fail independently by devices, but together by zones. Of one group, the sum is F15. */
export function lossRates(group: GroupRates, countGroups: CountGroups, risk: ZoneRisk | undefined): LossRates {
  const devices = countGroups(group.shards) / hoursToLoss(group)
  if (risk === undefined || risk.lossesPerYear === 0) return { devices, zones: 0, zoneAndDevices: 0 }
  const counts = risk.shardsPerZone.filter(count => count > 0)
  const tolerated = domainTolerance(counts, group.needed)
  const perHour = risk.lossesPerYear / HOURS_PER_YEAR
  const zones = hoursToLoss({
    shards: counts.length,
    needed: counts.length - tolerated,
    order: "parallel",
    failuresPerHour: perHour,
    repairsPerHour: 1 / risk.repairHours,
  })
  const chances = risk.shardsPerZone.map((count, zone) => {
    const left = group.shards - count
    if (tolerated === 0 || count === 0 || left < group.needed) return 0
    return -Math.expm1((-countGroups(left, zone) * risk.repairHours) / hoursToLoss({ ...group, shards: left }))
  })
  return { devices, zones: 1 / zones, zoneAndDevices: perHour * chances.reduce((sum, chance) => sum + chance, 0) }
}

export const totalLossRate = ({ devices, zones, zoneAndDevices }: LossRates): number => devices + zones + zoneAndDevices
