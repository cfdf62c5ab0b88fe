/**
 * Table: one immutable file, opened for reading. Blocks are read on demand, verified and cached.
 *
 * Promises  A block is used only if it is the one that was written at its place in this file. Parity rebuilds a damaged
 *           block, which is written back; if too much is damaged, every read that needs it throws `corruptRow`, which
 *           names the file and the range of keys.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { canWaitForRows, RowsNeeded } from "@hayloft/base/rows/rows-needed.js"
import { noCipher, refusesPlain, type DeviceCipher } from "@hayloft/base/encryption/device-cipher.js"
import { Block, blockOfKeys, openBlock, placeIn } from "../format/tables/table-block.js"
import {
  dataBytesOf,
  decodeEnd,
  encodeEnd,
  END_BYTES_MAX,
  parityHash,
  storeSeeds,
} from "../format/tables/table-file.js"
import type { Footer, Partition, TableSeal, TableSeeds } from "../format/tables/table-file.js"
import { mayHold, type KeyHash } from "../format/tables/table-filter.js"
import { PARITY_PAGE_BYTES, ParityBuilder, parityBytesOf, rebuildBlock } from "../format/tables/table-parity.js"
import type { Disk, DiskFile } from "@hayloft/base/seams/disk/contract.js"
import { InOrder, SharedWork } from "@hayloft/base/life/index.js"
import { BlockCache, type BlockSlots } from "./block-cache.js"

/** How the tables of one store read their blocks. */
interface BlockReads {
  readonly cache: BlockCache
  /** Returns true if a block that is not in memory may be read on the calling thread. */
  readonly readsSync: () => boolean
  /** Runs a read on the calling thread; returns undefined if it fails, or if such reads were slow lately. */
  readonly timed: <T>(read: () => T) => T | undefined
  /** Blocks rebuilt from parity are written back. */
  readonly repairs: boolean
  /** Called when parity has repaired damage. */
  readonly rebuilt: (path: string, offsetBytes: number) => void
  /** Opens encrypted files. */
  readonly cipher: DeviceCipher | undefined
}

/** The file continues after the data with the first end, the parity, and the second end. */
interface Layout {
  readonly dataBytes: number
  readonly parityAt: number
  readonly endAt: number
  readonly sizeBytes: number
}

function layoutOf(footer: Footer, endBytes: number): Layout {
  const dataBytes = dataBytesOf(footer)
  const parityAt = dataBytes + endBytes
  const endAt = parityAt + parityBytesOf(dataBytes)
  return { dataBytes, parityAt, endAt, sizeBytes: endAt + endBytes }
}

/** For a table that is opened for one inspection: it caches and writes nothing. */
export const uncachedReads = (cipher: DeviceCipher | undefined): BlockReads => ({
  cache: new BlockCache(0),
  readsSync: () => true,
  timed: read => read(),
  repairs: false,
  rebuilt: () => undefined,
  cipher,
})

