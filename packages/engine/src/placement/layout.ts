/**
 * Layout: which devices hold which partition. Pure.
 *
 * 65,536 partitions, each with an ordered list of `width` distinct devices (its slots). Shard i of a
 * block is stored on the device in slot i of the block's partition; a policy narrower than the layout uses
 * the first slots. Two programs with the same layout agree without communication.
 */
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId, PartitionId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"

/**
 * The domains that a device fails together with: names, from the widest domain to the narrowest; a machine's is its
 * zone's, and so on.
 */
export interface FailureDomains {
  /** Devices of which none is named are in one zone, and those of a zone in one machine. */
  readonly zone?: string
  readonly machine?: string
  /** A device whose disk is not named has one of its own. */
  readonly disk?: string
}

/** One byte for each slot while 255 devices are enough, else two. */
export type SlotTable = Uint8Array | Uint16Array

const ONE_BYTE_DEVICES_MAX = 0xff

export const tableFor = (devices: number, slots: number): SlotTable =>
  devices <= ONE_BYTE_DEVICES_MAX ? new Uint8Array(slots) : new Uint16Array(slots)

export interface LayoutDevice {
  readonly id: DeviceId
  /** Share of the data that the device should hold, relative to the others; 0: none. */
  readonly weight: number
  /** Default true. False: the device keeps slots that it has, and gets no other (it cannot be written now). */
  readonly mayGain?: boolean
  /** Default: none is named. */
  readonly domains?: FailureDomains
}

export interface Layout {
  readonly version: number
  /** Slots of each partition. */
  readonly width: number
  /** Index into `devices`, partition by partition, slot by slot. */
  readonly table: SlotTable
  readonly devices: readonly DeviceId[]
}

export function slotsOf(layout: Layout, partition: PartitionId): readonly DeviceId[] {
  const start = partition * layout.width
  return Array.from(layout.table.subarray(start, start + layout.width), index =>
    must(layout.devices[index], "layouts name their devices"),
  )
}

/** Slots that each device holds, in the order of `layout.devices`; of the first `slots` of each partition. */
export function slotsPerDevice(layout: Layout, slots = layout.width): readonly number[] {
  const held = layout.devices.map(() => 0)
  for (let at = 0; at < layout.table.length; at += layout.width) {
    for (let slot = 0; slot < Math.min(slots, layout.width); slot += 1) {
      const index = layout.table[at + slot] ?? 0
      held[index] = (held[index] ?? 0) + 1
    }
  }
  return held
}

/** Returns true if each partition's slots lie on distinct devices that the layout names. */
export function isSound({ table, width, devices }: Layout): boolean {
  const seenAt = new Int32Array(devices.length).fill(-1)
  for (let at = 0; at < table.length; at += 1) {
    const index = table[at] ?? 0
    const partition = Math.floor(at / width)
    if (index >= devices.length || seenAt[index] === partition) return false
    seenAt[index] = partition
  }
  return table.length % width === 0
}

/** Added to the width in an encoded table with two bytes for each slot. */
const TWO_BYTES = 0x80

/**
 * Encodes a layout for the control record: width (1), then for each slot a byte, or two (little-endian) if a byte
 * cannot number the devices. The caller stores the devices.
 */
export function encodeLayout({ width, table, devices }: Layout): Uint8Array {
  const isWide = devices.length > ONE_BYTE_DEVICES_MAX
  const bytes = new Uint8Array(1 + table.length * (isWide ? 2 : 1))
  bytes[0] = isWide ? TWO_BYTES + width : width
  if (!isWide) bytes.set(table, 1)
  else {
    const view = new DataView(bytes.buffer)
    table.forEach((index, slot) => view.setUint16(1 + 2 * slot, index, true))
  }
  return bytes
}

/** Throws `corruptRecord` where the table does not fit its devices, or names one twice in a partition. */
export function decodeLayout(bytes: Uint8Array, version: number, devices: readonly DeviceId[]): Layout {
  const head = bytes[0] ?? 0
  const isWide = head >= TWO_BYTES
  const width = isWide ? head - TWO_BYTES : head
  const isExpected =
    width >= 1 &&
    isWide === devices.length > ONE_BYTE_DEVICES_MAX &&
    bytes.length === 1 + PARTITIONS * width * (isWide ? 2 : 1)
  if (!isExpected) throw fail("corruptRecord", { what: "layout" })
  const layout = { version, width, table: isWide ? wideTable(bytes) : bytes.subarray(1), devices }
  if (!isSound(layout)) throw fail("corruptRecord", { what: "layout" })
  return layout
}

function wideTable(bytes: Uint8Array): Uint16Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset + 1, bytes.length - 1)
  const table = new Uint16Array(view.byteLength / 2)
  for (let slot = 0; slot < table.length; slot += 1) table[slot] = view.getUint16(2 * slot, true)
  return table
}
