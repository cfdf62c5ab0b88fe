/**
 * Local reads: needles that the page cache has, read from the volume's file in this thread; the engine thread has told their
 * places.
 *
 * Promises  Verified bytes of the needle, or undefined: then the engine thread has to read it, which knows what to do about
 *           it. Only the opening of a file may wait for a disk. If that hangs it is given up, and the engine thread makes all
 *           reads until it has ended; then the files are opened again.
 * Limits    Open files: those of VOLUME_LIMITS for each folder.
 */
import { assert } from "@hayloft/base/assert.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { CALL_LIMITS, queuedDisk, SyncReads, type QueuedDisk } from "../device/index.js"
import type { Allocate, CachedPlace, NeedleId, NeedleRange } from "../volume/contract.js"
import { readShard, VOLUME_LIMITS, VolumeFiles } from "../volume/index.js"

/** A call that hangs keeps one thread of the pool. */
const LIMITS = { ...CALL_LIMITS, callsMax: 1 }

/** The files of one device, until it is closed. */
export class LocalReads {
  private readonly lifetime = new AbortController()
  private queue: QueuedDisk
  private readonly reads: SyncReads
  private readonly folders = new Map<string, VolumeFiles>()

  constructor(
    private readonly disk: Disk,
    private readonly clock: Clock,
  ) {
    this.queue = this.newQueue()
    this.reads = new SyncReads(clock)
  }

  async read(
    id: NeedleId,
    { folder, place }: CachedPlace,
    range: NeedleRange,
    allocate: Allocate | undefined,
  ): Promise<Uint8Array | undefined> {
    if (this.lifetime.signal.aborted || !this.recovers()) return undefined
    try {
      return await this.filesOf(folder).use(place.volume, file =>
        this.reads.read(() => {
          const bytes = readShard(file, id, { place, range, allocate, use: "resident" })
          assert(bytes instanceof Uint8Array, "a resident read does not wait")
          return bytes
        }),
      )
    } catch {
      // The file cannot be opened, or is gone.
      return undefined
    }
  }

  /** Closes files that no read uses, so that the space of those that were removed comes back. */
  giveUp(): void {
    for (const files of this.folders.values()) void files.close()
    this.folders.clear()
  }

  close(): void {
    this.lifetime.abort()
    this.giveUp()
  }

  private newQueue(): QueuedDisk {
    return queuedDisk(this.disk, this.clock, LIMITS, this.lifetime.signal, () => undefined)
  }

  /** Reads again once a call that was given up has ended; returns false while it has not. */
  private recovers(): boolean {
    const { suspect, running } = this.queue
    if (suspect === undefined) return true
    if (running > 0) return false
    this.giveUp()
    this.queue = this.newQueue()
    return true
  }

  private filesOf(folder: string): VolumeFiles {
    const known = this.folders.get(folder)
    if (known !== undefined) return known
    const files = new VolumeFiles(this.queue, folder, VOLUME_LIMITS.filesOpenMax)
    this.folders.set(folder, files)
    return files
  }
}
