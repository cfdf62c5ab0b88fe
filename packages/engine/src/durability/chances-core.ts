/**
 * Chances by counting: of a loss when devices fail at one moment, and of too few devices that answer. Formulas F16 and
 * F17 of docs/design/durability.md. Products of ratios, so that neither large numbers nor cancellation occur.
 */

/** n (n-1) … (n-count+1) / (d (d-1) … (d-count+1)). */
function fallingRatio(n: number, d: number, count: number): number {
  let ratio = 1
  for (let i = 0; i < count; i += 1) ratio *= (n - i) / (d - i)
  return ratio
}

function choose(n: number, k: number): number {
  let ways = 1
  for (let i = 0; i < k; i += 1) ways *= (n - i) / (i + 1)
  return Math.round(ways)
}

interface Group {
  readonly shards: number
  /** How many of them must be left. */
  readonly needed: number
}

/** F16 for one group: the chance that more of its devices fail than it tolerates, if so many of all fail. */
export function groupLossChance({ shards, needed }: Group, devices: number, failed: number): number {
  let chance = 0
  for (let lost = shards - needed + 1; lost <= Math.min(shards, failed); lost += 1) {
    const kept = shards - lost
    if (devices - failed < kept) continue
    // Which of the group's devices fail: so many orders of the failed and the others, over all orders.
    const rest = kept === 0 ? 1 : fallingRatio(devices - failed, devices - lost, kept)
    chance += choose(shards, lost) * fallingRatio(failed, devices, lost) * rest
  }
  return chance
}

/** F16: the chance that any of the groups is lost. */
export const lossChance = (group: Group, groups: number, devices: number, failed: number): number =>
  -Math.expm1(groups * Math.log1p(-Math.min(1, groupLossChance(group, devices, failed))))

/** F17: the chance that fewer than `needed` of the devices answer. */
export function unavailability({ shards, needed }: Group, deviceAvailability: number): number {
  let chance = 0
  for (let down = shards - needed + 1; down <= shards; down += 1) {
    chance += choose(shards, down) * (1 - deviceAvailability) ** down * deviceAvailability ** (shards - down)
  }
  return chance
}

/** How many sets of that many devices there are. */
export const setsOf = (shards: number, devices: number): number => choose(devices, shards)

/**
 * Groups that fail independently. Groups that share devices share the sets of devices whose failure loses data, of which
 * a layout has no more than there are sets of `tolerated + 1` devices.
 */
export function independentGroups({ shards, needed }: Group, groups: number, devices: number): number {
  const fatal = shards - needed + 1
  return Math.min(groups, fallingRatio(devices, shards, fatal))
}
