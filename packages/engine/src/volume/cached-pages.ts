/**
 * Pages of a device's volumes that are likely in the page cache: those that were written since the process began, and
 * those that were read since; up to as many bytes as memory keeps.
 *
 * Only a guess: pages that are not cached are read from the disk, more slowly.
 * Limits  `cachedBytesMax` of the noted bytes; `VOLUMES_MAX` volumes, the one noted first is dropped first.
 */
import type { NeedleRange } from "./contract.js"

const PAGE_BYTES = 4_096
/** A bit a page: 32 KiB for each GiB. */
const VOLUMES_MAX = 256

interface NotedPages {
  readonly bits: Uint8Array
  count: number
}

export class CachedPages {
  private readonly noted = new Map<number, NotedPages>()
  private notedCount = 0
  private newest: number

  constructor(
    /** Volumes beyond this one are always written through the cache; for the others each write is noted. */
    private readonly lastNoted: number,
    private readonly volumeBytes: number,
    private readonly cachedBytesMax: number,
  ) {
    this.newest = lastNoted
  }

  has(volume: number, { offsetBytes, lengthBytes }: NeedleRange): boolean {
    if (volume > this.newest) this.newest = volume
    if (volume > this.lastNoted) return (this.newest - volume + 1) * this.volumeBytes <= this.cachedBytesMax
    const bits = this.noted.get(volume)?.bits
    if (bits === undefined) return false
    for (let page = firstPage(offsetBytes); page * PAGE_BYTES < offsetBytes + lengthBytes; page += 1) {
      if (((bits[page >>> 3] ?? 0) & (1 << (page & 7))) === 0) return false
    }
    return true
  }

  /** Notes that bytes have been read or written, so that they are in memory now. */
  note(volume: number, { offsetBytes, lengthBytes }: NeedleRange): void {
    if (volume > this.lastNoted) return
    const pages = this.noted.get(volume) ?? this.remember(volume)
    const { bits, count } = pages
    // A volume may be longer than its limit, by one large group.
    const endPage = Math.min(Math.ceil((offsetBytes + lengthBytes) / PAGE_BYTES), bits.length * 8)
    for (let page = firstPage(offsetBytes); page < endPage; page += 1) {
      const byte = bits[page >>> 3] ?? 0
      const bit = 1 << (page & 7)
      if ((byte & bit) !== 0) continue
      bits[page >>> 3] = byte | bit
      pages.count += 1
    }
    this.notedCount += pages.count - count
    // More than stays in memory in total: drop the oldest notes.
    while (this.notedCount * PAGE_BYTES > this.cachedBytesMax) this.forgetFirst()
  }

  private remember(volume: number): NotedPages {
    if (this.noted.size >= VOLUMES_MAX) this.forgetFirst()
    const pages = { bits: new Uint8Array(Math.ceil(this.volumeBytes / PAGE_BYTES / 8) + 1), count: 0 }
    this.noted.set(volume, pages)
    return pages
  }

  private forgetFirst(): void {
    const [first] = this.noted
    if (first === undefined) return
    const [volume, { count }] = first
    this.noted.delete(volume)
    this.notedCount -= count
  }
}

const firstPage = (offsetBytes: number): number => Math.floor(offsetBytes / PAGE_BYTES)
