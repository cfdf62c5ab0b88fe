/**
 * The room of a cache that is kept as objects of the store: its size as far as this process knows, and its limit.
 *
 * Promises  The size is never negative. The limit is at most `sizeBytesMax`; the eviction lowers it while disks are full.
 */
import { EVICTION_LIMITS } from "./limits.js"

export class CacheRoom {
  private countedBytes = 0
  /** The limit now: `sizeBytesMax`, or less for a while after disks were full. */
  limitBytes: number
  /** The most that something needed for which there was no room, since the last eviction. */
  wantedBytes = 0
  /** Called when something was claimed for which there is no room. */
  onFull: () => void = () => undefined

  constructor(
    readonly sizeBytesMax: number,
    /** The limit grows back by so much at least. */
    readonly growthBytes: number,
  ) {
    this.limitBytes = sizeBytesMax
  }

  /** The size at the last count, with all changes since. Before the first count, older contents are not included. */
  get sizeBytes(): number {
    return this.countedBytes
  }

  set sizeBytes(bytes: number) {
    this.countedBytes = Math.max(0, bytes)
  }

  /** Bytes that an object of the cache counts against the limit. */
  chargeOf(bytes: number): number {
    return Math.max(bytes, EVICTION_LIMITS.chargedBytesMin)
  }

  fits(bytes: number): boolean {
    return this.sizeBytes + this.chargeOf(bytes) <= this.limitBytes
  }

  /** Returns true if the bytes fit; if not, the eviction makes room for as many. */
  claim(bytes: number): boolean {
    if (this.fits(bytes)) return true
    this.wantedBytes = Math.max(this.wantedBytes, this.chargeOf(bytes))
    this.onFull()
    return false
  }
}
