/** Records of stores with many nodes of one device each, for the sizes that the real encoders give them. */
import {
  parseDeviceId,
  parseIncarnation,
  parseNodeFingerprint,
  parseNodeName,
  parsePosition,
  parseStoreId,
  type DeviceId,
} from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { defaultPolicy } from "@hayloft/base/policy.js"
import type { NodeRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"

const nodeNameOf = (number: number) => parseNodeName(`node-${String(number).padStart(4, "0")}`)

export const deviceIdOf = (number: number): DeviceId => parseDeviceId((number + 1).toString(16).padStart(16, "0"))

/** Returns the record that a row of a database has: without the tables of its layouts. */
export function recordOf(nodes: number): ControlRecord {
  const ids = Array.from({ length: nodes }, (_, number) => deviceIdOf(number))
  return {
    storeId: parseStoreId("0123456789abcdef0123456789abcdef"),
    generation: 1,
    devices: ids.map((id, number) => ({
      id,
      weight: 1,
      pathHint: "/mnt/disk1",
      isMountPoint: true,
      state: "active",
      stateSinceMs: 1.7e12,
      capacityBytes: 16e12,
      more: [],
      home: {
        node: nodeNameOf(number),
        incarnation: parseIncarnation(number + 1),
        zone: `zone-${number % 3}`,
        machine: nodeNameOf(number),
      },
    })),
    policy: defaultPolicy(nodes),
    isPolicyAutomatic: true,
    policyVersion: 1,
    blockBytes: 4 * MIB,
    metaCopies: 3,
    tablets: [],
    layout: { version: 1, devices: ids, table: new Uint8Array(0) },
    previousLayout: undefined,
    pausedWork: [],
    secrets: new Uint8Array(256),
    region: "us-east-1",
    more: [],
  }
}

/** Returns what a node writes with its heartbeat. */
export const nodeRowOf = (number: number, beat: number, unreachable: readonly number[]): NodeRow => ({
  name: nodeNameOf(number),
  incarnation: parseIncarnation(number + 1),
  address: `10.0.${number >> 8}.${number % 256}:9002`,
  fingerprint: parseNodeFingerprint("0123456789abcdef".repeat(4)),
  proof: new Uint8Array(32),
  zone: `zone-${number % 3}`,
  machine: nodeNameOf(number),
  program: "0.1.0",
  beat,
  position: parsePosition(1e6),
  layoutVersion: 1,
  unreachable: unreachable.map(nodeNameOf),
})
