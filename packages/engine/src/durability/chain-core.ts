/**
 * How long a group of shards lasts: a Markov chain over the number of lost shards, with its closed form.
 *
 * A group has n shards, of which any k suffice; each is lost at a constant rate and restored at another. State i is "i
 * shards are lost"; beyond n - k, the group is lost. Formulas F1 to F7 of docs/design/durability.md.
 *
 * Promises  No subtraction of nearly equal numbers: results are exact to about 12 digits, however rare the loss.
 * Limits    Failures and repairs have exponential times and are independent.
 */

export const HOURS_PER_YEAR = 8760

/** `parallel`: lost shards are restored independently. `serial`: one at a time. */
export type RepairOrder = "parallel" | "serial"

export interface GroupRates {
  readonly shards: number
  /** How many a read needs. */
  readonly needed: number
  /** The failures of one shard. */
  readonly failuresPerHour: number
  readonly repairsPerHour: number
  readonly order: RepairOrder
  /** Among the failures that leave only the needed shards, the share whose rebuild meets an unreadable sector. */
  readonly unreadableShare?: number
}

/** F1. `log1p`, since rates are small. */
export const failuresPerHourOf = (annualFailureRate: number): number => -Math.log1p(-annualFailureRate) / HOURS_PER_YEAR

/** F7: the chance that at least one sector of the bytes cannot be read. */
export const unreadableShareOf = (unreadableBitRate: number, bytes: number): number =>
  -Math.expm1(8 * bytes * Math.log1p(-unreadableBitRate))

/** F2: the rates out of a state. */
export function ratesOut(group: GroupRates, lost: number): { readonly fail: number; readonly repair: number } {
  const { shards, failuresPerHour, repairsPerHour, order } = group
  return {
    fail: (shards - lost) * failuresPerHour,
    repair: (order === "parallel" ? lost : Math.min(lost, 1)) * repairsPerHour,
  }
}

/** Returns the share of the failures in a state that loses data at once: only those in the last state but one do. */
export const lossShare = ({ shards, needed, unreadableShare = 0 }: GroupRates, lost: number): number =>
  lost === shards - needed - 1 ? unreadableShare : 0

/**
 * F3, with F7: the mean time from a whole group to a loss, in hours.
 *
 * With E(i) the mean time from state i, elimination from state 0 upwards gives E(i) = a(i) + (1 - c(i)) E(i+1). The
 * recursion is for c, since 1 - c is too close to 1.
 */
export function hoursToLoss(group: GroupRates): number {
  const tolerated = group.shards - group.needed
  let [hours, reached] = [0, 1]
  let [a, c] = [0, 0]
  for (let lost = 0; lost <= tolerated; lost += 1) {
    const { fail, repair } = ratesOut(group, lost)
    const share = lossShare(group, lost)
    const out = fail + repair * c
    a = (1 + repair * a) / out
    c = (fail * share + repair * c) / out
    hours += reached * a
    reached *= (fail * (1 - share)) / out
  }
  return hours
}

/** F4: an approximation for repairs that are much faster than failures, without F7. */
export function approximateHoursToLoss(group: GroupRates): number {
  let hours = 1 / ratesOut(group, 0).fail
  for (let lost = 1; lost <= group.shards - group.needed; lost += 1) {
    const { fail, repair } = ratesOut(group, lost)
    hours *= repair / fail
  }
  return hours
}

/** F5: the chance of an event with this rate in a year. */
export const chancePerYear = (ratePerHour: number): number => -Math.expm1(-HOURS_PER_YEAR * ratePerHour)

/** 0.001 has three. */
export const ninesOf = (chance: number): number => Math.max(0, -Math.log10(chance))
