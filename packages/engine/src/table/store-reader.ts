/**
 * Table store, for reading: the metadata store of one device as sorted tables (O'Neil et al., "The log-structured
 * merge-tree", 1996; Chang et al., "Bigtable", OSDI 2006), over the disk seam.
 *
 * Promises  Reads return what was written, or throw `corruptRow`: damage is never absence. A generation is seen whole.
 * Limits    Reads of rows that are not in memory run on the calling thread while the store is small enough for the page
 *           cache (`syncBytesMax`), and wherever the caller cannot wait (`base/rows-needed`).
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import { visitRows, type RowVisitor } from "@hayloft/base/rows/row-scan.js"
import { withRows } from "@hayloft/base/rows/rows-needed.js"
import { MIB } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { EMPTY_MANIFEST, type Manifest, type TableEntry } from "../format/tables/table-manifest.js"
import type { StoreHost, StoreReader } from "@hayloft/base/seams/store/contract.js"
import type { BlockCache } from "./block-cache.js"
import { manifestOfFiles, readManifest } from "./manifest-files.js"
import { inKeyOrder, topRuns } from "./pick-core.js"
import { Table } from "./table.js"
import { TableRun, type ShownTable } from "./run-cursor.js"
import { verifyTable } from "./verify-table.js"
import { TableVersion } from "./version.js"

/** The open tables of one generation. */
export interface OpenGeneration {
  readonly manifest: Manifest
  readonly hash: string
  /** By file number. */
  readonly tables: ReadonlyMap<number, Table>
  readonly version: TableVersion
}

export interface ReaderOptions {
  readonly cache: BlockCache
  /** Up to this size of the store, rows that are not in memory are read on the calling thread. */
  readonly syncBytesMax: number
}

const OPENED_AT_ONCE = 8
const TOUCH_BYTES = 1 * MIB
const MARKS_FAMILY: Family = "marks"

export class TableReader implements StoreReader {
  protected current: OpenGeneration
  private prepared: OpenGeneration | undefined
  protected isClosed = false
  /** The page cache has the files: they have been read since the store was opened, or written by checkpoints. */
  private isTouched = false
  private touching: Promise<void> = Promise.resolve()

  protected constructor(
    protected readonly host: StoreHost,
    protected readonly folder: string,
    protected readonly options: ReaderOptions,
    current: OpenGeneration,
  ) {
    this.current = current
  }

  /** Before the first generation. */
  protected static readonly empty: OpenGeneration = {
    manifest: EMPTY_MANIFEST,
    hash: "",
    tables: new Map(),
    version: new TableVersion([], 0),
  }

  /** Throws `corruptRow` if the manifest, or a file that it names, is missing or damaged. */
  static async open(host: StoreHost, folder: string, options: ReaderOptions): Promise<TableReader> {
    const reader = new TableReader(host, folder, options, TableReader.empty)
    await reader.load()
    reader.touching = reader.touch()
    return reader
  }

  protected async load(): Promise<void> {
    await this.prepare()
    this.adopt()
  }

  get generation(): number {
    return this.current.manifest.generation
  }

  /** Identifies the generation that reads see. */
  get manifestHash(): string {
    return this.current.hash
  }

  get manifest(): Manifest {
    return this.current.manifest
  }

  /** Size of the store on the disk. */
  get bytes(): number {
    return this.current.version.bytes
  }

  get(family: Family, key: RowKey): Uint8Array | undefined {
    if (family === MARKS_FAMILY) return this.current.manifest.marks.get(key)
    return this.current.version.get(family, key)
  }

  range(family: Family, range: KeyRange): Iterable<readonly [RowKey, Uint8Array]> {
    return family === MARKS_FAMILY ? this.marks(range) : this.current.version.range(family, range)
  }

  private marks({ start, end, reverse = false }: KeyRange): (readonly [RowKey, Uint8Array])[] {
    const marks = [...this.current.manifest.marks].filter(([key]) => key >= start && key < end)
    marks.sort(([a], [b]) => (a < b === reverse ? 1 : -1))
    return marks
  }

  scan(family: Family, range: KeyRange, visitor: RowVisitor): void {
    if (family !== MARKS_FAMILY) return this.current.version.scan(family, range, visitor)
    visitRows(
      this.marks(range).map(([key, value]) => [key, { value }] as const),
      visitor,
    )
  }

  warm(family: Family, keys: readonly RowKey[]): Promise<void> | undefined {
    if (this.readsSync() || family === MARKS_FAMILY) return undefined
    for (const [i, key] of keys.entries()) {
      const reading = withRows(() => this.lookUp(family, key))
      if (reading !== undefined) return this.warmRest(family, keys.slice(i + 1), reading)
    }
    return undefined
  }

  /** Ignores damage: the read that needs the row reports it. */
  private lookUp(family: Family, key: RowKey): undefined {
    withoutDamage(() => this.get(family, key))
  }

  private async warmRest(family: Family, keys: readonly RowKey[], first: Promise<undefined>): Promise<void> {
    await first
    for (const key of keys) await withRows(() => this.lookUp(family, key))
  }

  private readonly readsSync = (): boolean => this.isTouched && this.bytes <= this.options.syncBytesMax

