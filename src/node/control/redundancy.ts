/** Redundancy source: gives repair and re-encoding a view of the control record, and records what they report. */
import type { Layouts } from "../../block/index.js"
import { finishTransition, markWhole } from "../../cluster/index.js"
import type { ControlRecord } from "../../format/control-record.js"
import type { RedundancySource } from "../../object/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Log } from "../../seams/telemetry/contract.js"
import type { StoreControl } from "./store-control.js"

type Decide = (record: ControlRecord) => ControlRecord | undefined

/** `wake`: called when there is work for the jobs. */
export function redundancyOf(
  control: StoreControl,
  layouts: Layouts,
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
    states: () => new Map(control.record.devices.map(device => [device.id, device])),
    policyVersion: () => control.record.policyVersion,
    policy: () => control.record.policy,
    onDeviceWhole: id => change(`device ${id} is whole`, record => markWhole(record, id, clock.wallMs())),
    onTransitionDone: version => {
      change("shards have moved", record => (record.layout.version === version ? finishTransition(record) : record))
    },
    wake,
  }
}
