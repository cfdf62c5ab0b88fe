/** The layout as an operator sees it: the share of each device now, and in the layout before while shards move. Pure. */
import type { DeviceId } from "@hayloft/base/ids.js"
import { layoutDevices, layoutOf } from "@hayloft/engine/cluster/index.js"
import type { ControlLayout, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { fairSlots, slotsPerDevice } from "@hayloft/engine/placement/index.js"
import type { LayoutReport } from "../status/contract.js"
import type { LayoutDetails, DeviceShare } from "./contract.js"

interface Shares {
  readonly slots: ReadonlyMap<DeviceId, number>
  readonly total: number
}

function sharesOf(control: ControlLayout): Shares {
  const layout = layoutOf(control)
  const slots = slotsPerDevice(layout, layout.width)
  return { slots: new Map(layout.devices.map((id, at) => [id, slots[at] ?? 0])), total: layout.table.length }
}

/** In the order of zone, machine and record. */
export function layoutDetails(record: ControlRecord, layout: LayoutReport): LayoutDetails {
  const now = sharesOf(record.layout)
  const before = record.previousLayout && sharesOf(record.previousLayout)
  const fair = fairSlots(layoutOf(record.layout), layoutDevices(record.devices))
  const share = ({ slots, total }: Shares, id: DeviceId): number => (slots.get(id) ?? 0) / total
  const devices = record.devices.map(({ id, pathHint: path, state, weight, home }): DeviceShare => ({
    id,
    path,
    state,
    weight,
    slots: now.slots.get(id) ?? 0,
    share: share(now, id),
    ...optionally(fair?.get(id)),
    ...(before === undefined ? {} : { shareBefore: share(before, id) }),
    ...(home === undefined ? {} : { node: home.node, machine: home.machine }),
    ...(home?.zone === undefined ? {} : { zone: home.zone }),
  }))
  const place = ({ zone = "", machine = "" }: DeviceShare): string => `${zone}\n${machine}`
  const sorted = [...devices].sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0))
  return { ...layout, devices: sorted }
}

const optionally = (fairSlots: number | undefined) => (fairSlots === undefined ? {} : { fairSlots })
