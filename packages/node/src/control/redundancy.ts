/** Redundancy source: gives repair and re-encoding a view of the control record, and records what they report. */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Layouts } from "@hayloft/engine/block/index.js"
import { finishTransition, markWhole } from "@hayloft/engine/cluster/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { RedundancySource } from "@hayloft/upkeep/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { StoreControl } from "./store-control.js"

type Decide = (record: ControlRecord) => ControlRecord | undefined

interface RedundancyParts {
  readonly control: StoreControl
  readonly layouts: Layouts
  /** Returns true if the device can be read and written now; for repair, one that cannot is offline until it can. */
  readonly isInReach: (id: DeviceId) => boolean
  readonly bucketPolicies: RedundancySource["bucketPolicies"]
}

/** `wake`: called when there is work for the jobs. */
export function redundancyOf(
  { control, layouts, isInReach, bucketPolicies }: RedundancyParts,
  clock: Clock,
  log: Log,
  moveBytesPerSecondMax: number,
  wake: () => void,
): RedundancySource {
  const changing = new Set<string>()
  /** At most one change of a name runs at a time; callers repeat a report while it holds. */
  const change = (name: string, decide: Decide): void => {
    if (changing.has(name)) return
    changing.add(name)
    void control
      .change(name, decide)
      .catch((error: unknown) => log.error("control_record_change_failed", { change: name, error: String(error) }))
      .finally(() => changing.delete(name))
  }
  return {
    layouts,
    moveBytesPerSecondMax,
    states: () =>
      new Map(
        control.record.devices.map(device => [
          device.id,
          isInReach(device.id) ? device : { ...device, state: "offline" },
        ]),
      ),
    policyVersion: () => control.record.policyVersion,
    policy: () => control.record.policy,
    bucketPolicies,
    onDeviceWhole: id => change(`device ${id} is whole`, record => markWhole(record, id, clock.wallMs())),
    onTransitionDone: version => {
      change("shards have moved", record => (record.layout.version === version ? finishTransition(record) : record))
    },
    wake,
  }
}
