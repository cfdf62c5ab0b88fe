/**
 * Epoch keys on devices: the oldest that the record files of each open device of this process still have. An erasure is
 * complete when no device has the keys that it removes.
 *
 * Promises  What is shown was read from the files. A device that cannot be read, or whose files are damaged or being
 *           replaced, is not shown as free of any key. Files are read again until they have no older key than the record.
 */
import type { DeviceId } from "../../base/ids.js"
import { DEVICES_MAX } from "../../base/limits.js"
import { oldestEpochKey } from "../../device/index.js"
import type { ControlRecord } from "../../format/control-record.js"
import { mapBounded } from "../../life/index.js"
import type { KeptFolder, RecordManager } from "../control/record-manager.js"

export const epochNumbers = ({ keyring }: Pick<ControlRecord, "keyring">): readonly number[] =>
  (keyring?.epochs ?? []).map(({ number }) => number)

export class EpochsOnDevices {
  private readonly found = new Map<DeviceId, number>()

  constructor(
    private readonly records: Pick<RecordManager, "record">,
    private readonly folders: () => readonly KeptFolder[],
  ) {}

  /** Of devices that are open. */
  get oldest(): ReadonlyMap<DeviceId, number> {
    return this.found
  }

  async refresh(): Promise<void> {
    const folders = this.folders()
    for (const id of this.found.keys()) if (!folders.some(folder => folder.id === id)) this.found.delete(id)
    const numbers = epochNumbers(this.records.record)
    if (numbers.length === 0) return
    const oldest = Math.min(...numbers)
    const behind = folders.filter(({ id }) => (this.found.get(id) ?? 0) < oldest)
    await mapBounded(behind, DEVICES_MAX, async ({ id, disk, path, check }) => {
      try {
        // An emptied folder has no key, and says nothing about the device that was in it.
        await check?.()
        const number = await oldestEpochKey(disk, path)
        if (number !== undefined) this.found.set(id, number)
      } catch {
        this.found.delete(id)
      }
    })
  }
}
