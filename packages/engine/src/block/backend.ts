/** Block backend: what readers and the mender of blocks share. */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Devices, ShardCopy } from "./contract.js"
import type { Layouts } from "./layouts.js"

export interface BlockBackend {
  readonly clock: Clock
  readonly compute: Compute
  readonly layouts: Layouts
  readonly devices: Devices
  /** Called for a shard that fails its checksum. */
  readonly onDamage: (copy: ShardCopy) => void
  /** Returns true if a device that does not respond may return with its shards. */
  readonly mayReturn?: (id: DeviceId) => boolean
}
