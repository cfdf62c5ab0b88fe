/**
 * Joining: devices of this node that the control record does not name yet become part of the store, all of them in one
 * change. While shards still move after an earlier change, they wait.
 */
import { asFailure, isFailure } from "@hayloft/base/failures.js"
import type { Policy } from "@hayloft/base/policy.js"
import { joinDevices, type NewDevice } from "@hayloft/engine/cluster/index.js"
import type { ControlRecord, DeviceHome } from "@hayloft/engine/format/device/control-record.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { RecordManager } from "../control/record-manager.js"
import type { OwnedFolder } from "../devices/device-set.js"

interface JoiningDevice {
  readonly folder: OwnedFolder
  readonly device: NewDevice & { readonly home: DeviceHome }
}

/** Opens the folder as a device; gives it back and throws if it cannot. */
type Open = (folder: OwnedFolder) => Promise<unknown>

export class Joining implements Job {
  readonly name = "joining"
  private readonly open = new Set<JoiningDevice>()
  private doing = "no device is about to join"

  constructor(
    private waiting: readonly JoiningDevice[],
    private readonly bringIn: Open,
    private readonly records: RecordManager,
    private readonly bucketPolicies: () => readonly Policy[],
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  progress(): string {
    return this.doing
  }

  async step(): Promise<StepOutcome> {
    if (this.waiting.length === 0) return "idle"
    await this.openAll()
    const devices = this.waiting.map(({ device }) => device)
    if (devices.length === 0) return "idle"
    try {
      await this.records.change("devices join", record => this.withDevices(record, devices))
    } catch (error) {
      if (!isFailure(error, "conflict")) throw error
      this.doing = `${devices.length} devices wait until shards have moved after an earlier change`
      return "throttled"
    }
    for (const { id, pathHint } of devices) this.log.info("device_joined", { device: id, path: pathHint })
    this.waiting = []
    this.doing = "all devices of this node have joined"
    return "busy"
  }

  private withDevices(record: ControlRecord, devices: readonly NewDevice[]): ControlRecord {
    const missing = devices.filter(({ id }) => !record.devices.some(device => device.id === id))
    return missing.length === 0 ? record : joinDevices(record, missing, this.bucketPolicies(), this.clock.wallMs())
  }

  private async openAll(): Promise<void> {
    for (const joining of this.waiting) {
      if (this.open.has(joining)) continue
      try {
        await this.bringIn(joining.folder)
        this.open.add(joining)
      } catch (error) {
        const { id, pathHint } = joining.device
        this.log.error("device_cannot_join", { device: id, path: pathHint, reason: asFailure(error).message })
        this.waiting = this.waiting.filter(each => each !== joining)
      }
    }
  }
}
