/**
 * Commands on the devices of a stopped store: listing them, giving up missing ones, replacing one by a folder.
 *
 * Each returns false if there is no stopped store: the store runs, or is not on this machine.
 */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { isFailure } from "@hayloft/base/failures.js"
import { lockedNamesText, type LockedNames } from "@hayloft/base/locked-names.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { ControlDevice } from "@hayloft/engine/format/device/control-record.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import type { MetadataFolder, StoppedChange, StoppedStore } from "@hayloft/node/index.js"
import { confirm } from "../confirm.js"
import { deviceCipher } from "./device-cipher.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { answer, answerList } from "../output.js"
import { findDevice } from "./named-device.js"
import type { LossOptions, StoreCommandOptions } from "../running-store/store-commands.js"
import { isElsewhere, localFolders } from "../stores.js"
import { printable, sizeText, tableText } from "../text.js"

export class StoppedCommands {
  constructor(
    private readonly io: CliIo,
    private readonly options: StoreCommandOptions,
  ) {}

  list(): Promise<boolean> {
    return this.#with(async store => {
      const { here } = store
      const { devices: known } = store.record
      const nodesHere = new Set(known.filter(({ id }) => here.has(id)).map(({ home }) => home?.node))
      const devices = known.map(({ id, home, state, pathHint, weight, capacityBytes }) => ({
        id,
        // Folders of other nodes cannot be seen from here: their state is the one that this node has known last.
        state: here.has(id) || !nodesHere.has(home?.node) ? state : ("missing" as const),
        path: pathHint,
        weight,
        capacityBytes,
      }))
      const rows = devices.map(({ id, state, path, weight, capacityBytes }) => [
        id,
        state,
        capacityBytes === 0 ? "unknown" : sizeText(capacityBytes),
        String(weight),
        printable(path),
      ])
      await answerList(this.io, this.options, devices, tableText(["DEVICE", "STATE", "SIZE", "WEIGHT", "FOLDER"], rows))
    })
  }

  forget(texts: readonly string[], options: LossOptions): Promise<boolean> {
    return this.#with(async stoppedStore => {
      await stoppedStore.checkChangeable()
      const { giveUpDevices } = await import("@hayloft/node/index.js")
      const ids = texts.map(text => this.#find(stoppedStore, text))
      const change = giveUpDevices(stoppedStore.record, ids, stoppedStore.here, this.io.clock.wallMs())
      await this.#change(stoppedStore, options, change, () => stoppedStore.commit(change.record))
    })
  }

  replace(text: string, folder: string, options: LossOptions): Promise<boolean> {
    return this.#with(async stoppedStore => {
      await stoppedStore.checkChangeable()
      const { fillPlace } = await import("@hayloft/node/index.js")
      const device = await stoppedStore.newDevice(resolve(this.io.workingFolder, folder))
      const change = fillPlace(
        stoppedStore.record,
        this.#find(stoppedStore, text),
        device,
        stoppedStore.here,
        this.io.clock.wallMs(),
      )
      await this.#change(stoppedStore, options, change, () => stoppedStore.commit(change.record, device))
    })
  }

  /** Shows the consequences of the change, asks, and makes it. */
  async #change(
    store: StoppedStore,
    options: LossOptions,
    change: StoppedChange,
    commit: () => Promise<void>,
  ): Promise<void> {
    const { loss } = change
    if (options.wait === true) throw new CliError("usage", "the store is stopped: omit --wait")
    const locked = await this.#lockedAtRisk(store, change)
    const sentences = [...change.sentences, ...lockedSentences(locked)]
    const consequences = loss === undefined ? sentences : [...sentences, `Loss: ${loss}.`]
    const text = `${consequences.join("\n")}\n`
    if (options.dryRun === true) return answer(this.io, options, { sentences, loss }, text)
    if (loss !== undefined && options.acceptLoss !== true) {
      throw new CliError("failed", `nothing was changed: ${loss}; to accept this, add --accept-loss`)
    }
    await confirm(this.io, options, text, { lockedBuckets: locked.listed })
    await commit()
    await answer(this.io, options, { sentences, loss }, "done\n")
  }

  async #lockedAtRisk({ record, folders }: StoppedStore, { record: after, loss }: StoppedChange): Promise<LockedNames> {
    const places: MetadataFolder[] = []
    const [{ foldersOf, lockedBucketsIn, stoppedLocksAtRisk }, { TableStores }] = await Promise.all([
      import("@hayloft/node/index.js"),
      import("@hayloft/engine/table/index.js"),
    ])
    for (const { path, superblock } of folders) {
      const { deviceId } = superblock
      const cipher = await deviceCipher(this.io, this.options, record, deviceId)
      places.push({ ...foldersOf(path), deviceId, cipher })
    }
    const buckets = await lockedBucketsIn(new TableStores(), new RealDisk(), places)
    return stoppedLocksAtRisk(buckets, { before: record, after }, loss !== undefined)
  }

  #find(store: StoppedStore, text: string): DeviceId {
    const devices = store.record.devices.map((device: ControlDevice) => ({ ...device, path: device.pathHint }))
    return findDevice(devices, text, resolve(this.io.workingFolder, text)).id
  }

  async #with(use: (store: StoppedStore) => Promise<void>): Promise<boolean> {
    if (isElsewhere(this.io, this.options)) return false
    const folders = await localFolders(this.io, this.options)
    if (!folders.some(folder => existsSync(join(folder, "superblock")))) return false
    // Loaded on demand, because most commands need a running store.
    const { StoppedStore: Stopped } = await import("@hayloft/node/index.js")
    let store: StoppedStore | undefined
    try {
      store = await Stopped.open(new RealClock(), new RealRandom(), new RealDisk(), new RealLocks(), folders)
    } catch (error) {
      if (isFailure(error, "folderInUse")) return false
      throw error
    }
    if (store === undefined) return false
    try {
      await use(store)
      return true
    } finally {
      await store.close()
    }
  }
}

const lockedSentences = (locked: LockedNames): readonly string[] =>
  locked.listed.length === 0
    ? []
    : [`Buckets with object lock would be less safe than they were promised to be: ${lockedNamesText(locked)}.`]
