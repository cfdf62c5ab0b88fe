/** Shard exchange: what the devices of an engine and those of the other nodes of its store know of each other. */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Devices, Layouts, ShardDevice } from "@hayloft/engine/block/index.js"
import type { DeviceSet } from "./devices/device-set.js"

/** Between this engine and the other nodes of its store. */
export interface ShardExchange {
  /** Open devices of this node. */
  readonly own: Devices
  /** With those of other nodes that are reached. */
  readonly all: Devices
  /** Returns true if the device, of this node or another one, can be read now. */
  isReached(id: DeviceId): boolean
  /** How the device, on another node, is reached; undefined: it is not reached any more. */
  setRemote(id: DeviceId, device: ShardDevice | undefined): void
  /** The oldest layout under which a write of this process may be under way. */
  layoutVersion(): number
  /** `oldest`: the same of all other nodes. */
  setElsewhere(oldest: () => number): void
  /** `oldest`: the same of the other threads of this process. */
  setThreads(oldest: () => number): void
  /** `isCutOff`: most of the other nodes cannot reach this one. */
  setCutOff(isCutOff: () => boolean): void
}

export const exchangeOf = (
  devices: Pick<DeviceSet, "own" | "shards" | "setRemote">,
  layouts: Layouts,
  { wakeRepair, setCutOff }: { readonly wakeRepair: () => void } & Pick<ShardExchange, "setCutOff">,
): ShardExchange => {
  let [elsewhere, threads] = [() => Infinity, () => Infinity]
  layouts.setElsewhere(() => Math.min(elsewhere(), threads()))
  return {
    own: devices.own,
    all: devices.shards,
    isReached: id => devices.shards.get(id)?.volumes.refusing === undefined && devices.shards.has(id),
    setRemote: (id, device) => {
      devices.setRemote(id, device)
      // Work that failed while the device did not respond may be done now.
      if (device !== undefined) wakeRepair()
    },
    layoutVersion: () => Math.min(layouts.oldest, threads()),
    setElsewhere: oldest => void (elsewhere = oldest),
    setThreads: oldest => void (threads = oldest),
    setCutOff,
  }
}
