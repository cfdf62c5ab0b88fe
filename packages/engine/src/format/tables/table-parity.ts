/**
 * Parity of a table file, version 1: rebuilds a damaged part of the file without another copy (like a RAID 4 of
 * one file).
 *
 * Data blocks and directories are treated as pages of 4 KiB; the last one is padded with zeros. Page p belongs
 * to group p mod `groups`, and a parity page is the XOR of the pages of one group. Neighbours are in different groups,
 * so one damaged stretch of up to `groups` - 1 pages can be rebuilt. A rebuilt page is accepted only if the block that
 * contains it passes its checksum.
 */
import { must } from "@hayloft/base/assert.js"

export const PARITY_PAGE_BYTES = 4096
const PAGE_WORDS = PARITY_PAGE_BYTES / 4
/** With this many, two swapped pages are rarely in one group. */
const GROUPS_MIN = 8
const GROUPS_MAX = 64
/** A file has enough groups for at most this many pages each, rounded up to a power of two. */
const GROUP_PAGES_MAX = 32

const pagesOf = (dataBytes: number): number => Math.ceil(dataBytes / PARITY_PAGE_BYTES)

function groupsOf(dataBytes: number): number {
  let groups = GROUPS_MIN
  while (groups < GROUPS_MAX && groups * GROUP_PAGES_MAX < pagesOf(dataBytes)) groups *= 2
  return groups
}

/** The length of the parity for this much data. */
export const parityBytesOf = (dataBytes: number): number => groupsOf(dataBytes) * PARITY_PAGE_BYTES

/** Collects the parity of one file. Reused for file after file. */
export class ParityBuilder {
  private readonly page = Buffer.alloc(PARITY_PAGE_BYTES)
  private readonly pageWords = new Int32Array(this.page.buffer, this.page.byteOffset, PAGE_WORDS)
  private readonly sums = new Int32Array(GROUPS_MAX * PAGE_WORDS)
  private dataBytes = 0

  /** Adds the next bytes of the file. */
  add(bytes: Buffer): void {
    for (let from = 0; from < bytes.length;) {
      const at = this.dataBytes % PARITY_PAGE_BYTES
      const taken = bytes.copy(this.page, at, from)
      from += taken
      this.dataBytes += taken
      if (at + taken === PARITY_PAGE_BYTES) this.endPage()
    }
  }

  private endPage(): void {
    const number = pagesOf(this.dataBytes) - 1
    xorInto(this.sums, (number % GROUPS_MAX) * PAGE_WORDS, this.pageWords)
  }

  /** The parity pages, one for each group. The builder is empty again. */
  finish(): Buffer {
    const { dataBytes, sums } = this
    const rest = dataBytes % PARITY_PAGE_BYTES
    if (rest > 0) {
      this.page.fill(0, rest)
      this.endPage()
    }
    const groups = groupsOf(dataBytes)
    // Pages were summed for the largest number of groups, which is a multiple of any smaller one.
    const summed = Math.min(GROUPS_MAX, pagesOf(dataBytes))
    for (let group = groups; group < summed; group += 1) {
      xorInto(sums, (group % groups) * PAGE_WORDS, sums.subarray(group * PAGE_WORDS, (group + 1) * PAGE_WORDS))
    }
    const parity = Buffer.from(Buffer.from(sums.buffer, 0, groups * PARITY_PAGE_BYTES))
    sums.fill(0, 0, summed * PAGE_WORDS)
    this.dataBytes = 0
    return parity
  }
}

function xorInto(sums: Int32Array, at: number, page: Int32Array): void {
  for (let i = 0; i < PAGE_WORDS; i += 1) sums[at + i] = (sums[at + i] ?? 0) ^ (page[i] ?? 0)
}

/** The readable content of a file whose blocks are to be rebuilt. */
interface ParityFile {
  /** Bytes of all data blocks and directories. */
  readonly dataBytes: number
  /** These bytes of the data, as they are stored; valid until the next call. */
  readonly data: (offsetBytes: number, lengthBytes: number) => Buffer
  /** The parity page of a group, likewise. */
  readonly parity: (group: number) => Buffer
}

/**
 * The block that was written to a place of the file; undefined if too much is damaged. It finds the damaged pages by
 * trying: all of them, each one, each pair of neighbours.
 */
export function rebuildBlock(
  file: ParityFile,
  place: { readonly offsetBytes: number; readonly lengthBytes: number },
  isWhole: (block: Buffer) => boolean,
): Buffer | undefined {
  const { offsetBytes, lengthBytes } = place
  const first = Math.floor(offsetBytes / PARITY_PAGE_BYTES)
  const count = pagesOf(offsetBytes + lengthBytes) - first
  const rebuilt = Array.from({ length: count }, (_, i) => rebuildPage(file, first + i))
  for (const width of new Set([count, 1, 2])) {
    for (let from = 0; from + width <= count; from += 1) {
      const block = Buffer.from(file.data(offsetBytes, lengthBytes))
      for (let i = from; i < from + width; i += 1) {
        const at = (first + i) * PARITY_PAGE_BYTES - offsetBytes
        must(rebuilt[i], "the page was rebuilt").copy(block, Math.max(0, at), Math.max(0, -at))
      }
      if (isWhole(block)) return block
    }
  }
  return undefined
}

/** The content of the page, computed from the other pages of its group. */
function rebuildPage({ dataBytes, data, parity }: ParityFile, page: number): Buffer {
  const groups = groupsOf(dataBytes)
  const group = page % groups
  const rebuilt = Buffer.from(parity(group))
  for (let other = group; other < pagesOf(dataBytes); other += groups) {
    if (other === page) continue
    const at = other * PARITY_PAGE_BYTES
    const bytes = data(at, Math.min(PARITY_PAGE_BYTES, dataBytes - at))
    for (let i = 0; i < bytes.length; i += 1) rebuilt[i] = (rebuilt[i] ?? 0) ^ (bytes[i] ?? 0)
  }
  return rebuilt
}
