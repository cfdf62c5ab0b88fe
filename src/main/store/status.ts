/** What the admin port tells of a running store. */
import type { DeviceReport, HealthReport, QueueReport, StoreReport, StoreStatus } from "../../admin/index.js"
import { firstOf } from "../../base/first-of.js"
import { rowKeyOf } from "../../base/ids.js"
import { textOfPolicy } from "../../base/policy.js"
import { CALL_LIMITS, type QueuedDisk } from "../../device/index.js"
import type { ControlDevice } from "../../format/control-record.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Compute } from "../../seams/compute/index.js"
import type { Metrics } from "../../seams/telemetry/contract.js"
import { COMMANDS_WAITING_MAX } from "../../tablet/index.js"
import type { DeviceStack } from "../engine/device-stack.js"
import type { Engine } from "../engine/engine.js"
import type { OpenedStore } from "./open-store.js"
import { redundancyInWords } from "./redundancy-core.js"

const ALL_DEBTS = { start: rowKeyOf(""), end: rowKeyOf("\xff\xff\xff") }

export interface StatusFacts {
  readonly version: string
  readonly region: string
  readonly startedMs: number
}

export class RunningStatus implements StoreStatus {
  private readonly startedAtMs: number
  private isListening = false

  constructor(
    private readonly clock: Clock,
    private readonly store: OpenedStore,
    private readonly engine: Engine,
    private readonly compute: Compute,
    private readonly diskOf: (device: DeviceStack) => QueuedDisk,
    private readonly facts: StatusFacts,
  ) {
    this.startedAtMs = clock.monotonicMs()
  }

  /** The S3 port is bound: from here on the store may be ready. */
  setListening(): void {
    this.isListening = true
  }

  health(): HealthReport {
    const reasons: string[] = []
    if (!this.isListening) reasons.push("the S3 port is not open yet")
    if (!this.engine.tablet.isServing) reasons.push("the metadata log failed; writes are halted until a restart")
    for (const device of this.engine.devices) {
      const { suspect } = this.diskOf(device)
      if (suspect) reasons.push(`device ${device.place.id} at ${device.place.path} does not answer`)
      const { refusing } = device.volumes
      if (refusing)
        reasons.push(`device ${device.place.id} at ${device.place.path} takes no more needles: ${refusing.message}`)
      const checkpointError = device.checkpointer.error
      if (checkpointError !== undefined)
        reasons.push(`checkpoints of device ${device.place.id} fail: ${checkpointError}`)
    }
    for (const { id, pathHint } of this.missing()) reasons.push(`device ${id}, last at ${pathHint}, is missing`)
    if (this.owesShards())
      reasons.push("objects written while a device was missing have fewer shards than their policy asks for")
    return { ready: this.isListening && this.engine.tablet.isServing, reasons }
  }

  private missing(): readonly ControlDevice[] {
    return this.store.record.devices.filter(({ id }) => !this.engine.devices.some(device => device.place.id === id))
  }

  private owesShards(): boolean {
    return firstOf(this.engine.tablet.committed.range("debts", ALL_DEBTS)) !== undefined
  }

  async report(): Promise<StoreReport> {
    const { record, storeId } = this.store
    const members = record.tablets[0]?.members.length ?? 0
    const devices: DeviceReport[] = []
    const onDisk: { path: string; fileSystemId: string }[] = []
    for (const device of this.engine.devices) {
      const { report, fileSystemId } = await this.device(device)
      devices.push(report)
      onDisk.push({ path: device.place.path, fileSystemId })
    }
    return {
      storeId,
      ...this.facts,
      uptimeSeconds: Math.floor((this.clock.monotonicMs() - this.startedAtMs) / 1000),
      policy: textOfPolicy(record.policy),
      metaCopies: members,
      blockBytes: record.blockBytes,
      redundancy: redundancyInWords(record.policy, members, onDisk, this.missing().length),
      health: this.health(),
      devices: [...devices, ...this.missing().map(missingReport)],
      queues: this.queues(),
    }
  }

  private async device(device: DeviceStack): Promise<{ report: DeviceReport; fileSystemId: string }> {
    const disk = this.diskOf(device)
    const { id, path } = device.place
    const queues = [{ name: "calls", depth: disk.queued, limit: CALL_LIMITS.queuedMax }]
    try {
      const { totalBytes, freeBytes, fileSystemKind, fileSystemId } = await disk.space(path)
      const { refusing } = device.volumes
      const [state, reason] = refusing ? (["failed", refusing.message] as const) : (["ok", ""] as const)
      const report: DeviceReport = { id, path, state, reason, totalBytes, freeBytes, fileSystemKind, queues }
      return { report, fileSystemId }
    } catch (error) {
      const reason = String(error)
      const report: DeviceReport = {
        ...{ id, path, reason, queues },
        ...{ state: "suspect", totalBytes: 0, freeBytes: 0, fileSystemKind: "unknown" },
      }
      return { report, fileSystemId: path }
    }
  }

  private queues(): QueueReport[] {
    const { slabsFree, slabsTotal } = this.compute.slabs
    return [
      { name: "commands", depth: this.engine.tablet.commandsWaiting, limit: COMMANDS_WAITING_MAX },
      { name: "slabs", depth: slabsTotal - slabsFree, limit: slabsTotal },
    ]
  }

  /** Gauges of queues and devices, read when scraped. */
  registerGauges(metrics: Metrics): void {
    const queues = () => [
      ...this.queues().map(queue => ({ device: "", ...queue })),
      ...this.engine.devices.map(device => ({
        device: String(device.place.id),
        name: "calls",
        depth: this.diskOf(device).queued,
        limit: CALL_LIMITS.queuedMax,
      })),
    ]
    metrics.gauge("hayloft_queue_depth", "Entries waiting in a bounded queue", () =>
      queues().map(({ device, name, depth }) => [{ device, queue: name }, depth]),
    )
    metrics.gauge("hayloft_queue_limit", "The bound of a queue", () =>
      queues().map(({ device, name, limit }) => [{ device, queue: name }, limit]),
    )
    metrics.gauge("hayloft_device_ok", "1 while the device answers", () =>
      this.engine.devices.map(device => [
        { device: String(device.place.id) },
        this.diskOf(device).suspect || device.volumes.refusing ? 0 : 1,
      ]),
    )
    metrics.gauge("hayloft_overlay_rows", "Rows that the base does not contain yet", () =>
      this.engine.devices.map(device => [{ device: String(device.place.id) }, device.rows.overlayRows]),
    )
    metrics.gauge("hayloft_log_bytes", "Bytes of the commit log above its cut", () =>
      this.engine.devices.map(device => [{ device: String(device.place.id) }, device.log.lengthBytes]),
    )
    metrics.gauge("hayloft_volume_bytes", "Bytes written to needle volumes", () =>
      this.engine.devices.map(device => [{ device: String(device.place.id) }, device.volumes.usage().writtenBytes]),
    )
  }
}

const missingReport = ({ id, pathHint }: ControlDevice): DeviceReport => ({
  ...{ id, path: pathHint, state: "missing", reason: "not there at the start" },
  ...{ totalBytes: 0, freeBytes: 0, fileSystemKind: "unknown", queues: [] },
})
