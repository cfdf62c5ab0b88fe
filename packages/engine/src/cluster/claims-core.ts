/**
 * Claims: which node serves a device, in a store of several nodes. Pure; each function takes a record and returns the
 * next one, or the same record if nothing changes. The record is changed by compare-and-swap, so of two nodes that
 * claim one device at the same time, one is refused.
 *
 * Promises  A device is never served by two live incarnations. A home stays after its claim is released or its
 *           incarnation is over: the shards are still there, and placement keeps counting with its zone and machine.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseIncarnation, type DeviceId, type Incarnation, type NodeName } from "@hayloft/base/ids.js"
import type { ControlDevice, ControlRecord, DeviceHome } from "../format/device/control-record.js"
import { deviceOf } from "./device-states-core.js"

/** Incarnations begin with 1. */
const RELEASED = parseIncarnation(0)

const isSameHome = (a: DeviceHome | undefined, b: DeviceHome): boolean =>
  a?.node === b.node &&
  a.incarnation === b.incarnation &&
  a.zone === b.zone &&
  a.machine === b.machine &&
  a.disk === b.disk

/**
 * Claims a device for the incarnation of a node, which may be another node than before. The state of the device does
 * not change: an offline one returns by `markReturning` after it was probed. Its shards move only if `followHomes`
 * decides so. Throws `conflict` while another incarnation that is not over has the device, `invalidArgument` if it does
 * not belong to the store.
 */
export function claimDevice(
  record: ControlRecord,
  id: DeviceId,
  home: DeviceHome,
  isOver: (incarnation: Incarnation) => boolean,
): ControlRecord {
  const { home: before } = deviceOf(record, id)
  if (isSameHome(before, home)) return record
  if (before !== undefined && before.incarnation !== home.incarnation && isClaimed(before, isOver)) {
    throw fail("conflict", {
      message: `device ${id} is served by node ${before.node}, which is running: stop that node first; if its machine is dead, its claim ends after 5 minutes of silence`,
      device: id,
      node: before.node,
      incarnation: before.incarnation,
    })
  }
  return withHomes(record, device => (device.id === id ? home : device.home))
}

const isClaimed = ({ incarnation }: DeviceHome, isOver: (incarnation: Incarnation) => boolean): boolean =>
  incarnation !== RELEASED && !isOver(incarnation)

/** Releases the claims of an incarnation that has stopped serving its devices: any node may claim them immediately. */
export const releaseDevices = (record: ControlRecord, node: NodeName, incarnation: Incarnation): ControlRecord =>
  withHomes(record, ({ home }) =>
    home?.node === node && home.incarnation === incarnation ? { ...home, incarnation: RELEASED } : home,
  )

function withHomes(record: ControlRecord, homeOf: (device: ControlDevice) => DeviceHome | undefined): ControlRecord {
  const devices = record.devices.map(device => {
    const home = homeOf(device)
    return home === undefined || home === device.home ? device : { ...device, home }
  })
  return devices.every((device, i) => device === record.devices[i]) ? record : { ...record, devices }
}

/** The devices whose home is the node, whether or not it has claimed them now. */
export const devicesOfNode = ({ devices }: ControlRecord, node: NodeName): readonly ControlDevice[] =>
  devices.filter(({ home }) => home?.node === node)
