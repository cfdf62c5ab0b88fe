/**
 * How long devices of a store of several nodes have been offline, as one process has seen it: clocks of nodes need not
 * agree, so the times in the control record are only shown. Pure.
 *
 * Promises  A device counts from the moment at which this process first saw the change that took it offline, by its own
 *           monotonic clock. A process that starts begins with no time.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import { LONG_OUT_MS } from "@hayloft/engine/cluster/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"

interface Seen {
  /** The time in the record: it identifies the change. */
  readonly stateSinceMs: number
  readonly seenMs: number
}

export class OfflineTimes {
  private seen: ReadonlyMap<DeviceId, Seen> = new Map()

  /** Call it with each record, as soon as it is known. */
  observe({ devices }: Pick<ControlRecord, "devices">, nowMs: number): void {
    const offline = devices.filter(({ state }) => state === "offline")
    this.seen = new Map(
      offline.map(({ id, stateSinceMs }) => {
        const before = this.seen.get(id)
        return [id, before?.stateSinceMs === stateSinceMs ? before : { stateSinceMs, seenMs: nowMs }]
      }),
    )
  }

  /** Devices whose places are due to be given to others. */
  long(nowMs: number): readonly DeviceId[] {
    return [...this.seen].filter(([, { seenMs }]) => nowMs - seenMs >= LONG_OUT_MS).map(([id]) => id)
  }
}
