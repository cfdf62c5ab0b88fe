/**
 * The content of a simulated file: bytes in pages. Copies share pages until one of them is changed, and a page that was
 * never written has no memory: most of a simulated disk is reserved space full of zeros.
 */
const PAGE_BYTES = 4096
const ZEROS = new Uint8Array(PAGE_BYTES)

interface Page {
  readonly bytes: Uint8Array
  /** Nothing else refers to the bytes: they may be changed. */
  isOwn: boolean
}

export class PagedBytes {
  readonly #pages: (Page | undefined)[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The bytes must never change afterwards: whole pages of them become a part of the content. */
  write(bytes: Uint8Array, offsetBytes: number): void {
    this.grow(offsetBytes + bytes.length)
    for (let done = 0; done < bytes.length;) {
      const [number, start] = placeOf(offsetBytes + done)
      const part = bytes.subarray(done, done + PAGE_BYTES - start)
      if (part.length === PAGE_BYTES) this.#pages[number] = { bytes: part, isOwn: false }
      else this.#own(number).set(part, start)
      done += part.length
    }
  }

  /** Makes it at least this long, with zeros. */
  grow(lengthBytes: number): void {
    this.#length = Math.max(this.#length, lengthBytes)
  }

  truncate(lengthBytes: number): void {
    if (lengthBytes < this.#length) {
      const [number, start] = placeOf(lengthBytes)
      if (start > 0 && this.#pages[number] !== undefined) this.#own(number).fill(0, start)
      this.#pages.length = Math.min(this.#pages.length, start > 0 ? number + 1 : number)
    }
    this.#length = lengthBytes
  }

  /** Copies the bytes from an offset into a buffer; returns how many there are, at most as many as fit. */
  read(buffer: Uint8Array, offsetBytes: number): number {
    const count = Math.max(0, Math.min(buffer.length, this.#length - offsetBytes))
    for (let done = 0; done < count;) {
      const [number, start] = placeOf(offsetBytes + done)
      const end = Math.min(PAGE_BYTES, start + count - done)
      buffer.set((this.#pages[number]?.bytes ?? ZEROS).subarray(start, end), done)
      done += end - start
    }
    return count
  }

  /** A copy of the bytes between two offsets, as far as they exist. */
  slice(fromBytes = 0, toBytes = this.#length): Uint8Array {
    const bytes = new Uint8Array(Math.max(0, Math.min(toBytes, this.#length) - fromBytes))
    this.read(bytes, fromBytes)
    return bytes
  }

  /** The byte at an offset; undefined beyond the end. */
  at(offsetBytes: number): number | undefined {
    const [number, start] = placeOf(offsetBytes)
    return offsetBytes < this.#length ? (this.#pages[number]?.bytes[start] ?? 0) : undefined
  }

  copy(): PagedBytes {
    const copy = new PagedBytes()
    copy.#length = this.#length
    for (const [number, page] of this.#pages.entries()) {
      if (page === undefined) continue
      page.isOwn = false
      copy.#pages[number] = page
    }
    return copy
  }

  #own(number: number): Uint8Array {
    const page = this.#pages[number]
    if (page?.isOwn === true) return page.bytes
    const bytes = new Uint8Array(page?.bytes ?? ZEROS)
    this.#pages[number] = { bytes, isOwn: true }
    return bytes
  }
}

/** The page of an offset, and the offset in it. */
const placeOf = (offsetBytes: number): readonly [number, number] => [
  Math.floor(offsetBytes / PAGE_BYTES),
  offsetBytes % PAGE_BYTES,
]