interface BlockPlace {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** A key to look up: its bytes, family number first, and their hash. */
export interface Probe {
  readonly bytes: Buffer
  readonly length: number
  readonly hash: KeyHash
}

export const tablePath = (folder: string, number: number): string =>
  `${folder}/${String(number).padStart(10, "0")}.table`

/** A device that returned wrong bytes once may return the right ones at the next read. */
const READ_ATTEMPTS = 2
/**
 * Number of throws of a known failure before the block is read again. To rebuild a block takes the whole file, and a
 * decision that goes on with another replica is run again for each of its reads.
 */
const FAILURE_THROWS = 64
/** Number of bytes first read of a file that is opened: as a rule the second end and more. */
const END_BYTES_FIRST = 8 * KIB
/** Damaged blocks of files up to this size are rebuilt in memory; of longer ones, parity reads the pages that it needs. */
const WHOLE_BYTES_MAX = 64 * MIB
/** Parity is computed again in pieces of this size. */
const PIECE_BYTES = 1 * MIB
/** Blocks that are read ahead for a scan. */
const SCAN_AHEAD_BLOCKS = 15
const needed = new RowsNeeded("rows are not in memory")

/** The place of a table, and how it is sealed. */
interface TableAt {
  readonly disk: Disk
  readonly path: string
  readonly number: number
  /** The seed of its ends, and the seeds that follow from the footer. */
  readonly endSeed: bigint
  readonly seedsOf: (footer: Footer) => TableSeeds
  /** Bytes that its two ends and its parity have at most. */
  readonly endBytesMax: number
}

/** An open file of a table. */
interface TableFile {
  readonly number: number
  readonly path: string
  readonly disk: Disk
  readonly file: DiskFile
  readonly footer: Footer
  readonly seeds: TableSeeds
}

/** Bytes of a file whose blocks are to be rebuilt. */
interface StoredBytes {
  /** Zeros in place of what cannot be read; valid until the next call. */
  readonly at: (offsetBytes: number, lengthBytes: number) => Buffer
  /** Notes a rebuilt block, which others may be rebuilt from. */
  readonly mend: (bytes: Buffer, offsetBytes: number) => void
}

export class Table {
  private readonly directories: BlockSlots = []
  /** The data blocks of each partition. */
  private readonly blocks: BlockSlots[] = []
  /** Reads under way, by partition and block. */
  private readonly reading = new SharedWork<string, void>()
  /** Failures of those reads, thrown to the code that requested the rows when it needs them. */
  private readonly failed = new Map<string, { readonly failure: Error; throwsLeft: number }>()
  /** Write-backs, one after another. */
  private readonly repairing = new InOrder()
  private readonly end: { readonly bytes: Buffer; readonly hash: string }
  private readonly layout: Layout
  /** Last keys of all partitions. */
  private readonly lastKeys: Block

  readonly number: number
  readonly path: string
  private readonly disk: Disk
  private readonly file: DiskFile
  readonly footer: Footer
  private readonly seed: bigint

  private constructor(
    { number, path, disk, file, footer, seeds }: TableFile,
    private readonly reads: BlockReads,
  ) {
    this.number = number
    this.path = path
    this.disk = disk
    this.file = file
    this.footer = footer
    this.seed = seeds.blocks
    this.end = encodeEnd(footer, seeds.end)
    this.layout = layoutOf(footer, this.end.bytes.length)
    this.lastKeys = blockOfKeys(footer.partitions.map(({ lastKey }) => lastKey))
  }

  get footerHash(): string {
    return this.end.hash
  }

  /** A file of the metadata store. Throws `corruptRow` if it is damaged or missing; `deviceFailed`. */
  static open(disk: Disk, folder: string, number: number, deviceId: DeviceId, reads: BlockReads): Promise<Table> {
    const seeds = storeSeeds(deviceId, number)
    const path = tablePath(folder, number)
    return Table.openAt(
      { disk, path, number, endSeed: seeds.end, seedsOf: () => seeds, endBytesMax: END_BYTES_MAX },
      reads,
    )
  }

