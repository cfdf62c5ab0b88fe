/**
 * Table store, for writing. A commit writes its rows as new files of level 0, a merge moves rows to deeper levels.
 *
 * Order of both: tables durable, folder durable, manifest durable twice, files of earlier manifests removed.
 * `removeUnused` removes table files that no manifest names any more, once all readers have adopted the manifest.
 *
 * Promises  After a crash the store is in the state of the last manifest that was finished.
 * Refuses   To remove files before a valid manifest was read, and to use the number of a file twice.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { FAMILIES, familyOfNumber } from "@hayloft/base/rows/families.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { ROW_FLAGS } from "../format/tables/table-block.js"
import { storeSeeds } from "../format/tables/table-file.js"
import { KeyHash } from "../format/tables/table-filter.js"
import { EMPTY_MANIFEST, encodeManifest, manifestHash } from "../format/tables/table-manifest.js"
import type { DamagedRange, Manifest, TableEntry } from "../format/tables/table-manifest.js"
import type { DroppedRow, Merging, StoreHost, StoreWrite, StoreWriter } from "@hayloft/base/seams/store/contract.js"
import { assertWrite } from "@hayloft/base/seams/store/contract.js"
import type { TableLimits } from "./limits.js"
import { highestNumbers, readManifest, removeGeneration, removeOthers, tableNumberOf } from "./manifest-files.js"
import { writeManifest } from "./manifest-files.js"
import { mergeRows, type DroppedBytes, type MergeInputs } from "./merge.js"
import { pickMerge, rewriteOf, topRuns, type MergePlan } from "./pick-core.js"
import { closeAll, TableReader, type OpenGeneration, type ReaderOptions } from "./store-reader.js"
import { tablePath, type Probe } from "./table.js"
import type { StreamedTable } from "./run-stream.js"
import { TableWriter } from "./table-writer.js"

interface WriterOptions extends ReaderOptions {
  readonly limits: TableLimits
}

/**
 * A manifest reserves the numbers of so many future files: no later process uses any of them, even if their files were
 * never part of the store. More are reserved before a commit or merge, if less than half of them remain.
 */
const NUMBERS_AHEAD = 1_000

const ROW_BYTES_FIRST = 64 * 1024

export class TableStoreWriter extends TableReader implements StoreWriter {
  private nextNumber = 1
  private certain = true
  /** The highest generation that was begun. */
  private begun = 0
  private readonly row = { bytes: Buffer.alloc(ROW_BYTES_FIRST), probe: new KeyHash() }

  private constructor(
    host: StoreHost,
    folder: string,
    private readonly writerOptions: WriterOptions,
    empty: OpenGeneration,
  ) {
    super(host, folder, writerOptions, empty)
  }

  /** Opens a store, and fails, like `TableReader.open`. A store without files gets its first manifest. */
  static async openWriter(host: StoreHost, folder: string, options: WriterOptions): Promise<TableStoreWriter> {
    const writer = new TableStoreWriter(host, folder, options, TableReader.empty)
    const stored = await readManifest(host, folder)
    await writer.load()
    writer.nextNumber = writer.manifest.nextNumber
    // All other files were not finished, or have been replaced: they must not be used again.
    await removeOthers(host.disk, folder, writer.generation)
    await host.disk.syncFolder(folder)
    // Two good copies from now on, and encrypted ones.
    const mayBePlain = host.cipher?.acceptsPlain === true
    if (writer.generation === 0 || stored.isSingle || mayBePlain) await writer.install({})
    return writer
  }

  get isCertain(): boolean {
    return this.certain
  }

  /** Reserves numbers durably before a file uses one. */
  private async setNumbersAside(): Promise<void> {
    if (this.manifest.nextNumber - this.nextNumber < NUMBERS_AHEAD / 2) await this.install({})
  }

  async commit(writes: Iterable<StoreWrite>): Promise<void> {
    const { marks, rows } = sorted(writes, this.manifest.marks)
    await this.setNumbersAside()
    const writer = this.tableWriter(0)
    const tables = await orAbandon(writer, async () => {
      for (const write of rows) if (this.write(writer, write)) await writer.flush()
      return writer.finish()
    })
    await this.install({ marks, tables: [...this.manifest.tables, ...tables] }, writer)
  }

  private tableWriter(level: number, run = this.generation + 1): TableWriter {
    const { disk, deviceId, cipher } = this.host
    const takeNumber = (): number => {
      this.nextNumber += 1
      assert(this.nextNumber <= this.manifest.nextNumber, "numbers are reserved before they are used")
      return this.nextNumber - 1
    }
    const seedsOf = (number: number) => storeSeeds(deviceId, number)
    const pathOf = (number: number) => tablePath(this.folder, number)
    const target = { disk, pathOf, seedsOf, cipher, level, run, takeNumber }
    return new TableWriter(target, this.writerOptions.limits)
  }

