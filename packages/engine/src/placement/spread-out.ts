/**
 * Moves that an even spread over the failure domains needs, after a domain was added or named.
 */
import type { Disorder } from "./disorder.js"
import { SlotQuotas, type LayoutDraft } from "./layout-draft.js"

/**
 * Moves slots from domains that have two more of a partition than another, and as few as make it even; preferably
 * from devices that hold too much to those that hold too little.
 */
export function spreadOut(
  draft: LayoutDraft,
  targets: readonly number[],
  order: Uint32Array,
  disorder: Disorder,
): void {
  const uneven = order.filter(partition => draft.look(partition).unevenDomain() >= 0)
  if (uneven.length === 0) return
  const { giving, getting } = quotasOf(draft, targets, uneven)
  const devices = new Int32Array(draft.devices)
  for (const partition of uneven) {
    const spread = draft.look(partition)
    for (let domain = spread.unevenDomain(); domain >= 0; domain = spread.unevenDomain()) {
      const giver = mostUrgent(devices, spread.fullestDevices(domain, devices), giving, disorder)
      spread.change(giver, -1)
      const taker = mostUrgent(devices, spread.openDevices(devices), getting, disorder)
      spread.change(giver, 1)
      draft.move(partition, giver, taker)
      giving.take(giver)
      getting.take(taker)
    }
    for (let device = 0; device < draft.devices; device += 1) {
      if (spread.shards[device] === 0) getting.pass(device)
      else giving.pass(device)
    }
  }
}

function quotasOf(draft: LayoutDraft, targets: readonly number[], uneven: Uint32Array) {
  const { held, width } = draft
  const inUneven = new Int32Array(draft.devices)
  const holders = new Int32Array(width)
  for (const partition of uneven) {
    draft.holdersOf(partition, holders)
    for (const device of holders) inUneven[device] = (inUneven[device] ?? 0) + 1
  }
  return {
    giving: new SlotQuotas(
      targets.map((target, device) => (held[device] ?? 0) - target),
      inUneven,
    ),
    getting: new SlotQuotas(
      targets.map((target, device) => target - (held[device] ?? 0)),
      inUneven.map(count => uneven.length - count),
    ),
  }
}

function mostUrgent(devices: Int32Array, count: number, quotas: SlotQuotas, disorder: Disorder): number {
  let best = devices[0] ?? 0
  let most = -Infinity
  for (let i = 0; i < count; i += 1) {
    const device = devices[i] ?? 0
    const rank = quotas.urgencyOrLast(device, disorder)
    if (rank <= most) continue
    best = device
    most = rank
  }
  return best
}