  /** Throws as `open`. */
  static async openAt(
    { disk, path, number, endSeed, seedsOf, endBytesMax }: TableAt,
    reads: BlockReads,
  ): Promise<Table> {
    const file = await openFile(disk, path)
    try {
      const sizeBytes = await file.sizeBytes()
      const sealOf = (salt: Uint8Array): TableSeal => {
        if (reads.cipher === undefined) throw noCipher("the metadata store")
        return { salt, key: reads.cipher.tableKey(number, salt) }
      }
      const footerIn = async (lengthBytes: number): Promise<Footer> => {
        const end = Buffer.alloc(Math.min(sizeBytes, lengthBytes))
        const endBytes = await file.read(end, sizeBytes - end.length)
        const found = decodeEnd(end.subarray(0, endBytes), endSeed, path, sealOf)
        if (found.seal === undefined && refusesPlain(reads.cipher))
          throw fail("corruptRow", { path, reason: "the file is not encrypted" })
        return found
      }
      // Damage to the second end is no reason to fail: the first is stored before the parity.
      const footer = await footerIn(END_BYTES_FIRST)
        .catch(() => footerIn(END_BYTES_MAX))
        .catch((error: unknown) => {
          if (endBytesMax > END_BYTES_MAX && sizeBytes > END_BYTES_MAX) return footerIn(endBytesMax)
          throw error
        })
      return new Table({ number, path, disk, file, footer, seeds: seedsOf(footer) }, reads)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** The length that the file was written with. */
  get sizeBytes(): number {
    return this.layout.sizeBytes
  }

  /** It was written before everything was encrypted. */
  get isPlain(): boolean {
    return this.footer.seal === undefined
  }

  get partitions(): readonly Partition[] {
    return this.footer.partitions
  }

  /** The first partition whose last key is at or above the probe; the number of partitions if there is none. */
  partitionOf({ bytes, length }: Probe): number {
    return this.lastKeys.search(bytes, length)
  }

  /** The partition's directory: the places of its data blocks, and which keys they may contain. */
  directory(partition: number): Block {
    const cached = this.directories[partition]
    if (cached !== undefined) {
      cached.isUsed = true
      return cached.block
    }
    return this.readBlock(partition, undefined)
  }

  /** A data block of a partition, by its place in the directory. `isScan`: the following blocks will be read, too. */
  block(partition: number, index: number, isScan = false): Block {
    const cached = this.blocks[partition]?.[index]
    if (cached !== undefined) {
      cached.isUsed = true
      return cached.block
    }
    return this.readBlock(partition, index, isScan)
  }

  /** Returns true if the table may contain the key: false is certain. Throws like every read. */
  mayHold(probe: Probe): boolean {
    const partition = this.partitionOf(probe)
    if (partition === this.footer.partitions.length) return false
    const { bytes, filterAt, filterBytes } = this.directory(partition)
    return mayHold(bytes, filterAt, filterBytes, probe.hash)
  }

  private readBlock(partition: number, index: number | undefined, isScan = false): Block {
    const name = nameOfTableBlock(partition, index)
    const canWait = canWaitForRows()
    const failed = this.failed.get(name)
    if (failed !== undefined && (canWait || isFailure(failed.failure, "corruptRow"))) {
      failed.throwsLeft -= 1
      if (failed.throwsLeft === 0) this.failed.delete(name)
      throw failed.failure
    }
    if (!canWait) return this.readSync(partition, index, name)
    if (this.reads.readsSync()) {
      const place = this.placeOf(partition, index)
      const bytes = this.reads.timed(() => this.readAt(place))
      if (bytes !== undefined) return this.keep(partition, index, bytes)
    }
    needed.read = () => this.fetch(partition, index, isScan)
    throw needed
  }

  /** For callers that cannot wait. */
  private readSync(partition: number, index: number | undefined, name: string): Block {
    const place = this.placeOf(partition, index)
    const bytes = this.readAt(place)
    if (bytes !== undefined) return this.keep(partition, index, bytes)
    try {
      return this.keep(partition, index, this.wholeBlock(partition, index, place, this.storedSync()))
    } catch (error) {
      this.failed.set(name, { failure: asFailure(error), throwsLeft: FAILURE_THROWS })
      throw error
    }
  }

  /** Reads on the calling thread. */
  private storedSync(): StoredBytes {
    if (this.layout.sizeBytes > WHOLE_BYTES_MAX) return this.storedPages()
    const whole = Buffer.alloc(this.layout.sizeBytes)
    this.fill(whole, 0)
    return inMemory(whole)
  }

  /** Reads on the calling thread, page by page. */
  private storedPages(): StoredBytes {
    let memory = Buffer.alloc(PARITY_PAGE_BYTES)
    const at = (offsetBytes: number, lengthBytes: number): Buffer => {
      if (memory.length < lengthBytes) memory = Buffer.alloc(lengthBytes)
      const bytes = memory.subarray(0, lengthBytes)
      bytes.fill(0, this.fill(bytes, offsetBytes))
      return bytes
    }
    return { at, mend: () => undefined }
  }

  /** Reads on the calling thread; returns how many bytes. */
  private fill(bytes: Uint8Array, offsetBytes: number): number {
    const count = this.file.read(bytes, offsetBytes, "resident")
    assert(typeof count === "number", "a resident read does not wait")
    return count
  }

  /** Returns undefined if the block is damaged. */
  private readAt({ offsetBytes, lengthBytes }: BlockPlace): Buffer | undefined {
    const bytes = Buffer.allocUnsafe(lengthBytes)
    for (let attempt = 1; attempt <= READ_ATTEMPTS; attempt += 1) {
      const count = this.fill(bytes, offsetBytes)
      const block = count === bytes.length ? this.opened(bytes, offsetBytes) : undefined
      if (block !== undefined) return block
    }
    return undefined
  }

  /** The block whose stored bytes these are, in their memory; undefined if they are damaged. */
  private opened(bytes: Buffer, offsetBytes: number): Buffer | undefined {
    return openBlock(bytes, { seed: this.seed, key: this.footer.seal?.key, offsetBytes })
  }

  /**
   * Reads a block into memory without blocking the thread; for a scan, the following blocks as well. Never fails: the
   * next attempt to use the block throws.
   */
  fetch(partition: number, index: number | undefined, isScan = false): Promise<void> {
    const name = nameOfTableBlock(partition, index)
    return this.reading.of(name, () =>
      this.fetchBlock(partition, index).then(
        () => (isScan && index !== undefined ? this.fetchAhead(partition, index) : undefined),
        (error: unknown) => void this.failed.set(name, { failure: asFailure(error), throwsLeft: FAILURE_THROWS }),
      ),
    )
  }

  /** A failure here is thrown by the read that needs the block. */
  private async fetchAhead(partition: number, index: number): Promise<void> {
    const last = Math.min(index + SCAN_AHEAD_BLOCKS, (this.directories[partition]?.block.rows ?? 0) - 1)
    for (let ahead = index + 1; ahead <= last; ahead += 1) {
      if (this.blocks[partition]?.[ahead] !== undefined) continue
      const isRead = await this.fetchBlock(partition, ahead).then(
        () => true,
        () => false,
      )
      if (!isRead) return
    }
  }

  private async fetchBlock(partition: number, index: number | undefined): Promise<void> {
    const place = this.placeOf(partition, index)
    const bytes = Buffer.allocUnsafe(place.lengthBytes)
    for (let attempt = 1; ; attempt += 1) {
      const count = await this.file.read(bytes, place.offsetBytes)
      const block = count === bytes.length ? this.opened(bytes, place.offsetBytes) : undefined
      if (block === undefined && attempt < READ_ATTEMPTS) continue
      this.keep(partition, index, block ?? this.wholeBlock(partition, index, place, await this.stored()))
      return
    }
  }

  private keep(partition: number, index: number | undefined, bytes: Buffer): Block {
    const block = new Block(bytes)
    if (index === undefined) this.reads.cache.put(this.directories, partition, block)
    else this.reads.cache.put((this.blocks[partition] ??= []), index, block)
    return block
  }

  private placeOf(partition: number, index: number | undefined): BlockPlace {
    if (index === undefined) {
      const { directoryAt, directoryBytes } = must(this.partitions[partition], "it is within the file")
      return { offsetBytes: directoryAt, lengthBytes: directoryBytes }
    }
    return blockPlace(this.directory(partition), index, this.dataAt(partition))
  }

  /** Returns where the data of a partition begins; it ends where its directory begins. */
  dataAt(partition: number): number {
    const before = this.partitions[partition - 1]
    return before === undefined ? 0 : before.directoryAt + before.directoryBytes
  }

  /** Bytes of the data and the directory of a partition. */
  partitionBytes(partition: number): number {
    const { directoryAt, directoryBytes } = must(this.partitions[partition], "it is within the file")
    return directoryAt + directoryBytes - this.dataAt(partition)
  }

  /**
   * A whole partition, without the cache: its data blocks in order, each verified. They are placed in `memory`, which
   * has space for `partitionBytes`. Throws `corruptRow`, `deviceFailed`.
   */
  async readPartition(
    partition: number,
    memory: Buffer = Buffer.allocUnsafeSlow(this.partitionBytes(partition)),
  ): Promise<readonly Block[]> {
    const { directoryAt } = must(this.partitions[partition], "it is within the file")
    const from = this.dataAt(partition)
    const bytes = memory.subarray(0, this.partitionBytes(partition))
    for (let attempt = 1; ; attempt += 1) {
      const count = await this.file.read(bytes, from)
      const blocks = count === bytes.length ? this.blocksIn(bytes, from, directoryAt - from) : undefined
      if (blocks !== undefined) return blocks
      if (attempt === READ_ATTEMPTS) break
    }
    const stored = await this.stored()
    const directory = new Block(this.wholeBlock(partition, undefined, this.placeOf(partition, undefined), stored))
    return Array.from(
      { length: directory.rows },
      (_, index) => new Block(this.wholeBlock(partition, index, blockPlace(directory, index, from), stored, directory)),
    )
  }

  /** The whole file, without the cache: its data blocks in order; in place of each that cannot be read, the failure. */
  async readAround(): Promise<readonly (Block | Failure)[]> {
    const stored = await this.stored()
    const orFailure = (partition: number, index?: number, directory?: Block): Block | Failure => {
      const place =
        index === undefined || directory === undefined
          ? this.placeOf(partition, undefined)
          : blockPlace(directory, index, this.dataAt(partition))
      try {
        return new Block(this.wholeBlock(partition, index, place, stored, directory))
      } catch (error) {
        if (isFailure(error, "corruptRow")) return error
        throw error
      }
    }
    return this.partitions.flatMap((_, partition) => {
      const directory = orFailure(partition)
      if (!(directory instanceof Block)) return [directory]
      return Array.from({ length: directory.rows }, (_, index) => orFailure(partition, index, directory))
    })
  }

  private async stored(): Promise<StoredBytes> {
    if (this.layout.sizeBytes > WHOLE_BYTES_MAX) return this.storedPages()
    const whole = Buffer.alloc(this.layout.sizeBytes)
    await this.file.read(whole, 0)
    return inMemory(whole)
  }

  /** A block out of the bytes of the file, rebuilt if it is damaged. Throws `corruptRow` if that is impossible. */
  private wholeBlock(
    partition: number,
    index: number | undefined,
    place: BlockPlace,
    stored: StoredBytes,
    directory = this.directories[partition]?.block,
  ): Buffer {
    const { offsetBytes, lengthBytes } = place
    const open = (bytes: Buffer): Buffer | undefined => this.opened(Buffer.from(bytes), offsetBytes)
    const found = open(stored.at(offsetBytes, lengthBytes))
    if (found !== undefined) return found
    const { dataBytes, parityAt } = this.layout
    const parity = (group: number): Buffer => stored.at(parityAt + group * PARITY_PAGE_BYTES, PARITY_PAGE_BYTES)
    const rebuilt = rebuildBlock({ dataBytes, data: stored.at, parity }, place, bytes => open(bytes) !== undefined)
    const block = rebuilt && open(rebuilt)
    if (rebuilt === undefined || block === undefined) throw this.corrupt(partition, index, directory, offsetBytes)
    stored.mend(rebuilt, offsetBytes)
    this.repair(rebuilt, offsetBytes)
    return block
  }

  /** Writes a rebuilt block to its place. If that fails, the next read rebuilds it again. */
  private repair(bytes: Buffer, offsetBytes: number): void {
    this.reads.rebuilt(this.path, offsetBytes)
    if (!this.reads.repairs) return
    this.repairing.run(() => this.writeBack(bytes, offsetBytes)).catch(() => undefined)
  }

  private async writeBack(bytes: Buffer, offsetBytes: number): Promise<void> {
    const file = await this.disk.open(this.path, "write")
    try {
      await file.write([bytes], offsetBytes)
      await file.sync()
    } finally {
      await file.close()
    }
  }

  /** Rewrites parity and both ends if they are damaged. All blocks have been verified. Throws `deviceFailed`. */
  async verifyEnd(): Promise<void> {
    const { dataBytes, parityAt, endAt, sizeBytes } = this.layout
    const end = this.end.bytes
    const found = Buffer.alloc(sizeBytes - dataBytes)
    await this.file.read(found, dataBytes)
    const parity = found.subarray(parityAt - dataBytes, endAt - dataBytes)
    const isGood = parityHash(parity, this.seed).equals(this.footer.parityHash)
    const good = Buffer.concat([end, isGood ? parity : await this.computeParity(dataBytes), end])
    if (!found.equals(good)) this.repair(good, dataBytes)
  }

  private async computeParity(dataBytes: number): Promise<Buffer> {
    const builder = new ParityBuilder()
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, dataBytes))
    for (let at = 0; at < dataBytes; at += piece.length) {
      const bytes = piece.subarray(0, Math.min(piece.length, dataBytes - at))
      bytes.fill(0, await this.file.read(bytes, at))
      builder.add(bytes)
    }
    return builder.finish()
  }

