/**
 * Keys on devices: the oldest that the record files of each open device of this process still need or have. An erasure is
 * complete when no device has the keys that it removes; the former master key opens a record until no device has it.
 *
 * Promises  Key numbers are read from the files. A device that cannot be read, or whose files are damaged or being
 *           replaced, counts as one that needs every key. Files are read again until they have no older key than the record.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import { DEVICES_MAX } from "@hayloft/base/limits.js"
import { oldestKeys, type OldestKeys } from "@hayloft/engine/device/index.js"
import { masterKeyNumberOf, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { KeptFolder, RecordManager } from "./record-manager.js"

export const epochNumbers = ({ keyring }: Pick<ControlRecord, "keyring">): readonly number[] =>
  (keyring?.epochs ?? []).map(({ number }) => number)

export class KeysOnDevices {
  private readonly found = new Map<DeviceId, OldestKeys>()

  constructor(
    private readonly records: Pick<RecordManager, "record">,
    private readonly folders: () => readonly KeptFolder[],
  ) {}

  /** The oldest epoch keys of devices that are open. */
  get epochs(): ReadonlyMap<DeviceId, number> {
    return this.numbers(({ epoch }) => epoch)
  }

  /** The numbers of the oldest master keys under which devices that are open have a record. */
  get masterKeys(): ReadonlyMap<DeviceId, number> {
    return this.numbers(({ masterKey }) => masterKey)
  }

  async refresh(): Promise<void> {
    const folders = this.folders()
    for (const id of this.found.keys()) if (!folders.some(folder => folder.id === id)) this.found.delete(id)
    const { record } = this.records
    const numbers = epochNumbers(record)
    if (numbers.length === 0) return
    const oldest: OldestKeys = { epoch: Math.min(...numbers), masterKey: masterKeyNumberOf(record) }
    const behind = folders.filter(({ id }) => isBehind(this.found.get(id), oldest))
    await mapBounded(behind, DEVICES_MAX, async ({ id, disk, path, check }) => {
      try {
        // An emptied folder has no key, and says nothing about the device that was in it.
        await check?.()
        const keys = await oldestKeys(disk, path)
        if (keys !== undefined) this.found.set(id, keys)
      } catch {
        this.found.delete(id)
      }
    })
  }

  private numbers(of: (keys: OldestKeys) => number | undefined): ReadonlyMap<DeviceId, number> {
    const known = [...this.found].map(([id, keys]) => [id, of(keys)] as const)
    return new Map(known.filter((each): each is readonly [DeviceId, number] => each[1] !== undefined))
  }
}

const isBehind = (found: OldestKeys | undefined, { epoch = 0, masterKey }: OldestKeys): boolean =>
  (found?.epoch ?? 0) < epoch || (found?.masterKey ?? 0) < masterKey
