/** The layout of a store as a file for other programs, and what is wrong with such a file. Pure. */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { shardCount, textOfPolicy } from "@hayloft/base/policy.js"
import type { ControlLayout, ControlRecord } from "../format/device/control-record.js"
import type { LayoutFile, LayoutFileTable } from "../format/device/layout-file.js"
import { isSound, isSpreadEvenly, type Layout } from "../placement/index.js"
import { domainsOfHome, layoutOf } from "./record-layout-core.js"

export function layoutFileOf(record: ControlRecord): LayoutFile {
  const { storeId, policy, layout, previousLayout } = record
  return {
    storeId,
    policy,
    partitions: PARTITIONS,
    devices: record.devices.map(({ id, weight, state, home }) => ({
      id,
      weight,
      state,
      ...(home !== undefined && { node: home.node, ...domainsOfHome(home) }),
    })),
    layout: tableOf(layout),
    previous: previousLayout && tableOf(previousLayout),
  }
}

function tableOf(control: ControlLayout): LayoutFileTable {
  const { version, width, devices, table } = layoutOf(control)
  if (table instanceof Uint8Array) return { version, width, bytesPerSlot: 1, devices, table }
  const bytes = new Uint8Array(2 * table.length)
  const view = new DataView(bytes.buffer)
  table.forEach((index, slot) => view.setUint16(2 * slot, index, true))
  return { version, width, bytesPerSlot: 2, devices, table: bytes }
}

/** Throws `corruptRecord` for a table that is not of this length, or names a device twice in a partition. */
export function layoutOfFile({ version, width, bytesPerSlot, devices, table }: LayoutFileTable): Layout {
  if (width < 1 || table.length !== PARTITIONS * width * bytesPerSlot) {
    throw fail("corruptRecord", { what: "layout file", field: "table" })
  }
  const view = new DataView(table.buffer, table.byteOffset, table.length)
  const slots = Uint16Array.from({ length: PARTITIONS * width }, (_, slot) =>
    bytesPerSlot === 1 ? view.getUint8(slot) : view.getUint16(2 * slot, true),
  )
  const layout = { version, width, devices, table: slots }
  if (!isSound(layout)) throw fail("corruptRecord", { what: "layout file", field: "table" })
  return layout
}

/** Returns the problems of a file that could be read, in sentences; empty: there are none. */
export function problemsOfLayoutFile(file: LayoutFile): readonly string[] {
  const known = new Set(file.devices.map(({ id }) => id))
  const problems: string[] = []
  if (file.partitions !== PARTITIONS) problems.push(`there are ${file.partitions} partitions, not ${PARTITIONS}`)
  if (known.size !== file.devices.length) problems.push("a device is listed twice")
  for (const [name, table] of [["layout", file.layout] as const, ["previous layout", file.previous] as const]) {
    if (table !== undefined) problems.push(...problemsOfTable(name, table, known))
  }
  if (problems.length > 0) return problems
  const places = file.devices.filter(({ state }) => state !== "draining" && state !== "decommissioning")
  const shards = shardCount(file.policy)
  if (places.length < shards || file.layout.width < shards) {
    const slots = `${file.layout.width} slots for each partition`
    problems.push(`${textOfPolicy(file.policy)} needs ${shards} devices: there are ${places.length}, and ${slots}`)
  }
  if (file.previous === undefined && !isEvenlyIn(file)) {
    problems.push("shards of a partition are not spread as evenly over zones, machines and disks as the devices allow")
  }
  return problems
}

function problemsOfTable(name: string, table: LayoutFileTable, known: ReadonlySet<DeviceId>): readonly string[] {
  const unknown = table.devices.filter(id => !known.has(id))
  const problems = unknown.map(id => `the ${name} names device ${id}, which is not listed`)
  if (new Set(table.devices).size !== table.devices.length) problems.push(`the ${name} names a device twice`)
  try {
    layoutOfFile(table)
  } catch (error) {
    if (!isFailure(error, "corruptRecord")) throw error
    problems.push(`the table of the ${name} has the wrong length, or a partition with a device twice or none`)
  }
  return problems
}

/** Devices that cannot be written keep an uneven spread until they are back. */
function isEvenlyIn({ layout, devices }: LayoutFile): boolean {
  const named = new Set(layout.devices)
  const placed = devices
    .filter(({ id }) => named.has(id))
    .map(({ id, weight, state, zone, machine, disk }) => ({
      id,
      weight,
      mayGain: state === "active" || state === "rebuilding",
      domains: {
        ...(zone !== undefined && { zone }),
        ...(machine !== undefined && { machine }),
        ...(disk !== undefined && { disk }),
      },
    }))
  return isSpreadEvenly(layoutOfFile(layout), placed)
}