  /** A deleted row needs a tombstone only if an older version may exist. True: flush. */
  private write(writer: TableWriter, { family, key, value, isOlderCounted }: StoreWrite): boolean {
    const valueAt = key.length + 1
    const end = valueAt + (value?.length ?? 0)
    if (this.row.bytes.length < end) this.row.bytes = Buffer.alloc(2 * end)
    const { bytes, probe } = this.row
    bytes[0] = FAMILIES[family]
    bytes.write(key, 1, "latin1")
    if (value !== undefined) bytes.set(value, valueAt)
    probe.of(bytes, 0, valueAt)
    const mayHoldOlder = this.mayHold({ bytes, length: valueAt, hash: probe }, 0)
    if (value === undefined && !mayHoldOlder) return false
    const flags =
      (value === undefined ? ROW_FLAGS.tombstone : 0) | (isOlderCounted === true ? ROW_FLAGS.countedOlder : 0)
    return writer.add(bytes, 0, valueAt, end, flags, mayHoldOlder)
  }

  /** A filter that cannot be read excludes nothing. */
  private mayHold(probe: Probe, fromLevel: number): boolean {
    try {
      return this.current.version.mayHold(probe, fromLevel)
    } catch (error) {
      if (!isFailure(error, "corruptRow", "deviceFailed")) throw error
      return true
    }
  }

  async merge(merging: Merging): Promise<number | undefined> {
    const { limits } = this.writerOptions
    const stepBytesMax = Math.min(limits.stepBytesMax, merging.spaceBytes)
    const plan =
      pickMerge(this.manifest, merging.urgency, { ...limits, stepBytesMax }, merging.unread) ??
      this.rewriteOfPlain(merging.unread)
    if (plan === undefined) return undefined
    const others = this.manifest.tables.filter(({ number }) => plan.kind === "merge" || number !== plan.table.number)
    if (plan.kind === "move") {
      const { marks } = sorted(merging.marks(), this.manifest.marks)
      await this.install({ marks, tables: [...others, { ...plan.table, level: plan.level }] })
      return 0
    }
    try {
      return await this.mergeBy(plan, merging)
    } catch (error) {
      if (!isFailure(error, "corruptRow", "deviceFailed")) throw error
      const entry = this.inputAt(plan, error.details["path"])
      if (entry === undefined) throw error
      if (error.kind === "deviceFailed") throw fail("deviceFailed", { ...error.details, file: entry.number }, error)
      // If the damage cannot be recorded now, the next merge finds it again.
      await this.setAside(entry, error).catch(() => undefined)
      throw error
    }
  }

  /** A file from before everything was encrypted. */
  private rewriteOfPlain(unread: readonly number[] = []): MergePlan | undefined {
    if (this.host.cipher?.acceptsPlain !== true) return undefined
    const { tables, damaged } = this.manifest
    const left = new Set([...damaged.map(({ file }) => file), ...unread])
    const plain = tables.find(({ number }) => !left.has(number) && this.current.tables.get(number)?.isPlain === true)
    return plain && rewriteOf(plain)
  }

  private inputAt(plan: MergePlan, path: unknown): TableEntry | undefined {
    const inputs = [...plan.runs.flat(), ...plan.lower]
    return inputs.find(({ number }) => this.current.tables.get(number)?.path === path)
  }

  private async mergeBy(plan: MergePlan, merging: Merging): Promise<number> {
    await this.setNumbersAside()
    const writer = this.tableWriter(plan.level, plan.run)
    const streamed = (run: readonly TableEntry[]): StreamedTable[] =>
      run.map(entry => ({ entry, table: must(this.current.tables.get(entry.number), "the table is open") }))
    const inputs: MergeInputs = { runs: plan.runs.map(streamed), upTo: plan.upTo, lower: streamed(plan.lower) }
    const isLast = plan.level > 0 && !this.manifest.tables.some(({ level }) => level > plan.level)
    // Older runs of level 0 may contain any key.
    const mayBeBelow = (probe: Probe): boolean => plan.level === 0 || this.mayHold(probe, plan.level + 1)
    const mayHoldOlder = isLast ? undefined : mayBeBelow
    const { result, changed } = await orAbandon(writer, async () => ({
      result: await mergeRows(inputs, writer, mayHoldOlder, droppedRow(merging.dropped)),
      changed: sorted(merging.marks(), this.manifest.marks),
    }))
    const used = new Set([...plan.runs.flat(), ...plan.lower].map(({ number }) => number))
    const others = this.manifest.tables.filter(({ number }) => !used.has(number))
    await this.install({ marks: changed.marks, tables: [...others, ...result.trimmed, ...result.tables] }, writer)
    return result.rows - result.droppedRows
  }

  /** Merges leave out files that are damaged, until they are repaired: a merge would turn damage into absence. */
  private async setAside(entry: TableEntry, failure: Failure): Promise<void> {
    const [from, to] = [failure.details["fromKey"], failure.details["toKey"]]
    const range: DamagedRange = {
      from: typeof from === "string" ? Buffer.from(from, "hex") : entry.firstKey,
      to: typeof to === "string" ? Buffer.from(to, "hex") : entry.lastKey,
      file: entry.number,
      reason: failure.message,
    }
    await this.install({ damaged: [...this.manifest.damaged, range] })
  }

