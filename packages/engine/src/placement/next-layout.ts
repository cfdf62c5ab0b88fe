/**
 * The next layout over a changed set of devices. Pure and deterministic.
 *
 * Promises  A partition's slots are on distinct devices, spread as evenly over zones, machines and disks as their
 *           devices allow (`spread.ts`). Within that, devices hold their shares by weight, to within `SLACK`;
 *           smaller differences move nothing. A slot keeps its device unless that device leaves, holds too much, makes
 *           space for one that holds too little, or prevents an even spread; slots are never permuted. If
 *           no domains are named, a table is the same in all versions of the program (`golden-tables.test.ts`).
 * Cost      Tens of milliseconds for 65,536 partitions, 14 slots and 32 devices; seconds for 1,000 devices.
 */
import { assert } from "@hayloft/base/assert.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { Disorder } from "./disorder.js"
import { LayoutDraft, SlotQuotas, VACANT } from "./layout-draft.js"
import type { Layout, LayoutDevice } from "./layout.js"
import { shiftAlongChains } from "./shift-chains.js"
import { targetsOf } from "./shares.js"
import { spreadOut } from "./spread-out.js"
import { takeBack } from "./take-back.js"

/** A device within this relative distance of its share stays as it is. */
const SLACK = 0.0025
/** Walks over all partitions for direct moves, before moves through a third device. */
const PASSES_MAX = 4
/** Above this fraction of a slot a device is due to get one. */
const DUE_MIN = 0.5
/** Ranks a device that may not gain below all others. */
const LAST_RESORT = -1e12

/** A first layout. Simulations pass fewer `partitions` for speed. */
export function planLayout(
  devices: readonly LayoutDevice[],
  width: number,
  version = 1,
  partitions = PARTITIONS,
): Layout {
  const usable = devices.filter(({ weight }) => weight > 0)
  const draft = new LayoutDraft(partitions, width, usable)
  return settled(draft, usable, version)
}

/**
 * The layout after `before`. Devices that are not in `devices`, or have no weight, lose their slots; new slots
 * are appended, or the last ones dropped, to reach the width. A device that may not gain gets new slots
 * only if no other device is available. At least `width` devices need a weight.
 */
export function planNext(before: Layout, devices: readonly LayoutDevice[], width: number, version: number): Layout {
  const usable = usableOf(before, devices)
  return settled(draftOf(before, usable, width), usable, version)
}

/**
 * Returns true if each partition of the layout is spread as evenly over the failure domains as the devices, which
 * include its own, allow: `planNext` would move no shard to another domain because of them.
 */
export function isSpreadEvenly(layout: Layout, devices: readonly LayoutDevice[]): boolean {
  const draft = draftOf(layout, usableOf(layout, devices), layout.width)
  if (draft.tree.isFlat) return true
  for (let partition = 0; partition < draft.partitions; partition += 1) {
    if (draft.look(partition).unevenDomain() >= 0) return false
  }
  return true
}

/**
 * By device, the slots that it should hold by the weights and an even spread over the failure domains; undefined if fewer
 * devices than slots have a weight.
 */
export function fairSlots(layout: Layout, devices: readonly LayoutDevice[]): ReadonlyMap<DeviceId, number> | undefined {
  const usable = usableOf(layout, devices)
  if (usable.length < layout.width) return undefined
  const targets = targetsOf(draftOf(layout, usable, layout.width), usable)
  return new Map(usable.map(({ id }, at) => [id, targets[at] ?? 0]))
}

/** The present layout, as far as its devices are among the usable ones. */
function draftOf(before: Layout, usable: readonly LayoutDevice[], width: number): LayoutDraft {
  const indexes = new Map(usable.map(({ id }, index) => [id, index]))
  const indexOf = before.devices.map(id => indexes.get(id) ?? -1)
  const partitions = before.table.length / before.width
  const draft = new LayoutDraft(partitions, width, usable)
  for (let partition = 0; partition < partitions; partition += 1) {
    for (let slot = 0; slot < Math.min(width, before.width); slot += 1) {
      const index = indexOf[before.table[partition * before.width + slot] ?? 0] ?? -1
      if (index >= 0) draft.put(partition, slot, index)
    }
  }
  return draft
}

