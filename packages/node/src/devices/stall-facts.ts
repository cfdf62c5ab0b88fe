/** The facts about its running store that the stalls of a process need. */
import type { Policy } from "@hayloft/base/policy.js"
import type { Stalls } from "@hayloft/engine/device/index.js"
import type { ControlDevice, ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { DeviceSet } from "./device-set.js"

interface FollowedStore {
  readonly record: () => ControlRecord
  readonly devices: Pick<DeviceSet, "find">
  readonly policies: () => readonly Policy[]
  readonly isOwn: (device: ControlDevice) => boolean
}

/** From now on the devices that are open are judged by the record. */
export function followStore(stalls: Stalls, { record, devices, policies, isOwn }: FollowedStore): void {
  stalls.follow(() => ({
    record: record(),
    policies: policies(),
    isOwn,
    folderOf: id => {
      const stack = devices.find(id)
      return stack?.disk.suspect === undefined ? stack?.place.path : undefined
    },
  }))
}
