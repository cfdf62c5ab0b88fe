/** Tells a new store from one whose metadata is lost. */
import { fail } from "@hayloft/base/failures.js"
import type { FailedReplica } from "@hayloft/engine/tablet/index.js"
import type { DeviceStack } from "../devices/device-stack.js"

/**
 * A store whose metadata is lost on every device looks like a new store. Continuing would remove all bodies, because no
 * row references them.
 */
export function checkBeginning(failed: readonly FailedReplica[], devices: readonly DeviceStack[]): void {
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