  /** Returns undefined if one of the blocks fails its checksum. */
  private blocksIn(bytes: Buffer, fromBytes: number, directoryAt: number): Block[] | undefined {
    const directoryBytes = this.opened(bytes.subarray(directoryAt), fromBytes + directoryAt)
    if (directoryBytes === undefined) return undefined
    const directory = new Block(directoryBytes)
    const blocks: Block[] = []
    for (let i = 0; i < directory.rows; i += 1) {
      const { offsetBytes, lengthBytes } = blockPlace(directory, i, fromBytes)
      const data = bytes.subarray(offsetBytes - fromBytes, offsetBytes - fromBytes + lengthBytes)
      const block = this.opened(data, offsetBytes)
      if (block === undefined) return undefined
      blocks.push(new Block(block))
    }
    return blocks
  }

  /** The first key of each data block that is in memory and was used lately. */
  *keysInUse(): Generator<Buffer> {
    for (const slots of this.blocks) {
      for (const cached of slots ?? []) {
        if (cached?.isUsed !== true) continue
        const keyAt = cached.block.keyAt(0)
        yield cached.block.bytes.subarray(keyAt, cached.block.valueAt(keyAt))
      }
    }
  }

  /** Brings the whole file into the page cache. */
  async touch(memory: Uint8Array, isOver: () => boolean): Promise<void> {
    for (let at = 0; at < this.layout.sizeBytes && !isOver(); at += memory.length) await this.file.read(memory, at)
  }

