/**
 * Encryption of the files of an existing store: the job that brings a store in which every new byte is encrypted to the
 * point at which no plain byte is left. See decision 56, "Existing stores".
 *
 * Order     Objects are encrypted (the job `encrypt`); two backups of the metadata follow, so that none from before
 *           remains; a walk over all needles finds those that nothing references, also on devices that were away; then
 *           nothing that was released until then may wait for its deletion, and each device makes a checkpoint: from now on plain bodies are dead bytes. The newest volumes of each device enter the control
 *           record; everything up to them is emptied. A device without plain files is done.
 * Promises  The state is in the control record: a process that goes on after another one repeats work at most. A device
 *           that is not there keeps the conversion open, and is named. A device that joins meanwhile may receive copies
 *           of plain blocks, and is treated like the others.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import { firstPendingDeletion, type EncryptJob, type MetadataBackup, type Orphans } from "@hayloft/upkeep/index.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import {
  convertingIn,
  isSealedByOrigin,
  withConverted,
  withEmptyUpTo,
  withNewDevices,
  type EmptyUpTo,
} from "../control/at-rest.js"
import type { RecordManager } from "../control/record-manager.js"
import type { DeviceStack } from "../devices/device-stack.js"
import type { EncryptingReport } from "../status/contract.js"

/** The last two backups are kept: when two from now on are complete, the others go. */
const BACKUPS = 2

interface Device {
  readonly place: Pick<DeviceStack["place"], "id">
  readonly plain: Pick<DeviceStack["plain"], "newestVolumes" | "remaining">
  readonly rows: Pick<DeviceStack["rows"], "applied">
  readonly log: Pick<DeviceStack["log"], "cutUpTo">
}

interface Store {
  readonly records: Pick<RecordManager, "record" | "change">
  readonly metadata: Pick<Metadata, "ask" | "position">
  readonly encrypt: Pick<EncryptJob, "report">
  readonly orphans: Pick<Orphans, "order" | "hasWalked" | "waitingBlocks">
  /** The backup is undefined if the metadata is not backed up. */
  readonly backup: Pick<MetadataBackup, "order" | "isComplete" | "isPruned"> | undefined
  readonly devices: () => readonly Device[]
  readonly log: Log
}

/** The work that must be over before volumes can be emptied permanently. */
interface Wait {
  backups: number
  order: number | undefined
  /** The walk over all needles. */
  walk: number | undefined
  /** Deletions up to this position are to be carried out. */
  position: number | undefined
  /** By device: the batch of its log that a checkpoint is to contain. */
  batches: ReadonlyMap<DeviceId, number> | undefined
}

const newWait = (): Wait => ({
  backups: 0,
  order: undefined,
  walk: undefined,
  position: undefined,
  batches: undefined,
})

export class FileEncryption implements Job {
  readonly name = "encrypt-files"
  private wait = newWait()
  /** The devices for which it waits, and since when they are as they are. */
  private waitsFor = ""
  /** By device; those that are left. */
  private left = new Map<DeviceId, string>()
  private doing = "nothing to encrypt"
  private wakeBackup: () => void = () => undefined

  constructor(private readonly store: Store) {}

  /** Registers what wakes the job of backups. */
  onBackupDue(wakeBackup: () => void): void {
    this.wakeBackup = wakeBackup
  }

  progress(): string {
    return this.doing
  }

  /** Returns undefined if the store is not being converted. */
  report(): EncryptingReport | undefined {
    const { records, encrypt } = this.store
    const converting = convertingIn(records.record)
    if (converting.length === 0) return undefined
    const { doneBytes, totalBytes, isDone, troubles, troubleCount } = encrypt.report()
    const isOver = isDone || converting.every(({ emptyUpTo }) => emptyUpTo !== undefined)
    const percent = isOver
      ? 100
      : totalBytes === undefined
        ? 0
        : Math.floor((100 * doneBytes) / Math.max(1, totalBytes))
    const devices = converting.map(({ id }) => {
      const device = records.record.devices.find(each => each.id === id)
      const isOffline = device?.state === "offline"
      const left = isOffline ? "the device is offline" : this.left.get(id)
      return { id, path: device?.pathHint ?? "", isOffline, ...(left !== undefined && { left }) }
    })
    return { percent, doing: this.doing, devices, troubles, troubleCount }
  }

  async step(): Promise<StepOutcome> {
    const record = await this.noteNewDevices()
    const converting = convertingIn(record)
    if (converting.length === 0) {
      this.doing = "nothing to encrypt"
      // The last of them was forgotten.
      if ((record.keyring?.atRest?.converting ?? []).length > 0) await this.end([])
      return "idle"
    }
    const present = this.presentIn(record)
    const unmarked = converting.filter(({ id, emptyUpTo }) => emptyUpTo === undefined && present.has(id))
    if (unmarked.length > 0) {
      this.noteReturned([...present].filter(([id]) => unmarked.some(each => each.id === id)))
      return this.mark(unmarked.map(({ id }) => id))
    }
    this.wait = newWait()
    return this.empty(record)
  }

