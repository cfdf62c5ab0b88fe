/**
 * Moved devices: disks that are in another zone or machine than before lead to a new layout if that spreads shards better
 * (decision 37). One node compares the layout with a plan, once for each set of places, while all devices are there and no
 * shards move after an earlier change.
 */
import type { Policy } from "@hayloft/base/policy.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { followHomes } from "@hayloft/engine/cluster/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { RecordManager } from "../control/record-manager.js"

const placesOf = ({ devices }: ControlRecord): string =>
  JSON.stringify(devices.map(({ id, home }) => [id, home?.zone, home?.machine]))

/** A device that is away may be back at its place soon, and cannot take shards until then. */
const mustWait = ({ devices, previousLayout }: ControlRecord): boolean =>
  previousLayout !== undefined || devices.some(({ state }) => state === "offline")

export class MovedDevices implements Job {
  readonly name = "moved-devices"
  /** The place where the devices were when the layout was last compared with a plan. */
  private seen: string | undefined
  private doing = "no device has moved"

  constructor(
    private readonly records: Pick<RecordManager, "record" | "change">,
    private readonly bucketPolicies: () => readonly Policy[],
    private readonly log: Log,
  ) {}

  progress(): string {
    return this.doing
  }

  async step(): Promise<StepOutcome> {
    const before = this.records.record
    if (placesOf(before) === this.seen) return "idle"
    if (mustWait(before)) {
      this.doing = "waits until all devices are there, and no shards move after an earlier change"
      return "idle"
    }
    let decided = before
    const after = await this.records.change("devices have moved", record => {
      decided = record
      return mustWait(record) ? record : followHomes(record, this.bucketPolicies())
    })
    if (mustWait(decided)) return "idle"
    this.seen = placesOf(decided)
    this.doing = "the layout fits the places of all devices"
    const isNew = after.layout.version !== decided.layout.version
    if (isNew) this.log.info("layout_follows_moved_devices", { version: after.layout.version })
    return isNew ? "busy" : "idle"
  }
}