  /** Names the range of keys in the block: for a directory, those of its partition. */
  private corrupt(
    partition: number,
    index: number | undefined,
    directory: Block | undefined,
    offsetBytes: number,
  ): Failure {
    const keyAt = (row: number): Buffer | undefined => {
      if (directory === undefined || index === undefined || row < 0) return undefined
      const at = directory.keyAt(row)
      return directory.bytes.subarray(at, directory.valueAt(at))
    }
    const first = keyAt((index ?? 0) - 1) ?? this.partitions[partition - 1]?.lastKey ?? this.footer.firstKey
    const last = keyAt(index ?? 0) ?? this.partitions[partition]?.lastKey ?? this.footer.lastKey
    return fail("corruptRow", {
      path: this.path,
      offsetBytes,
      fromKey: first.toString("hex"),
      toKey: last.toString("hex"),
      reason: "a block of rows fails its checksum",
    })
  }

  /** Its blocks leave the cache with its slots. */
  async close(): Promise<void> {
    await this.repairing.ended()
    this.directories.fill(undefined)
    for (const slots of this.blocks) slots?.fill(undefined)
    await this.file.close()
  }
}

const nameOfTableBlock = (partition: number, index: number | undefined): string =>
  `${partition} ${index ?? "directory"}`

/** Returns where the data block is stored for which this row of a directory stands. */
const blockPlace = (directory: Block, index: number, fromBytes: number): BlockPlace =>
  placeIn(directory.bytes, directory.valueAt(directory.keyAt(index)), fromBytes)

const inMemory = (whole: Buffer): StoredBytes => ({
  at: (offsetBytes, lengthBytes) => whole.subarray(offsetBytes, offsetBytes + lengthBytes),
  mend: (bytes, offsetBytes) => void bytes.copy(whole, offsetBytes),
})

async function openFile(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, "read")
  } catch (error) {
    if (!isFailure(error, "deviceFailed") || error.details["code"] !== "ENOENT") throw error
    throw fail("corruptRow", { path, reason: "a file of the metadata store is missing" }, error)
  }
}
