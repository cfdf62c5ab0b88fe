/**
 * Ownership of a device's folder for one process incarnation.
 *
 * Promises  No two processes that check as they should write to one device for longer than CHECK_EVERY_MS: the lock
 *           keeps processes of one machine apart, and the incarnation in the superblock, which each start raises, shows
 *           an owner that another process came after it, also from another machine. The log calls `check` before each
 *           segment.
 * Refuses   To continue when the folder belongs to another process (`folderInUse`), as a whole superblock proves: this
 *           process must stop then. A superblock that is gone, damaged or unreadable is a failure of the device
 *           (`deviceFailed`), and so is one that is not read in time.
 */
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { nextBeat } from "@hayloft/base/seams/clock/beats.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { FolderLock } from "@hayloft/base/seams/folder-lock/contract.js"
import { InOrder } from "@hayloft/base/life/index.js"
import type { Superblock } from "../../format/device/superblock.js"
import { freeSpaceToStart } from "../space/ballast.js"
import { CALL_LIMITS, queuedDisk } from "../calls/call-queue.js"
import type { DeviceIdentity } from "../contract.js"
import type { Stalls } from "../calls/stalls.js"
import { beginIncarnation, raiseFormatEpoch, readSuperblock, type Beginning } from "./superblock.js"

const CHECK_EVERY_MS = 1000

export class Ownership {
  private released: Promise<void> | undefined
  private readonly raising = new InOrder()

  private constructor(
    private readonly clock: Clock,
    private readonly disk: Disk,
    private readonly lock: FolderLock,
    private current: Superblock,
    private readonly watch: AbortController,
  ) {}

  /**
   * Begins an incarnation on the device whose folder the lock covers. `found`: its superblock as it was read, perhaps
   * before the lock was taken; other incarnations may have begun and ended since. `stalls`: judges
   * all devices of this process together; absent: the device is judged alone.
   */
  static async begin(
    clock: Clock,
    disk: Disk,
    lock: FolderLock,
    found: Superblock,
    least: Beginning = {},
    stalls?: Stalls,
  ): Promise<Ownership> {
    const watch = new AbortController()
    const bounded =
      stalls?.queued(lock.folder, { disk, clock }, watch.signal) ??
      queuedDisk(disk, clock, CALL_LIMITS, watch.signal, () => undefined)
    try {
      const now = await readSuperblock(bounded, lock.folder)
      if (now?.deviceId !== found.deviceId) {
        throw fail("foreignFolder", { message: "the data folder was exchanged while it was opened", path: lock.folder })
      }
      await freeSpaceToStart(bounded, lock.folder)
      return new Ownership(clock, bounded, lock, await beginIncarnation(bounded, lock.folder, now, least), watch)
    } catch (error) {
      watch.abort()
      throw error
    }
  }

  get superblock(): Superblock {
    return this.current
  }

  get identity(): DeviceIdentity {
    const { deviceId, incarnation, createdMs } = this.superblock
    return { id: deviceId, path: this.lock.folder, incarnation, createdMs }
  }

  /** Throws `folderInUse` or `deviceFailed` (see above) unless the folder still belongs to this incarnation. */
  async check(): Promise<void> {
    const path = this.lock.folder
    const found = await this.readSuperblock()
    if (found === undefined)
      throw fail("deviceFailed", { message: "the superblock of the data folder is missing", path })
    const { deviceId, incarnation } = this.superblock
    if (found.deviceId !== deviceId)
      throw fail("folderInUse", { message: "another data folder is at this path now", path, found: found.deviceId })
    const isOurs = found.incarnation === incarnation
    if (isOurs && (await this.lock.isHeld())) return
    if (!isOurs || (await this.lock.isAnothers())) throw fail("folderInUse", { path })
    // A disk that is being emptied may lose the lock before the superblock.
    throw fail("deviceFailed", { message: "the lock of the data folder has been removed", path })
  }

  /**
   * The superblock has at least this epoch when it resolves: earlier releases no longer open the folder. Throws as
   * `check` does.
   */
  raiseFormatEpoch(formatEpoch: number): Promise<void> {
    const raise = async (): Promise<void> => {
      if (this.current.formatEpoch >= formatEpoch) return
      await this.check()
      this.current = await raiseFormatEpoch(this.disk, this.lock.folder, this.current, formatEpoch)
    }
    return this.raising.run(raise)
  }

  private async readSuperblock(): Promise<Superblock | undefined> {
    const path = this.lock.folder
    try {
      return await readSuperblock(this.disk, path)
    } catch (error) {
      if (isFailure(error, "corruptRecord")) {
        throw fail("deviceFailed", { message: "the superblock of the data folder is damaged", path }, error)
      }
      // Whole, and of a later release: its process has started since.
      throw isFailure(error, "invalidConfig") ? fail("folderInUse", { path }, error) : error
    }
  }

  /** Checks each second until the signal fires; the first failure ends the loop and is passed to `onLost`. */
  async run(signal: AbortSignal, onLost: (failure: Failure) => void): Promise<void> {
    while (!signal.aborted) {
      await nextBeat(this.clock, CHECK_EVERY_MS, signal)
      if (signal.aborted) return
      try {
        await this.check()
      } catch (error) {
        // A process without a free file handle has not checked.
        if (isFailure(error, "tooManyInFlight")) continue
        onLost(asFailure(error))
        return
      }
    }
  }

  /** Releases the folder, once nothing of this incarnation writes to it any more. All callers get the same promise. */
  release(): Promise<void> {
    this.watch.abort()
    this.released ??= this.lock.release()
    return this.released
  }
}