/** The layout with one device replaced by another, which takes exactly its slots. */
export function replaceDevice(layout: Layout, old: DeviceId, by: DeviceId, version: number): Layout {
  assert(
    layout.devices.includes(old) && !layout.devices.includes(by),
    "the old device is in the layout and the new one is not",
  )
  return { ...layout, version, devices: layout.devices.map(id => (id === old ? by : id)) }
}

const usableOf = (before: Layout, devices: readonly LayoutDevice[]): readonly LayoutDevice[] =>
  inOrderOf(
    before.devices,
    devices.filter(({ weight }) => weight > 0),
  )

/** Known devices first, in their order, so that a table changes only where slots move. */
function inOrderOf(known: readonly DeviceId[], devices: readonly LayoutDevice[]): readonly LayoutDevice[] {
  const ranks = new Map(known.map((id, rank) => [id, rank]))
  const rank = ({ id }: LayoutDevice): number => ranks.get(id) ?? known.length
  return [...devices].sort((a, b) => rank(a) - rank(b))
}

/**
 * Fills vacant slots, moves slots that are spread unevenly over the domains, then moves from devices that hold too much
 * to those that hold too little, and takes back what has moved for nothing.
 */
function settled(draft: LayoutDraft, devices: readonly LayoutDevice[], version: number): Layout {
  const { partitions, width, table } = draft
  const layout = { version, width, devices: devices.map(({ id }) => id) }
  const disorder = new Disorder(version)
  if (isForAll(draft)) {
    dealToAll(draft, disorder)
    return { ...layout, table: draft.slots }
  }
  const targets = targetsOf(draft, devices)
  const order = disorder.order(partitions)
  const before = table.slice()
  if (table.includes(VACANT)) fillVacant(draft, targets, order, disorder)
  if (!draft.tree.isFlat) spreadOut(draft, targets, order, disorder)
  if (draft.held.some((held, device) => isOff(held, targets[device] ?? 0))) {
    for (let pass = 0; pass < PASSES_MAX && moveDirectly(draft, targets, order, disorder); pass += 1);
    shiftAlongChains(draft, targets, order, before)
  }
  if (!draft.tree.isFlat) takeBack(draft, before)
  return { ...layout, table: draft.slots }
}

/** Returns true if each device gets a slot of each partition: every first start of a small store plans such a layout. */
const isForAll = ({ width, devices, tree, mayGain, held }: LayoutDraft): boolean =>
  width === devices && tree.isFlat && mayGain.every(Boolean) && held.every(count => count === 0)

/** The same as filling vacant slots, which would find all devices equally far behind in each partition. */
function dealToAll({ partitions, width, table }: LayoutDraft, disorder: Disorder): void {
  const slots = new Uint8Array(width)
  for (const partition of disorder.order(partitions)) {
    for (let slot = 0; slot < width; slot += 1) slots[slot] = slot
    disorder.shuffle(slots)
    for (let device = 0; device < width; device += 1) table[partition * width + (slots[device] ?? 0)] = device
  }
}

const isOff = (held: number, target: number): boolean => Math.abs(held - target) > Math.max(1, target * SLACK)

/** Gives each partition's vacant slots to the devices furthest behind, among those that the spread allows. */
function fillVacant(draft: LayoutDraft, targets: readonly number[], order: Uint32Array, disorder: Disorder): void {
  const quotas = new SlotQuotas(
    targets.map((target, device) => target - (draft.held[device] ?? 0)),
    chancesToFill(draft),
  )
  const vacant = new Uint8Array(draft.width)
  const taken = new Int32Array(draft.width)
  const ranks = new Float64Array(draft.devices)
  for (const partition of order) {
    const count = vacantSlots(draft, partition, vacant)
    if (count === 0) continue
    disorder.shuffle(vacant, count)
    const spread = draft.look(partition)
    for (let device = 0; device < draft.devices; device += 1) {
      if (spread.shards[device] !== 0) ranks[device] = -Infinity
      else ranks[device] = quotas.urgencyOrLast(device, disorder) + (draft.mayGain[device] === true ? 0 : LAST_RESORT)
    }
    for (let i = 0; i < count; i += 1) {
      const device = spread.highest(ranks)
      draft.put(partition, vacant[i] ?? 0, device)
      quotas.take(device)
      ranks[device] = -Infinity
      taken[i] = device
    }
    for (let device = 0; device < draft.devices; device += 1) if (ranks[device] !== -Infinity) quotas.pass(device)
    for (let i = 0; i < count; i += 1) quotas.pass(taken[i] ?? 0)
  }
}

