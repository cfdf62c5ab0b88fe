/**
 * Layout: which devices hold which partition. Pure.
 *
 * 65,536 partitions, each with an ordered list of `width` distinct devices (its slots). Shard i of a
 * block rests on the device in slot i of the block's partition; a policy narrower than the layout uses
 * the first slots. Two programs with the same layout agree without asking.
 */
import { assert, must } from "../base/assert.js"
import { fail } from "../base/failures.js"
import type { DeviceId, PartitionId } from "../base/ids.js"
import { PARTITIONS } from "../base/limits.js"
import { xxh64 } from "../base/xxh64.js"

export interface LayoutDevice {
  readonly id: DeviceId
  /** Share of the data that the device should hold, relative to the others. */
  readonly weight: number
}

export interface Layout {
  readonly version: number
  /** Slots of each partition. */
  readonly width: number
  /** Index into `devices`, partition by partition, slot by slot. */
  readonly table: Uint8Array
  readonly devices: readonly DeviceId[]
}

export function slotsOf(layout: Layout, partition: PartitionId): readonly DeviceId[] {
  const start = partition * layout.width
  return Array.from(layout.table.subarray(start, start + layout.width), index =>
    must(layout.devices[index], "layouts name their devices"),
  )
}

/**
 * A first layout. Each partition takes the `width` devices that are furthest behind their share, so
 * that shares follow weights as closely as distinct devices allow; a hash of the partition orders its
 * slots, so that data and parity spread evenly.
 */
export function planLayout(devices: readonly LayoutDevice[], width: number, version = 1): Layout {
  assert(width >= 1 && width <= devices.length && devices.length <= 256, "a layout needs as many devices as slots")
  const shares = sharesOf(devices, width)
  const given = devices.map(() => 0)
  const table = new Uint8Array(PARTITIONS * width)
  const order = devices.map((_, index) => index)
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const due = (index: number) => ((partition + 1) * (shares[index] ?? 0)) / PARTITIONS - (given[index] ?? 0)
    const chosen = order
      .map(index => ({ index, due: due(index), tie: tieBreak(partition, index) }))
      .sort((a, b) => b.due - a.due || a.tie - b.tie)
      .slice(0, width)
      .sort((a, b) => a.tie - b.tie)
    chosen.forEach(({ index }, slot) => {
      table[partition * width + slot] = index
      given[index] = (given[index] ?? 0) + 1
    })
  }
  return { version, width, table, devices: devices.map(device => device.id) }
}

/** Slots that each device should hold: by weight, but never more than one of each partition. */
function sharesOf(devices: readonly LayoutDevice[], width: number): readonly number[] {
  const shares = devices.map(() => 0)
  let open = devices.map((_, index) => index)
  let left = width * PARTITIONS
  while (open.length > 0 && left > 0) {
    const weight = open.reduce((sum, index) => sum + (devices[index]?.weight ?? 0), 0)
    assert(weight > 0, "weights are positive")
    const over = open.filter(index => (left * (devices[index]?.weight ?? 0)) / weight >= PARTITIONS)
    if (over.length === 0) {
      for (const index of open) shares[index] = (left * (devices[index]?.weight ?? 0)) / weight
      return shares
    }
    for (const index of over) shares[index] = PARTITIONS
    left -= over.length * PARTITIONS
    open = open.filter(index => !over.includes(index))
  }
  return shares
}

const mixed = new Uint8Array(4)

function tieBreak(partition: number, index: number): number {
  mixed[0] = partition & 0xff
  mixed[1] = partition >>> 8
  mixed[2] = index
  return Number(xxh64(mixed) & 0xffff_ffffn)
}

/** As the control record keeps it: width (1), then the table; devices are the record's, in its order. */
export function encodeLayout(layout: Layout): Uint8Array {
  const bytes = new Uint8Array(1 + layout.table.length)
  bytes[0] = layout.width
  bytes.set(layout.table, 1)
  return bytes
}

/** Throws `corruptRecord` where the table does not fit its devices. */
export function decodeLayout(bytes: Uint8Array, version: number, devices: readonly DeviceId[]): Layout {
  const width = bytes[0] ?? 0
  const table = bytes.subarray(1)
  if (width < 1 || table.length !== PARTITIONS * width || table.some(index => index >= devices.length)) {
    throw fail("corruptRecord", { what: "layout" })
  }
  return { version, width, table, devices }
}
