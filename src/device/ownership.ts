/**
 * Owning a device's folder for one life of a process.
 *
 * Promises  No two processes that check as they should write to one device for longer than
 *           CHECK_EVERY_MS: the lock keeps processes of one machine apart, and the incarnation in the
 *           superblock, which each start raises, tells an owner that another one came after it, also
 *           from another machine. The log asks `check` before each segment.
 * Refuses   To go on when the folder is another's (`folderInUse`), which a whole superblock says: the
 *           process must stop then. One that is gone, damaged or cannot be read is the device's failure
 *           (`deviceFailed`), and so is one that is not read in time: nobody waits for a check longer.
 */
import { asFailure, fail, isFailure } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import type { Incarnation } from "../base/ids.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Disk } from "../seams/disk/contract.js"
import type { FolderLock } from "../seams/lock/contract.js"
import type { Superblock } from "../format/superblock.js"
import { makeRoomToStart } from "./ballast.js"
import { CALL_LIMITS, queuedDisk } from "./call-queue.js"
import type { DeviceIdentity } from "./contract.js"
import { beginIncarnation, readSuperblock } from "./superblock.js"

const CHECK_EVERY_MS = 1000

export class Ownership {
  private released: Promise<void> | undefined

  private constructor(
    private readonly clock: Clock,
    private readonly disk: Disk,
    private readonly lock: FolderLock,
    readonly superblock: Superblock,
    private readonly watch: AbortController,
  ) {}

  /**
   * Begins a life on the device whose folder the lock holds. `found`: its superblock as it was seen,
   * perhaps before the lock was taken; other lives may have come and gone since. `least`: its incarnation
   * is to be this or higher.
   */
  static async begin(
    clock: Clock,
    disk: Disk,
    lock: FolderLock,
    found: Superblock,
    least?: Incarnation,
  ): Promise<Ownership> {
    const watch = new AbortController()
    const bounded = queuedDisk(disk, clock, CALL_LIMITS, watch.signal, () => undefined)
    try {
      const now = await readSuperblock(bounded, lock.folder)
      if (now?.deviceId !== found.deviceId) {
        throw fail("foreignFolder", { message: "the data folder was exchanged while it was opened", path: lock.folder })
      }
      await makeRoomToStart(bounded, lock.folder)
      return new Ownership(clock, bounded, lock, await beginIncarnation(bounded, lock.folder, now, least), watch)
    } catch (error) {
      watch.abort()
      throw error
    }
  }

  get identity(): DeviceIdentity {
    const { deviceId, incarnation, createdMs } = this.superblock
    return { id: deviceId, path: this.lock.folder, incarnation, createdMs }
  }

  /** Throws `folderInUse` or `deviceFailed` (see above) unless the folder is still this life's. */
  async check(): Promise<void> {
    const path = this.lock.folder
    const found = await this.readSuperblock()
    if (found === undefined) throw fail("deviceFailed", { message: "the data folder has been taken away", path })
    const { deviceId, incarnation } = this.superblock
    const isOurs = found.deviceId === deviceId && found.incarnation === incarnation
    if (isOurs && (await this.lock.isHeld())) return
    if (!isOurs || (await this.lock.isAnothers())) throw fail("folderInUse", { path })
    // A disk that is being emptied may lose the lock before the superblock.
    throw fail("deviceFailed", { message: "the lock of the data folder has been taken away", path })
  }

  private async readSuperblock(): Promise<Superblock | undefined> {
    const path = this.lock.folder
    try {
      return await readSuperblock(this.disk, path)
    } catch (error) {
      if (isFailure(error, "corruptRecord")) {
        throw fail("deviceFailed", { message: "the superblock of the data folder is damaged", path }, error)
      }
      // Whole, and of a later release: its process has come since.
      throw isFailure(error, "invalidConfig") ? fail("folderInUse", { path }, error) : error
    }
  }

  /** Checks each second until the signal fires; the first failure ends it and is told to `onLost`. */
  async run(signal: AbortSignal, onLost: (failure: Failure) => void): Promise<void> {
    while (!signal.aborted) {
      await this.clock.sleep(CHECK_EVERY_MS, signal)
      if (signal.aborted) return
      try {
        await this.check()
      } catch (error) {
        // A process without a file handle to spare has not looked.
        if (isFailure(error, "tooManyInFlight")) continue
        onLost(asFailure(error))
        return
      }
    }
  }

  /** Gives the folder up, once nothing of this life writes to it any more. The same end for all who call it. */
  release(): Promise<void> {
    this.watch.abort()
    this.released ??= this.lock.release()
    return this.released
  }
}
