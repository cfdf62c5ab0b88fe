/**
 * Storage classes of a store: the operator's map in the control record, and the first use of a class.
 *
 * Promises  Before the first version of another class than STANDARD is stored, the record says so, and the superblocks of
 *           all open devices of this node have the format epoch of classes, so that no earlier release opens them. A crash
 *           in between leaves devices with the higher epoch. The devices of other nodes are raised by these as soon as
 *           they read the record.
 */
import type { Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { setClassPolicy } from "@hayloft/engine/cluster/index.js"
import { formatEpochOf, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { FORMAT_EPOCH_OF_KEYS } from "@hayloft/engine/format/device/superblock.js"
import { useClass, type ClassMap } from "@hayloft/objects/index.js"
import type { DeviceSet } from "../devices/device-set.js"
import type { RecordManager } from "./record-manager.js"

/** The store in which a class is mapped. */
interface MappingStore {
  readonly services: { readonly core: { readonly classes: ClassMap } }
  readonly control: { change(name: string, decide: (record: ControlRecord) => ControlRecord): Promise<unknown> }
  checkPolicy(policy: Policy): void
}

/** Maps a class of a store that no bucket has a redundancy of its own in. Throws `invalidArgument` if devices are too few. */
export async function mapClass(store: MappingStore, storageClass: StorageClass, policy: Policy): Promise<void> {
  store.checkPolicy(policy)
  await useClass(store.services.core.classes, storageClass)
  await store.control.change("rescued class", record => setClassPolicy(record, storageClass, policy, []))
}

export class RecordClasses implements ClassMap {
  private isReady = false
  private preparing: Promise<void> | undefined

  constructor(
    private readonly records: Pick<RecordManager, "record" | "change" | "onChange">,
    /** The open ones of this process. */
    private readonly devices: Pick<DeviceSet, "raiseFormatEpoch">,
  ) {
    records.onChange(({ classes }) => {
      // A failure here was logged, and the next use tries again.
      if (classes !== undefined) this.use()?.catch(() => undefined)
    })
  }

  policyOf(storageClass: StorageClass): Policy | undefined {
    return this.records.record.classes?.find(([each]) => each === storageClass)?.[1]
  }

  get isAnyMapped(): boolean {
    return (this.records.record.classes?.length ?? 0) > 0
  }

  use(): Promise<void> | undefined {
    if (this.isReady) return undefined
    this.preparing ??= this.prepare().finally(() => (this.preparing = undefined))
    return this.preparing
  }

  private async prepare(): Promise<void> {
    const { devices, records } = this
    await devices.raiseFormatEpoch(FORMAT_EPOCH_OF_KEYS)
    await records.change("first storage class", record =>
      record.classes === undefined ? { ...record, classes: [] } : undefined,
    )
    // Devices that came in meanwhile.
    await devices.raiseFormatEpoch(formatEpochOf(records.record))
    this.isReady = true
  }
}
