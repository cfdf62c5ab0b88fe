/**
 * The reports of nodes to each other about the disks of their devices. A part of node operations (`node-operation.ts`):
 * positional arrays; null stands for unknown.
 */
import { absent, FLAG, NUMBER, optional, row, rowsOf, TEXT, type ValueOf } from "../encoding/fields.js"
import { DEVICE_ID } from "../encoding/id-fields.js"

/** The counters of the system, since its start. Times are those of all reads, and of all writes, together. */
const IO = row({
  reads: NUMBER,
  readBytes: NUMBER,
  readMs: NUMBER,
  writes: NUMBER,
  writtenBytes: NUMBER,
  writeMs: NUMBER,
  inFlight: NUMBER,
})

/** The disk's own report of its health. */
const HEALTH = row({
  model: absent(optional(TEXT)),
  serial: absent(optional(TEXT)),
  isHealthy: absent(optional(FLAG)),
  celsius: absent(optional(NUMBER)),
  powerOnHours: absent(optional(NUMBER)),
  wearPercent: absent(optional(NUMBER)),
  reallocatedSectors: absent(optional(NUMBER)),
})

/** The disks of the devices that a node has open. */
export const DISKS = rowsOf({
  device: DEVICE_ID,
  /** When the counters were read, by a clock that is never set. */
  atMs: NUMBER,
  /** Calls of the store that the device has failed since it was opened. */
  failedCalls: NUMBER,
  /** The name of the disk or partition. */
  name: absent(TEXT),
  io: absent(IO),
  health: absent(HEALTH),
})
export type DeviceDisk = ValueOf<typeof DISKS>[number]