  /**
   * Makes the next generation durable, and reads it from then on. If that fails and certainly has changed nothing, the
   * files that were written for it are removed.
   */
  private async install(change: Partial<Manifest>, written?: TableWriter): Promise<void> {
    const { disk, deviceId, cipher } = this.host
    const { folder } = this
    const tables = change.tables ?? this.manifest.tables
    const numbers = new Set(tables.map(({ number }) => number))
    const next: Manifest = {
      ...this.manifest,
      ...change,
      damaged: (change.damaged ?? this.manifest.damaged).filter(({ file }) => numbers.has(file)),
      generation: Math.max(this.generation, this.begun) + 1,
      previousHash: this.manifestHash,
      nextNumber: this.nextNumber + NUMBERS_AHEAD,
    }
    this.begun = next.generation
    const encoded = encodeManifest(next, deviceId, cipher)
    let opened: OpenGeneration | undefined
    try {
      // Opened before the commit counts: a generation that cannot be opened is not committed.
      opened = await this.openGeneration(next, manifestHash(encoded))
      await disk.syncFolder(folder)
      await writeManifest(disk, folder, next.generation, encoded)
    } catch (error) {
      await closeAll(opened?.tables, this.current.tables)
      const isUndone = await removeGeneration(disk, folder, next.generation).then(
        () => true,
        () => false,
      )
      if (isUndone) await written?.abandon()
      this.certain &&= isUndone
      throw error
    }
    this.certain = true
    await this.replace(opened)
    // Files that cannot be removed now are removed with the next generation, or at the next opening.
    await removeOthers(disk, folder, next.generation).catch(() => undefined)
  }

  get isCrowded(): boolean {
    return topRuns(this.manifest.tables).length >= this.writerOptions.limits.topRunsStop
  }

  async removeUnused(): Promise<void> {
    // A generation that may be found after a crash needs its files.
    if (!this.certain) return
    const { disk } = this.host
    const numbers = new Set(this.manifest.tables.map(({ number }) => number))
    for (const name of await disk.list(this.folder)) {
      const number = tableNumberOf(name)
      if (number !== undefined && !numbers.has(number)) await disk.remove(`${this.folder}/${name}`)
    }
  }
}

/** Writes in key order, each row once, together with the marks. */
function sorted(
  writes: Iterable<StoreWrite>,
  before: ReadonlyMap<RowKey, Uint8Array>,
): { readonly rows: readonly StoreWrite[]; readonly marks: ReadonlyMap<RowKey, Uint8Array> } {
  const marks = new Map(before)
  const rows: StoreWrite[] = []
  for (const write of writes) {
    assertWrite(write)
    const { family, key, value } = write
    if (family !== "marks") rows.push(write)
    else if (value === undefined) marks.delete(key)
    else marks.set(key, Uint8Array.from(value))
  }
  rows.sort(inStoreOrder)
  return { rows: rows.filter((row, i) => !isSameRow(row, rows[i + 1])), marks }
}

const inStoreOrder = (a: StoreWrite, b: StoreWrite): number =>
  FAMILIES[a.family] - FAMILIES[b.family] || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)

const isSameRow = (a: StoreWrite, b: StoreWrite | undefined): boolean => a.family === b?.family && a.key === b.key

async function orAbandon<T>(writer: TableWriter, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    await writer.abandon()
    throw error
  }
}

/** Makes the folder an empty store: first writes an empty manifest, then removes all other files. */
export async function discardStore(host: StoreHost, folder: string): Promise<void> {
  const { disk, deviceId, cipher } = host
  if (!(await disk.exists(folder))) return
  const highest = await highestNumbers(disk, folder)
  const generation = highest.generation + 1
  // Numbers in the manifest stay used, if it can be read.
  const { manifest } = await readManifest(host, folder).catch(() => ({ manifest: EMPTY_MANIFEST }))
  const nextNumber = Math.max(manifest.nextNumber, highest.table + 1)
  const empty = encodeManifest({ ...EMPTY_MANIFEST, generation, nextNumber }, deviceId, cipher)
  await writeManifest(disk, folder, generation, empty)
  await removeOthers(disk, folder, generation)
  for (const name of await disk.list(folder)) {
    if (tableNumberOf(name) !== undefined) await disk.remove(`${folder}/${name}`)
  }
}

/** Reports dropped rows by their family. */
const droppedRow =
  (dropped: DroppedRow): DroppedBytes =>
  (bytes, keyAt, valueAt, end) => {
    const family = familyOfNumber(bytes[keyAt] ?? -1)
    if (family === undefined) return
    dropped(family, rowKeyOf(bytes.toString("latin1", keyAt + 1, valueAt)), bytes.subarray(valueAt, end))
  }
