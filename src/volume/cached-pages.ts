/**
 * Which pages of a device's payload volumes are likely in the page cache: those that were written since
 * the process began, and those that were read since; of as many volumes as memory keeps.
 *
 * A guess, never more: what is not there is read from the disk, only slower.
 */
const PAGE_BYTES = 4_096

export class CachedPages {
  /** A bit a page, by volume. */
  private readonly read = new Map<number, Uint8Array>()
  private newest: number
  private readonly volumesMax: number

  constructor(
    /** The last volume that was there at the start. */
    private readonly lastBefore: number,
    private readonly volumeBytes: number,
    cachedBytesMax: number,
  ) {
    this.newest = lastBefore
    this.volumesMax = Math.floor(cachedBytesMax / volumeBytes)
  }

  has(volume: number, offsetBytes: number, lengthBytes: number): boolean {
    if (volume > this.newest) this.newest = volume
    if (volume > this.lastBefore) return volume > this.newest - this.volumesMax
    const pages = this.read.get(volume)
    if (pages === undefined) return false
    for (let page = firstPage(offsetBytes); page * PAGE_BYTES < offsetBytes + lengthBytes; page += 1) {
      if (((pages[page >>> 3] ?? 0) & (1 << (page & 7))) === 0) return false
    }
    return true
  }

  /** Bytes have been read, so that they are in memory now. */
  note(volume: number, offsetBytes: number, lengthBytes: number): void {
    if (volume > this.lastBefore) return
    const pages = this.read.get(volume) ?? this.remember(volume)
    for (let page = firstPage(offsetBytes); page * PAGE_BYTES < offsetBytes + lengthBytes; page += 1) {
      pages[page >>> 3] = (pages[page >>> 3] ?? 0) | (1 << (page & 7))
    }
  }

  private remember(volume: number): Uint8Array {
    // Together they would be more than stays in memory: what was known of them may not hold any more.
    if (this.read.size >= this.volumesMax) this.read.clear()
    const pages = new Uint8Array(Math.ceil(this.volumeBytes / PAGE_BYTES / 8) + 1)
    this.read.set(volume, pages)
    return pages
  }
}

const firstPage = (offsetBytes: number): number => Math.floor(offsetBytes / PAGE_BYTES)
