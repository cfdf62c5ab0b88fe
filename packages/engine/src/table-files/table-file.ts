/**
 * Table file, for reading: a table of users (`format/user-table`), with the reader of the metadata store.
 *
 * Promises  At the open the ends, the length of the file and every directory, which has the index and the filters, are
 *           verified; a block when it is read. So a read returns what was written, or throws `corruptRow`: damage is never
 *           absence. Damage that parity can mend is mended in memory; the file is never written.
 * Limits    `cacheBytes` of blocks in memory. Reads wait for the disk on the calling thread: the page cache is to have the file.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { NEVER } from "@hayloft/base/never.js"
import { ABOUT_ROW, decodeAbout, USER_END_SEED, USER_ROW, userSeeds } from "../format/tables/user-table.js"
import type { UserTableAbout } from "../format/tables/user-table.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { BlockCache, TableRun, RunCursor, Table, uncachedReads, verifyTable, TableVersion } from "../table/index.js"
import { keyBytes, type TableKey, type TableRange, type TableRow, type TableStat, type ValueKind } from "./contract.js"
import { TABLE_FILE_LIMITS } from "./limits.js"

export interface OpenTableOptions {
  /** Blocks in memory; 64 MiB if absent. */
  readonly cacheBytes?: number | undefined
  /** "whole": every byte is read and verified first. */
  readonly check?: "index" | "whole" | undefined
  readonly signal?: AbortSignal | undefined
}

const PROBE_BYTES = TABLE_FILE_LIMITS.keyBytesMax + 1
const decoder = new TextDecoder()

export class TableFile {
  private readonly version: TableVersion
  private readonly run: TableRun
  private readonly about: UserTableAbout
  private readonly probe = Buffer.alloc(PROBE_BYTES)
  private isClosed = false

  private constructor(
    private readonly table: Table,
    private readonly cache: BlockCache,
    private readonly mended: ReadonlySet<number>,
    private readonly sizeBytes: number,
  ) {
    this.run = new TableRun([{ table, level: 0, from: undefined }])
    this.version = new TableVersion([this.run], sizeBytes)
    const about = this.version.find(Buffer.from([ABOUT_ROW]))
    if (about === undefined) throw damaged(table.path, "it does not describe itself")
    this.about = decodeAbout(about)
  }

  /** Throws `noSuchFile`; `corruptRow` for a file that is damaged, incomplete, or no table; `deviceFailed`. */
  static async open(disk: Disk, path: string, options: OpenTableOptions = {}): Promise<TableFile> {
    if (!(await disk.exists(path))) throw fail("noSuchFile", { message: `${path} does not exist`, path })
    return naming(path, async () => {
      const mended = new Set<number>()
      const cache = new BlockCache(options.cacheBytes ?? TABLE_FILE_LIMITS.cacheBytes)
      const reads = {
        ...uncachedReads(undefined),
        cache,
        rebuilt: (_path: string, offsetBytes: number) => void mended.add(offsetBytes),
      }
      const at = { disk, path, number: 0, endSeed: USER_END_SEED, endBytesMax: TABLE_FILE_LIMITS.endBytesMax }
      const table = await Table.openAt({ ...at, seedsOf: ({ run }) => userSeeds(run) }, reads)
      try {
        const sizeBytes = await sizeOf(disk, path)
        if (sizeBytes !== table.sizeBytes)
          throw damaged(path, `it has ${sizeBytes} bytes, and ${table.sizeBytes} were written`)
        for (let partition = 0; partition < table.partitions.length; partition += 1) table.directory(partition)
        const file = new TableFile(table, cache, mended, sizeBytes)
        if (options.check === "whole") await file.verify(options.signal)
        return file
      } catch (error) {
        await table.close()
        throw error
      }
    })
  }

  get values(): ValueKind {
    return this.about.values
  }

  stat(): TableStat {
    const { path, footer } = this.table
    const total = footer.totals.find(({ family }) => family === USER_ROW)
    return {
      path,
      keys: total?.rows ?? 0,
      sizeBytes: this.sizeBytes,
      values: this.about.values,
      notes: Object.fromEntries(this.about.notes),
      checksum: total?.sum.toString() ?? "0".repeat(16),
    }
  }

  /** The value's bytes, which are the caller's; undefined if the file does not have the key. Throws `corruptRow`. */
  get(key: TableKey): Buffer | undefined {
    const value = this.find(key)
    return value === undefined ? undefined : Buffer.from(value)
  }

