/** Block backend: what readers and the mender of blocks share. */
import type { DeviceId } from "../base/ids.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Compute } from "../seams/compute/contract.js"
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
