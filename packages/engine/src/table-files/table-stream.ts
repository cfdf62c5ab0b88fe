/**
 * Table stream: a table of users as bytes, one piece after the other, from rows that arrive in the order of their keys.
 *
 * Limits    In memory are one partition, and the bytes that the reader has not taken yet.
 * Refuses   Rows that are out of order, as a bug; a file beyond `TABLE_FILE_LIMITS`.
 */
import { assert } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { GIB } from "@hayloft/base/limits.js"
import { ABOUT_ROW, encodeAbout, USER_ROW, userSeeds, type UserTableAbout } from "../format/tables/user-table.js"
import { compareBytes } from "../format/tables/table-block.js"
import { TableWriter } from "../table/index.js"
import { FILE_LIMITS, TABLE_FILE_LIMITS } from "./limits.js"

const ROW_BYTES_FIRST = 4_096
const NO_BYTES = Buffer.alloc(0)

export class TableStream {
  private readonly writer: TableWriter
  private pieces: Buffer[] = []
  private row = Buffer.alloc(ROW_BYTES_FIRST)
  private last: Buffer = NO_BYTES
  private files = 0

  /** `run`: a number that no other file has (`runOfRows`). */
  constructor(run: number, about: UserTableAbout) {
    const write = async (buffers: readonly Uint8Array[]): Promise<void> => {
      for (const buffer of buffers) this.pieces.push(Buffer.from(buffer))
    }
    const done = async (): Promise<void> => undefined
    const disk = { open: async () => ({ write, sync: done, close: done }), remove: done }
    const takeNumber = (): number => {
      this.files += 1
      if (this.files === 1) return run
      throw fail("invalidArgument", { message: `a table has up to ${TABLE_FILE_LIMITS.fileBytesMax / GIB} GiB` })
    }
    const target = { disk, pathOf: () => "", seedsOf: userSeeds, cipher: undefined, level: 0, run, takeNumber }
    this.writer = new TableWriter(target, FILE_LIMITS)
    this.put(ABOUT_ROW, NO_BYTES, encodeAbout(about))
  }

  /** Bytes that the reader has not taken. */
  get waitingBytes(): number {
    return this.pieces.reduce((sum, { length }) => sum + length, 0)
  }

  async add(key: Uint8Array, value: Uint8Array): Promise<void> {
    if (this.put(USER_ROW, key, value)) await this.writer.flush()
  }

  private put(first: number, key: Uint8Array, value: Uint8Array): boolean {
    const valueAt = 1 + key.length
    const end = valueAt + value.length
    if (this.row.length < end) this.row = Buffer.alloc(2 * end)
    const { row, last } = this
    row[0] = first
    row.set(key, 1)
    row.set(value, valueAt)
    assert(compareBytes(last, 0, last.length, row, 0, valueAt) < 0, "rows arrive in the order of their keys")
    this.last = Buffer.from(row.subarray(0, valueAt))
    return this.writer.add(row, 0, valueAt, end, 0, false)
  }

  /** The rest of the file waits when this resolves. */
  async finish(): Promise<void> {
    await this.writer.finish()
  }

  /** The next bytes of the file: so many, or all that wait. They wait until they are dropped. */
  first(lengthBytes: number): Buffer {
    const waiting = Buffer.concat(this.pieces)
    this.pieces = [waiting]
    return waiting.subarray(0, lengthBytes)
  }

  /** So many bytes of the file have been written elsewhere. */
  drop(lengthBytes: number): void {
    this.pieces = [Buffer.concat(this.pieces).subarray(lengthBytes)]
  }
}