  /** Reads the files once, so that the page cache has them; ends early if the store is too large for that. */
  private async touch(): Promise<void> {
    const memory = Buffer.allocUnsafe(this.bytes > 0 ? TOUCH_BYTES : 0)
    const isOver = (): boolean => this.isClosed || this.bytes > this.options.syncBytesMax
    for (const table of this.current.tables.values()) {
      if (isOver()) return
      // A disk that does not read now fails the read that needs it.
      await table.touch(memory, isOver).catch(() => undefined)
    }
    this.isTouched = true
  }

  async prepare(): Promise<void> {
    const stored = await this.storedManifest()
    if (stored.hash === (this.prepared ?? this.current).hash) return
    await this.discardPrepared()
    this.prepared = await this.openGeneration(stored.manifest, stored.hash)
    await this.warmSuccessors(this.prepared)
  }

  private async storedManifest(): Promise<{ readonly manifest: Manifest; readonly hash: string }> {
    const { onNoManifest } = this.host
    try {
      return await readManifest(this.host, this.folder)
    } catch (error) {
      if (onNoManifest === undefined || !isFailure(error, "corruptRow")) throw error
      onNoManifest(error)
      return { manifest: await manifestOfFiles(this.host, this.folder), hash: "none" }
    }
  }

  protected async openGeneration(manifest: Manifest, hash: string): Promise<OpenGeneration> {
    const { disk, deviceId, syncReads } = this.host
    const timed = <T>(read: () => T): T | undefined => (syncReads === undefined ? read() : syncReads.read(read))
    const rebuilt = (path: string, offsetBytes: number): void => this.host.rebuilt?.(path, offsetBytes)
    const reads = {
      cache: this.options.cache,
      readsSync: this.readsSync,
      timed,
      repairs: this.host.isReadOnly !== true,
      rebuilt,
      cipher: this.host.cipher,
    }
    const opened: Table[] = []
    const open = async (entry: TableEntry): Promise<Table> => {
      const known = this.current.tables.get(entry.number)
      if (known?.footerHash === entry.footerHash) return known
      const table = await Table.open(disk, this.folder, entry.number, deviceId, reads)
      opened.push(table)
      if (table.footerHash === entry.footerHash) return table
      throw fail("corruptRow", { path: table.path, reason: "the file is not the one that the manifest names" })
    }
    try {
      const tables = await mapBounded(manifest.tables, OPENED_AT_ONCE, open)
      const byNumber = new Map(tables.map(table => [table.number, table]))
      return { manifest, hash, tables: byNumber, version: versionOf(manifest, byNumber) }
    } catch (error) {
      for (const table of opened) await table.close()
      throw error
    }
  }

  private async discardPrepared(): Promise<void> {
    const { prepared } = this
    this.prepared = undefined
    await closeAll(prepared?.tables, this.current.tables)
  }

  /**
   * Reads the successors of used blocks of files that leave, before reads see the generation. Damage fails the reads
   * that need it.
   */
  private async warmSuccessors({ tables, version }: OpenGeneration): Promise<void> {
    if (this.readsSync()) return
    for (const [number, table] of this.current.tables) {
      if (tables.has(number)) continue
      for (const key of table.keysInUse()) {
        try {
          await withRows(() => withoutDamage(() => version.find(key)))
        } catch (error) {
          if (!isFailure(error)) throw error
        }
      }
    }
  }

  adopt(): void {
    const { prepared } = this
    this.prepared = undefined
    if (prepared !== undefined) void this.replace(prepared)
  }

  /** Reads see the generation from now on. Resolves when files that left are closed. */
  protected replace(next: OpenGeneration): Promise<void> {
    const { current } = this
    this.current = next
    return closeAll(current.tables, next.tables)
  }

  async verify(signal: AbortSignal): Promise<void> {
    const verified = new Set<Table>()
    for (;;) {
      const table = [...this.current.tables.values()].find(each => !verified.has(each))
      if (table === undefined) return
      verified.add(table)
      try {
        await verifyTable(table, signal)
      } catch (error) {
        // A file that left meanwhile is closed; others contain its rows.
        if (isFailure(error, "stopping") || this.current.tables.get(table.number) === table) throw error
      }
    }
  }

  async close(): Promise<void> {
    if (this.isClosed) return
    this.isClosed = true
    await this.touching
    await this.discardPrepared()
    await closeAll(this.current.tables, undefined)
  }
}

function withoutDamage(read: () => unknown): void {
  try {
    read()
  } catch (error) {
    if (!isFailure(error, "corruptRow")) throw error
  }
}

/** Closes every table that is not in `staying`. */
export async function closeAll(
  tables: ReadonlyMap<number, Table> | undefined,
  staying: ReadonlyMap<number, Table> | undefined,
): Promise<void> {
  for (const [number, table] of tables ?? []) {
    if (staying?.get(number) !== table) await table.close().catch(() => undefined)
  }
}

function versionOf({ tables }: Manifest, open: ReadonlyMap<number, Table>): TableVersion {
  const shown = (run: readonly TableEntry[]): ShownTable[] =>
    run.flatMap(({ number, level, from }) => {
      const table = open.get(number)
      return table === undefined ? [] : [{ table, level, from }]
    })
  const levels = [...new Set(tables.map(({ level }) => level))].filter(level => level > 0).sort((a, b) => a - b)
  const deeper = levels.map(level => tables.filter(table => table.level === level).sort(inKeyOrder))
  const bytes = tables.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const runs = [...topRuns(tables), ...deeper].map(run => new TableRun(shown(run)))
  return new TableVersion(runs, bytes)
}
