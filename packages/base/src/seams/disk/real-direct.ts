/**
 * Direct calls: a file's reads and writes past the page cache (O_DIRECT), where they are possible.
 *
 * The kernel then moves bytes between the disk and our memory directly. It needs whole pages, in the
 * file and in memory: reads use the caller's memory if that begins on a page
 * (`wasmMemory`), writes are copied to private memory, a piece at a time.
 *
 * Promises  Reports how many bytes were transferred; the caller does the rest through the page cache. Nothing
 *           is durable before `sync`.
 * Limits    PIECES_MAX pieces of PIECE_BYTES for all files of a disk; if none is free, nothing is transferred.
 */
import * as fs from "node:fs"
import { must } from "../../assert.js"
import { copyPlainly } from "../../bytes.js"
import { MIB } from "../../limits.js"
import { wasmMemory } from "../../simd/wasm.js"
import { DISK_PAGE_BYTES } from "./contract.js"

const PIECE_BYTES = 1 * MIB
const PIECES_MAX = 16
/** One is filled while the other is written. */
const PIECES_AT_ONCE = 2
const { O_DIRECT, O_RDONLY, O_RDWR } = fs.constants

const isWholePages = (offsetBytes: number, lengthBytes: number): boolean =>
  offsetBytes % DISK_PAGE_BYTES === 0 && lengthBytes % DISK_PAGE_BYTES === 0

/** 0 for a request that the file system does not support in this shape. Rejects with the system's error. */
function transferred(start: (done: (error: NodeJS.ErrnoException | null, count: number) => void) => void) {
  return new Promise<number>((resolve, reject) => {
    start((error, count) => {
      if (!error) resolve(count)
      else if (error.code === "EINVAL") resolve(0)
      else reject(error)
    })
  })
}

/** Memory to which direct writes are copied. The piece returned last is lent first; unused pieces are never touched. */
export class DirectMemory {
  #memory: Uint8Array | undefined
  readonly #free = Array.from({ length: PIECES_MAX }, (_, i) => i).reverse()

  /** The requested number of pieces, or none if too few are free. */
  take(count: number): readonly number[] {
    return this.#free.length < count ? [] : this.#free.splice(-count)
  }

  at(piece: number): Uint8Array {
    this.#memory ??= new Uint8Array(wasmMemory(PIECES_MAX * PIECE_BYTES).buffer)
    return this.#memory.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES)
  }

  give(pieces: readonly number[]): void {
    this.#free.push(...pieces)
  }
}

export class DirectCalls {
  private constructor(
    private readonly descriptor: number,
    private readonly memory: DirectMemory,
  ) {}

  /**
   * Opens the file of a descriptor, by its number: its name may be gone. Returns undefined where there is no such
   * thing.
   */
  static open(descriptor: number, isWritable: boolean, memory: DirectMemory): Promise<DirectCalls | undefined> {
    // Only Linux has it.
    if (!O_DIRECT) return Promise.resolve(undefined)
    const flags = (isWritable ? O_RDWR : O_RDONLY) | O_DIRECT
    return new Promise(resolve => {
      fs.open(`/proc/self/fd/${descriptor}`, flags, (error, fd) => {
        resolve(error ? undefined : new DirectCalls(fd, memory))
      })
    })
  }

  /** How many of the bytes there could be read. */
  async read(buffer: Uint8Array, offsetBytes: number): Promise<number> {
    if (!isWholePages(offsetBytes, buffer.length)) return 0
    return transferred(done => fs.read(this.descriptor, buffer, 0, buffer.length, offsetBytes, done))
  }

  /** How many of the bytes, from the first on, have been written. */
  async write(buffers: readonly Uint8Array[], offsetBytes: number): Promise<number> {
    const lengthBytes = buffers.reduce((sum, { length }) => sum + length, 0)
    if (!isWholePages(offsetBytes, lengthBytes)) return 0
    const pieces = this.memory.take(PIECES_AT_ONCE)
    if (pieces.length === 0) return 0
    try {
      return await this.#writePieces(pieces, buffers, { offsetBytes, lengthBytes })
    } finally {
      this.memory.give(pieces)
    }
  }

  async #writePieces(
    pieces: readonly number[],
    buffers: readonly Uint8Array[],
    { offsetBytes, lengthBytes }: { readonly offsetBytes: number; readonly lengthBytes: number },
  ): Promise<number> {
    const gather = gathering(buffers)
    let [written, beforeBytes] = [0, 0]
    let before: Promise<number> = Promise.resolve(0)
    for (let at = 0, turn = 0; at < lengthBytes; at += PIECE_BYTES, turn += 1) {
      const piece = must(pieces[turn % pieces.length], "there are pieces")
      const memory = this.memory.at(piece).subarray(0, lengthBytes - at)
      // While the previous one is written.
      gather(memory)
      const count = await before
      written += count
      if (count < beforeBytes) return written
      before = transferred(done => fs.write(this.descriptor, memory, 0, memory.length, offsetBytes + at, done))
      beforeBytes = memory.length
    }
    return written + (await before)
  }

  sync(): Promise<void> {
    return this.#act(done => fs.fdatasync(this.descriptor, done))
  }

  close(): Promise<void> {
    return this.#act(done => fs.close(this.descriptor, done))
  }

  #act(start: (done: (error: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => start(error => (error ? reject(error) : resolve())))
  }
}

/** Fills the memories in order with the bytes of the buffers, which must suffice. */
function gathering(buffers: readonly Uint8Array[]): (memory: Uint8Array) => void {
  let [index, from] = [0, 0]
  return memory => {
    for (let at = 0; at < memory.length;) {
      const some = buffers[index]?.subarray(from, from + memory.length - at)
      if (some === undefined) return
      copyPlainly(memory, some, at)
      at += some.length
      from += some.length
      if (from === buffers[index]?.length) {
        index += 1
        from = 0
      }
    }
  }
}