  /** The open devices that have all their needles, and since when. A device that is being rebuilt still gets copies. */
  private presentIn({ devices }: ControlRecord): ReadonlyMap<DeviceId, number> {
    const open = new Set(this.store.devices().map(({ place }) => place.id))
    const isPresent = ({ id, state }: ControlRecord["devices"][number]): boolean =>
      open.has(id) && state !== "offline" && state !== "rebuilding"
    return new Map(devices.filter(isPresent).map(({ id, stateSinceMs }) => [id, stateSinceMs]))
  }

  /** A device that has returned may have needles that no walk has met, and payloads of no checkpoint since. */
  private noteReturned(present: readonly (readonly [DeviceId, number])[]): void {
    const waitsFor = present.join(" ")
    if (waitsFor === this.waitsFor) return
    this.waitsFor = waitsFor
    this.wait = { ...this.wait, walk: undefined, position: undefined, batches: undefined }
  }

  private async noteNewDevices(): Promise<ControlRecord> {
    const { records } = this.store
    if (withNewDevices(records.record) === undefined) return records.record
    return records.change("devices to be encrypted", withNewDevices)
  }

  /** Notes the newest volumes of these devices, once no object is plain. */
  private async mark(ids: readonly DeviceId[]): Promise<StepOutcome> {
    const reason = await this.whyNotYet(ids)
    if (reason !== undefined) {
      this.doing = reason
      return "throttled"
    }
    const upTo = new Map<DeviceId, EmptyUpTo>()
    for (const { place, plain } of this.stacksOf(ids)) upTo.set(place.id, await plain.newestVolumes())
    await this.store.records.change("objects encrypted", record => withEmptyUpTo(record, upTo))
    this.doing = "files of the devices are rewritten"
    return "busy"
  }

  private async whyNotYet(ids: readonly DeviceId[]): Promise<string | undefined> {
    const { encrypt, orphans } = this.store
    if (!encrypt.report().isDone) {
      this.wait = newWait()
      return "waits until all objects are encrypted"
    }
    const walk = (this.wait.walk ??= orphans.order())
    if (!this.areBackupsNew()) return "waits for backups of the metadata"
    // The others may be plain.
    const waitingBlocks = orphans.waitingBlocks(uploadId => !isSealedByOrigin(this.store.records.record, uploadId))
    if (!orphans.hasWalked(walk)) return "waits for a walk over all blocks"
    if (waitingBlocks > 0)
      return `waits for the removal of interrupted uploads: ${waitingBlocks} blocks, a day after the start`
    if (!(await this.areDeletionsOver())) return "waits until released bytes are deleted"
    return this.areCheckpointed(ids) ? undefined : "waits for checkpoints"
  }

  private areBackupsNew(): boolean {
    const { backup } = this.store
    const { wait } = this
    if (backup === undefined) return true
    if (wait.order !== undefined && backup.isComplete(wait.order)) {
      wait.backups += 1
      wait.order = undefined
    }
    if (wait.backups >= BACKUPS) return backup.isPruned
    if (wait.order === undefined) {
      wait.order = backup.order()
      this.wakeBackup()
    }
    return false
  }

  private async areDeletionsOver(): Promise<boolean> {
    const { metadata } = this.store
    const position = (this.wait.position ??= metadata.position)
    const oldest = await metadata.ask(firstPendingDeletion())
    return oldest === undefined || oldest > position
  }

  /** A checkpoint that began earlier may still write a payload from before. */
  private areCheckpointed(ids: readonly DeviceId[]): boolean {
    const stacks = this.stacksOf(ids)
    const batches = (this.wait.batches ??= new Map(stacks.map(({ place, rows }) => [place.id, rows.applied])))
    // A device that has returned meanwhile.
    if (stacks.some(({ place }) => !batches.has(place.id))) this.wait.batches = undefined
    return stacks.every(({ place, log }) => log.cutUpTo >= (batches.get(place.id) ?? Infinity))
  }

  private stacksOf(ids: readonly DeviceId[]): readonly Device[] {
    return this.store.devices().filter(({ place }) => ids.includes(place.id))
  }

  private async empty(record: ControlRecord): Promise<StepOutcome> {
    const converted: DeviceId[] = []
    this.left = new Map()
    for (const { id, emptyUpTo } of convertingIn(record)) {
      const [stack] = this.stacksOf([id])
      const left = stack === undefined || emptyUpTo === undefined ? "offline" : await stack.plain.remaining(emptyUpTo)
      if (left === undefined) converted.push(id)
      else this.left.set(id, left)
    }
    const names = [...this.left].map(
      ([id, left]) => `${record.devices.find(each => each.id === id)?.pathHint ?? id}: ${left}`,
    )
    this.doing = names.length === 0 ? "ends" : names.join("; ")
    if (converted.length === 0) return "throttled"
    await this.end(converted)
    return "busy"
  }

  private async end(converted: readonly DeviceId[]): Promise<void> {
    const { records, log } = this.store
    const after = await records.change("devices encrypted", before => withConverted(before, converted))
    for (const device of converted) log.info("device_encrypted", { device })
    if (convertingIn(after).length === 0) log.info("store_encrypted", {})
  }
}
