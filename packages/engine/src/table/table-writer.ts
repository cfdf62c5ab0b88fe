/**
 * Table writer: writes rows that arrive in key order to new table files, each durable when it is finished.
 *
 * Limits    One partition is in memory; a file ends at the first partition past `tableBytes`.
 */
import { assert } from "@hayloft/base/assert.js"
import { RowSum } from "../format/tables/row-sum.js"
import type { DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { BLOCK_SEAL_BYTES, BlockBuilder, packPlace, ROW_FLAGS } from "../format/tables/table-block.js"
import { encodeEnd, parityHash, type FamilyTotal, type Partition } from "../format/tables/table-file.js"
import type { TableSeal, TableSeeds } from "../format/tables/table-file.js"
import { ParityBuilder } from "../format/tables/table-parity.js"
import { FilterBuilder } from "../format/tables/table-filter.js"
import type { TableEntry } from "../format/tables/table-manifest.js"
import type { DiskFile } from "@hayloft/base/seams/disk/contract.js"
import type { TableLimits } from "./limits.js"

/** Written from its beginning to its end. */
type WrittenFile = Pick<DiskFile, "write" | "sync" | "close">

/** Names and seeds of the files. */
export interface TableTarget {
  readonly disk: {
    open(path: string, mode: "create"): Promise<WrittenFile>
    remove(path: string): Promise<void>
  }
  /** The path of the file with this number. */
  readonly pathOf: (number: number) => string
  /** The seeds of the file with this number. */
  readonly seedsOf: (number: number) => TableSeeds
  /** Encrypts the files. */
  readonly cipher: DeviceCipher | undefined
  readonly level: number
  readonly run: number
  /** The number of the next file; each is used once. */
  readonly takeNumber: () => number
}

/** State of the file that is being written. */
interface OpenTable {
  readonly number: number
  readonly file: WrittenFile
}

export class TableWriter {
  private readonly data: BlockBuilder
  private readonly directory: BlockBuilder
  private readonly filter = new FilterBuilder()
  private readonly parity = new ParityBuilder()
  private open: OpenTable | undefined
  /** Finished blocks that have not been written, one behind the other. Reused after each write. */
  private pending: Buffer
  private pendingBytes = 0
  private writtenBytes = 0
  private partitionAt = 0
  private partitions: Partition[] = []
  private firstKey: Buffer | undefined
  private lastKey: Buffer = Buffer.alloc(0)
  private counts = { rows: 0, tombstones: 0, replacing: 0 }
  private totals = new Map<number, { rows: number; readonly sum: RowSum }>()
  private number: number | undefined
  private seeds: TableSeeds = { blocks: 0n, end: 0n }
  private seal: TableSeal | undefined
  private readonly created: string[] = []
  readonly finished: TableEntry[] = []
  /** Sum of all rows in all files. */
  readonly sum = new RowSum()

  constructor(
    private readonly target: TableTarget,
    private readonly limits: TableLimits,
  ) {
    this.data = new BlockBuilder(2 * limits.blockBytes)
    this.directory = new BlockBuilder(2 * limits.blockBytes)
    this.pending = Buffer.allocUnsafe(limits.partitionBytes + 8 * limits.blockBytes)
  }

  /**
   * Adds the row whose key and value follow each other in the bytes. `isReplacing`: an older table seems to contain an
   * older version of it. True: call `flush` before the next row.
   */
  add(bytes: Buffer, keyAt: number, valueAt: number, end: number, flags: number, isReplacing: boolean): boolean {
    const { limits, data } = this
    if (this.number === undefined) this.begin(bytes.subarray(keyAt, valueAt))
    if (data.rows > 0 && data.lengthBytes + end - keyAt > limits.blockBytes) this.endBlock()
    data.addRow(bytes, keyAt, valueAt, end, flags)
    this.filter.add(bytes, keyAt, valueAt)
    this.count(bytes, keyAt, end, flags, isReplacing)
    if (this.offsetBytes + data.lengthBytes - this.partitionAt < limits.partitionBytes) return false
    this.endPartition()
    return true
  }

  private begin(key: Buffer): void {
    const { cipher, seedsOf, takeNumber } = this.target
    this.number = takeNumber()
    this.seeds = seedsOf(this.number)
    const salt = cipher?.salt()
    this.seal = cipher && salt && { salt, key: cipher.tableKey(this.number, salt) }
    this.firstKey = Buffer.from(key)
  }

  private count(bytes: Buffer, keyAt: number, end: number, flags: number, isReplacing: boolean): void {
    const isTombstone = (flags & ROW_FLAGS.tombstone) !== 0
    this.counts.rows += 1
    if (isTombstone) this.counts.tombstones += 1
    if (isReplacing) this.counts.replacing += 1
    const family = bytes[keyAt] ?? 0
    let total = this.totals.get(family)
    if (total === undefined) this.totals.set(family, (total = { rows: 0, sum: new RowSum() }))
    total.rows += 1
    total.sum.add(bytes, keyAt, end, flags & ROW_FLAGS.tombstone)
  }

  private get offsetBytes(): number {
    return this.writtenBytes + this.pendingBytes
  }

  private endBlock(): void {
    const lastKey = this.data.lastKey()
    const { offsetBytes } = this
    this.directory.add(lastKey, 0, packPlace(offsetBytes, this.pushBlock(this.data)))
    this.lastKey = lastKey
  }

  private endPartition(): void {
    if (this.data.rows > 0) this.endBlock()
    const directoryAt = this.offsetBytes
    const directoryBytes = this.pushBlock(this.directory, this.filter.finish())
    this.partitions.push({ lastKey: this.lastKey, directoryAt, directoryBytes })
    this.partitionAt = this.offsetBytes
  }

  /** Returns the length of the block. */
  private pushBlock(builder: BlockBuilder, filter?: Uint8Array): number {
    const from = this.pendingBytes
    this.reserve(builder.lengthBytes + (filter?.length ?? 0) + BLOCK_SEAL_BYTES)
    const at = { seed: this.seeds.blocks, key: this.seal?.key, offsetBytes: this.offsetBytes }
    this.pendingBytes = builder.finishInto(this.pending, from, at, filter)
    this.parity.add(this.pending.subarray(from, this.pendingBytes))
    return this.pendingBytes - from
  }

  private push(bytes: Buffer): void {
    this.reserve(bytes.length)
    this.pending.set(bytes, this.pendingBytes)
    this.pendingBytes += bytes.length
  }

  private reserve(bytes: number): void {
    if (this.pendingBytes + bytes <= this.pending.length) return
    const larger = Buffer.allocUnsafe(2 * (this.pendingBytes + bytes))
    this.pending.copy(larger, 0, 0, this.pendingBytes)
    this.pending = larger
  }

  /** Writes the finished blocks; ends the file if it is long enough. */
  async flush(): Promise<void> {
    await this.write()
    if (this.writtenBytes >= this.limits.tableBytes) await this.endTable()
  }

  private async write(): Promise<void> {
    if (this.pendingBytes === 0) return
    const { file } = (this.open ??= await this.create())
    await file.write([this.pending.subarray(0, this.pendingBytes)], this.writtenBytes)
    this.writtenBytes += this.pendingBytes
    this.pendingBytes = 0
  }

  private async create(): Promise<OpenTable> {
    const { number } = this
    assert(number !== undefined, "a table has a number from its first row on")
    const path = this.target.pathOf(number)
    this.created.push(path)
    return { number, file: await this.target.disk.open(path, "create") }
  }

  private async endTable(): Promise<void> {
    const { number, firstKey, counts, partitions, lastKey, seal } = this
    assert(number !== undefined && firstKey !== undefined, "a table has rows")
    for (const { sum } of this.totals.values()) this.sum.addSum(sum)
    const totals: FamilyTotal[] = [...this.totals].map(([family, { rows, sum }]) => ({ family, rows, sum }))
    const parity = this.parity.finish()
    const { level, run } = this.target
    const hashed = parityHash(parity, this.seeds.blocks)
    const footer = {
      level,
      run,
      ...counts,
      firstKey,
      lastKey,
      totals,
      partitions,
      parityHash: hashed,
      ...(seal && { seal }),
    }
    const { bytes, hash } = encodeEnd(footer, this.seeds.end)
    const sizeBytes = this.offsetBytes
    for (const each of [bytes, parity, bytes]) this.push(each)
    await this.write()
    const { open } = this
    assert(open !== undefined, "a table has a file")
    await open.file.sync()
    await open.file.close()
    const merged = { rows: 0, sum: new RowSum() }
    this.finished.push({
      number,
      level,
      run,
      sizeBytes,
      ...counts,
      footerHash: hash,
      firstKey,
      lastKey,
      from: undefined,
      merged,
    })
    this.reset()
  }

  private reset(): void {
    this.open = undefined
    this.number = undefined
    this.firstKey = undefined
    this.writtenBytes = 0
    this.partitionAt = 0
    this.partitions = []
    this.counts = { rows: 0, tombstones: 0, replacing: 0 }
    this.totals = new Map()
  }

  /** Ends the last file. The folder is not synced. */
  async finish(): Promise<readonly TableEntry[]> {
    if (this.number !== undefined) {
      if (this.data.rows > 0 || this.directory.rows > 0) this.endPartition()
      await this.endTable()
    }
    return this.finished
  }

  /** Removes whatever was written. Failures to do so leave files that the next opening removes. */
  async abandon(): Promise<void> {
    await this.open?.file.close().catch(() => undefined)
    for (const path of this.created) await this.target.disk.remove(path).catch(() => undefined)
  }
}