/** Writes the vacant slots of a partition to `vacant` and returns their number. */
function vacantSlots(draft: LayoutDraft, partition: number, vacant: Uint8Array): number {
  let count = 0
  for (let slot = 0; slot < draft.width; slot += 1) {
    if (draft.at(partition, slot) !== VACANT) continue
    vacant[count] = slot
    count += 1
  }
  return count
}

/** By device, the partitions with a vacant slot in which it holds no slot. */
function chancesToFill(draft: LayoutDraft): Float64Array {
  const chances = new Float64Array(draft.devices)
  const vacant = new Uint8Array(draft.width)
  let incomplete = 0
  for (let partition = 0; partition < draft.partitions; partition += 1) {
    if (vacantSlots(draft, partition, vacant) === 0) continue
    incomplete += 1
    for (let slot = 0; slot < draft.width; slot += 1) {
      const device = draft.at(partition, slot)
      if (device !== VACANT) chances[device] = (chances[device] ?? 0) - 1
    }
  }
  return chances.map(lost => incomplete + lost)
}

/** One walk that moves slots from devices above target to devices below; returns whether another may find more. */
function moveDirectly(draft: LayoutDraft, targets: readonly number[], order: Uint32Array, disorder: Disorder): boolean {
  const { partitions, held, devices } = draft
  const giving = new SlotQuotas(
    targets.map((target, device) => (held[device] ?? 0) - target),
    held,
  )
  const getting = new SlotQuotas(
    targets.map((target, device) => target - (held[device] ?? 0)),
    held.map(count => partitions - count),
  )
  const [holders, before, takers] = [new Int32Array(draft.width), new Int32Array(draft.width), new Int32Array(devices)]
  let moved = 0
  for (const partition of order) {
    const { shards } = draft.look(partition)
    const count = draft.holdersOf(partition, before)
    const due = dueTakers(shards, getting, disorder, takers)
    for (let i = 0; i < due; i += 1) {
      const taker = takers[i] ?? 0
      draft.holdersOf(partition, holders)
      const giver = mostUrgent(draft, holders, taker, giving, disorder)
      if (giver < 0) continue
      draft.move(partition, giver, taker)
      getting.take(taker)
      giving.take(giver)
      moved += 1
    }
    passBy(before.subarray(0, count), giving, getting)
  }
  return moved > 0 && getting.open > 0
}

/** Records a visited partition, which these devices hold. */
function passBy(holders: Int32Array, giving: SlotQuotas, getting: SlotQuotas): void {
  let next = 0
  for (let device = 0; device < getting.left.length; device += 1) {
    if (device === holders[next]) {
      giving.pass(device)
      next += 1
    } else getting.pass(device)
  }
}

/** Writes the devices that should get a slot, and hold none of the partition, to `takers`; returns their number. */
function dueTakers(shards: Int32Array, getting: SlotQuotas, disorder: Disorder, takers: Int32Array): number {
  let due = 0
  for (let device = 0; device < takers.length; device += 1) {
    if (!getting.isOpen(device) || shards[device] !== 0) continue
    if (getting.urgency(device, disorder) <= DUE_MIN) continue
    takers[due] = device
    due += 1
  }
  return due
}

/** The most urgent holder with a remaining amount that the spread lets the taker replace; -1 if there is none. */
function mostUrgent(
  { spread }: LayoutDraft,
  holders: Int32Array,
  taker: number,
  giving: SlotQuotas,
  disorder: Disorder,
): number {
  let best = -1
  let most = -Infinity
  for (const device of holders) {
    if (!giving.isOpen(device) || !spread.mayMove(device, taker)) continue
    const rank = giving.urgency(device, disorder)
    if (rank <= most) continue
    best = device
    most = rank
  }
  return best
}
