/** Recovers the metadata of a store from the replicas on its devices. */
import { must } from "@hayloft/base/assert.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId, Position } from "@hayloft/base/ids.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { markOffline, tabletOf } from "@hayloft/engine/cluster/index.js"
import type { ControlReplica } from "@hayloft/engine/format/device/control-record.js"
import { NO_POSITION, recoverTablet, Replica, type FailedReplica } from "@hayloft/engine/tablet/index.js"
import type { RecordManager } from "../control/record-manager.js"
import type { StoreControl } from "../control/store-control.js"
import type { DeviceSet } from "../devices/device-set.js"
import type { DeviceStack } from "../devices/device-stack.js"
import { FIRST_TABLET } from "./first-tablet.js"

interface Sources {
  readonly records: Pick<RecordManager, "record">
  readonly devices: DeviceSet
  readonly control: StoreControl
  readonly clock: Clock
  /** Takes the device offline. Throws the failure if the store cannot run without the device. */
  readonly goOnWithout: (id: DeviceId, failure: Failure) => Promise<void>
}

/**
 * Recovers one state from all replicas. Leaves out a replica whose log or metadata store is damaged, as long as
 * another one remains. Every replica of the record is open when this resolves.
 */
export async function recoverReplicas(
  sources: Sources,
): Promise<{ readonly replicas: readonly Replica[]; readonly recovered: Position }> {
  const { devices } = sources
  await leaveClosed(sources)
  const stackOf = (id: DeviceId): DeviceStack => must(devices.find(id), "replicas are on open devices")
  const replicas = namedIn(sources).map(({ id, since }) => new Replica(stackOf(id).replica, FIRST_TABLET, since))
  const { position, failed } = await recoverTablet(replicas, id => stackOf(id).place.path)
  if (position === NO_POSITION) checkBeginning(failed, devices.open)
  for (const { replica, failure } of failed) {
    if (devices.find(replica.id) !== undefined) await sources.goOnWithout(replica.id, failure)
  }
  await leaveClosed(sources)
  const left = replicas.filter(replica => namedIn(sources).some(({ id }) => id === replica.id))
  return { replicas: left, recovered: position }
}

const namedIn = ({ records }: Sources): readonly ControlReplica[] => tabletOf(records.record, FIRST_TABLET).replicas

/**
 * A device that does not accept a record in time while the store opens is closed. The record drops it before the
 * start continues. Each change of the record may close another device.
 */
async function leaveClosed(sources: Sources): Promise<void> {
  const { devices, control, clock } = sources
  for (;;) {
    const closed = namedIn(sources)
      .map(({ id }) => id)
      .filter(id => devices.find(id) === undefined)
    if (closed.length === 0) return
    await control.change("devices failed", record => markOffline(record, closed, clock.wallMs()))
  }
}

/**
 * A store whose metadata is lost on every device looks like a new store. Continuing would remove all bodies, because no
 * row references them.
 */
function checkBeginning(failed: readonly FailedReplica[], devices: readonly DeviceStack[]): void {
  const [first] = failed
  if (first !== undefined) throw first.failure
  const bereft = devices.find(({ hasBodies }) => hasBodies)
  if (bereft === undefined) return
  throw fail("corruptLog", {
    message:
      "the metadata is lost on every device that held it, but the data of objects is still there; attach a device that has a metadata replica, or recover the objects into a new store: hayloft rescue",
    folder: bereft.place.path,
  })
}