  /** The values of several keys, in their order. Throws as `get`. */
  getAll(keys: readonly TableKey[]): (Buffer | undefined)[] {
    return keys.map(key => this.get(key))
  }

  /**
   * The value as what it was built from: a text, a value of JSON, or bytes; undefined if the file does not have the key. Throws
   * as `get`.
   */
  value(key: TableKey): unknown {
    const value = this.find(key)
    if (value === undefined || this.about.values === "bytes")
      return value === undefined ? undefined : Buffer.from(value)
    const text = decoder.decode(value)
    const parsed: unknown = this.about.values === "json" ? JSON.parse(text) : text
    return parsed
  }

  /** In memory of the cache. */
  private find(key: TableKey): Uint8Array | undefined {
    const { probe } = this
    this.requireOpen()
    const length = typeof key === "string" ? Buffer.byteLength(key, "utf8") : key.length
    if (length > TABLE_FILE_LIMITS.keyBytesMax) return undefined
    probe[0] = USER_ROW
    if (typeof key === "string") probe.write(key, 1, "utf8")
    else probe.set(key, 1)
    try {
      return this.version.find(probe.subarray(0, 1 + length))
    } catch (error) {
      throw named(this.table.path, error)
    }
  }

  /** Keys and values in the order of the keys' bytes. Throws as `get`. */
  *scan({ prefix, from, to, limit = Infinity }: TableRange = {}): Generator<TableRow> {
    const begin = prefix === undefined ? undefined : userKey(prefix)
    const end = to === undefined ? undefined : userKey(to)
    let start = begin ?? userKey("")
    if (from !== undefined) {
      const other = userKey(from)
      if (Buffer.compare(other, start) > 0) start = other
    }
    const cursor = new RunCursor(this.run)
    const move = (step: () => void): void => {
      this.requireOpen()
      try {
        step()
      } catch (error) {
        throw named(this.table.path, error)
      }
    }
    move(() => cursor.seek(start, start.length))
    for (let count = 0; cursor.isValid && count < limit; count += 1) {
      const { bytes, keyAt, valueAt, end: valueEnd } = cursor
      if (end !== undefined && cursor.compareKey(end, 0, end.length) >= 0) return
      if (begin !== undefined && !bytes.subarray(keyAt, valueAt).subarray(0, begin.length).equals(begin)) return
      yield {
        key: Buffer.from(bytes.subarray(keyAt + 1, valueAt)),
        value: Buffer.from(bytes.subarray(valueAt, valueEnd)),
      }
      move(() => cursor.next())
    }
  }

  /** Bytes of blocks in memory. */
  get cachedBytes(): number {
    return this.cache.bytes
  }

  /** Blocks that were damaged, and that parity has mended in memory. */
  get mendedBlocks(): number {
    return this.mended.size
  }

  /**
   * Reads the whole file and compares it with its checksums. Throws `corruptRow` if a byte differs from what was written,
   * even where parity mends it.
   */
  async verify(signal = NEVER): Promise<void> {
    const { path } = this.table
    this.requireOpen()
    await naming(path, async () => {
      await verifyTable(this.table, signal)
      await this.table.verifyEnd()
    })
    if (this.mended.size === 0) return
    throw damaged(path, `${this.mended.size} places differ from what was written; parity mends them for reads`)
  }

  private requireOpen(): void {
    if (this.isClosed) throw fail("invalidArgument", { message: `${this.table.path} is closed` })
  }

  async close(): Promise<void> {
    this.isClosed = true
    await this.table.close()
  }
}

/** A key as the file has it. */
const userKey = (key: TableKey): Buffer => Buffer.concat([Buffer.from([USER_ROW]), keyBytes(key)])

async function sizeOf(disk: Disk, path: string): Promise<number> {
  const file = await disk.open(path, "read")
  try {
    return await file.sizeBytes()
  } finally {
    await file.close()
  }
}

const damaged = (path: string, reason: string, cause?: unknown): Failure =>
  fail(
    "corruptRow",
    { path, reason, message: `the table ${path} is damaged: ${reason}; copy it again, or build it again` },
    cause,
  )

/** Failures of the reader as those of a file of users. */
function named(path: string, error: unknown): unknown {
  if (!isFailure(error, "corruptRow", "corruptRecord") || error.message.startsWith("the table ")) return error
  const { reason, offsetBytes } = error.details
  const where = typeof offsetBytes === "number" ? ` at byte ${offsetBytes}` : ""
  return damaged(path, `${typeof reason === "string" ? reason : error.message}${where}`, error)
}

async function naming<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw named(path, error)
  }
}
