/**
 * Builds a table of users from rows in any order: rows are sorted in memory; if there are more, sorted runs are written beside
 * the file and merged, with the writer and the merge of the metadata store.
 *
 * Order     Runs and the table are `FILE.new.…`; the table is synced, renamed to FILE, and the folder is synced.
 * Promises  FILE is whole, or as it was. The same rows give the same bytes. A failed build removes its files; what a killed
 *           one has left is removed by the next one that replaces FILE.
 * Refuses   A key that occurs twice, unless one of the rows is chosen; what is beyond `TABLE_FILE_LIMITS`.
 * Limits    `TABLE_FILE_LIMITS`: rows that are sorted at a time, runs that are merged at a time.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { lacksSpace } from "@hayloft/base/space/full-disk-core.js"
import { GIB } from "@hayloft/base/limits.js"
import { RowSum } from "../format/tables/row-sum.js"
import { compareBytes, fileSeed } from "../format/tables/table-block.js"
import type { TableSeeds } from "../format/tables/table-file.js"
import { ABOUT_ROW, encodeAbout, runOfRows, USER_ROW, userSeeds, type ValueKind } from "../format/tables/user-table.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { mergeRows, Table, TableWriter, uncachedReads } from "../table/index.js"
import type { DroppedBytes, StreamedTable, TableTarget } from "../table/index.js"
import { keyText } from "./contract.js"
import { FILE_LIMITS, TABLE_FILE_LIMITS } from "./limits.js"
import { RowSorter, type SortedRow } from "./row-sorter.js"

/** A row of the input; `line`: where it begins, for messages. */
export interface InputRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly line: number
}

export interface BuildOptions {
  readonly values: ValueKind
  /** Texts that describe the file. */
  readonly notes?: Readonly<Record<string, string>> | undefined
  /** Which of several rows with one key the file gets. */
  readonly duplicates?: "error" | "first" | "last" | undefined
  /** A file of this name is replaced. */
  readonly replaces?: boolean | undefined
  readonly sortBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Numbers of files have so many digits, and the first one is below this. */
const NUMBER_LETTERS = 10
const FIRST_NUMBERS = 10 ** 9
/** A row of any permitted size fits. */
const SORT_BYTES_MIN = 2 * TABLE_FILE_LIMITS.valueBytesMax

/**
 * Rows come in batches. Throws `entityExists`, `invalidArgument`, `deviceFull`, `deviceFailed`, and what the source throws.
 */
export async function buildTable(
  { disk, random }: { readonly disk: Disk; readonly random: Random },
  path: string,
  source: AsyncIterable<readonly InputRow[]>,
  options: BuildOptions,
): Promise<void> {
  await prepare(disk, path, options.replaces === true)
  const build = new Build(disk, random, path, options)
  try {
    await build.take(source)
    await build.finish()
  } catch (error) {
    await build.abandon()
    if (!lacksSpace(error)) throw error
    throw fail("deviceFull", { message: `there is no space left for ${path}` }, error)
  }
}

const folderOf = (path: string): string => {
  const at = path.lastIndexOf("/")
  return at < 0 ? "." : at === 0 ? "/" : path.slice(0, at)
}

const newName = (path: string): string => `${path}.new.`

const isNumber = (text: string): boolean => text.length === NUMBER_LETTERS && /^\d+$/.test(text)

async function namesIn(disk: Disk, folder: string): Promise<readonly string[]> {
  try {
    return await disk.list(folder)
  } catch (error) {
    if (!isFailure(error, "deviceFailed") || error.details["code"] !== "ENOENT") throw error
    throw fail("noSuchFile", { message: `the folder ${folder} does not exist` }, error)
  }
}

async function prepare(disk: Disk, path: string, replaces: boolean): Promise<void> {
  const begin = newName(path).slice(path.lastIndexOf("/") + 1)
  const folder = folderOf(path)
  const left = (await namesIn(disk, folder)).filter(
    name => name.startsWith(begin) && isNumber(name.slice(begin.length)),
  )
  if (replaces) {
    for (const name of left) await disk.remove(`${folder}/${name}`)
    return
  }
  if (await disk.exists(path)) throw fail("entityExists", { message: `${path} exists; --force replaces it` })
  if (left.length > 0)
    throw fail("entityExists", {
      message: `${newName(path)}* are files of another build of ${path}, which is under way or was interrupted; --force removes them`,
    })
}

class Build {
  private readonly sorter: RowSorter
  /** From the oldest to the newest. */
  private runs: (readonly StreamedTable[])[] = []
  private readonly writers: TableWriter[] = []
  /** The checksum of all input rows, and of what decides which of them stay. */
  private readonly sum = new RowSum()
  private nextNumber: number
  private readonly duplicates: "error" | "first" | "last"

  constructor(
    private readonly disk: Disk,
    random: Random,
    private readonly path: string,
    private readonly options: BuildOptions,
  ) {
    const { values, notes = {}, sortBytes = TABLE_FILE_LIMITS.sortBytes, duplicates = "error" } = options
    this.duplicates = duplicates
    // Another build of the file writes files of other names.
    this.nextNumber = 1 + random.below(FIRST_NUMBERS)
    this.sorter = new RowSorter(Math.max(sortBytes, SORT_BYTES_MIN), TABLE_FILE_LIMITS.sortRowsMax)
    checkNotes(notes)
    const about = encodeAbout({ values, notes: new Map(Object.entries(notes)) })
    const policy = Buffer.from(`duplicates: ${duplicates}`)
    this.sum.add(policy, 0, policy.length, 0)
    this.sorter.add(ABOUT_ROW, new Uint8Array(), about, 0, this.sum)
  }

  async take(source: AsyncIterable<readonly InputRow[]>): Promise<void> {
    for await (const rows of source) {
      this.options.signal?.throwIfAborted()
      for (const { key, value, line } of rows) {
        checkRow(key, value, line)
        if (this.sorter.add(USER_ROW, key, value, line, this.sum)) continue
        await this.endRun()
        assert(this.sorter.add(USER_ROW, key, value, line, this.sum), "an empty sorter has room for a row")
      }
    }
  }

  async finish(): Promise<void> {
    if (this.runs.length > 0) await this.endRun()
    const { mergeRunsMax } = TABLE_FILE_LIMITS
    while (this.runs.length > mergeRunsMax) {
      const merged: (readonly StreamedTable[])[] = []
      for (let from = 0; from < this.runs.length; from += mergeRunsMax) {
        const writer = this.runWriter()
        await this.merge(this.runs.slice(from, from + mergeRunsMax), writer)
        merged.push(await this.opened(writer))
      }
      this.runs = merged
    }
    const writer = this.tableWriter()
    if (this.runs.length === 0) await this.write(writer)
    else await this.merge(this.runs, writer)
    await this.publish(writer)
  }

  /** The table is at its place when this resolves. */
  private async publish(writer: TableWriter): Promise<void> {
    const { disk, path } = this
    const [entry] = await writer.finish()
    const from = this.pathOf(must(entry, "the table has a row that describes it").number)
    await checkEnds(disk, from, path, entry?.sizeBytes ?? 0)
    this.options.signal?.throwIfAborted()
    await disk.rename(from, path)
    await disk.syncFolder(folderOf(path))
  }

  /** Writes the rows in memory as a run. */
  private async endRun(): Promise<void> {
    const writer = this.runWriter()
    await this.write(writer)
    await writer.finish()
    this.runs.push(await this.opened(writer))
    this.sorter.clear()
  }

  private async write(writer: TableWriter): Promise<void> {
    for (const { bytes, keyAt, valueAt, end } of this.rows()) {
      if (!writer.add(bytes, keyAt, valueAt, end, 0, false)) continue
      await writer.flush()
      this.options.signal?.throwIfAborted()
    }
  }

  /** The rows in memory, each key once. */
  private *rows(): Generator<SortedRow> {
    let last: SortedRow | undefined
    for (const row of this.sorter.sorted()) {
      const isSame = last !== undefined && isSameKey(last, row)
      if (isSame && this.duplicates === "first") continue
      if (isSame && this.duplicates === "error") throw isTwice(row, last?.line)
      if (!isSame && last !== undefined) yield last
      last = { ...row }
    }
    if (last !== undefined) yield last
  }

  private async merge(runs: readonly (readonly StreamedTable[])[], writer: TableWriter): Promise<void> {
    const dropped: DroppedBytes = (bytes, keyAt, valueAt, end) => {
      this.options.signal?.throwIfAborted()
      if (this.duplicates === "error") throw isTwice({ bytes, keyAt, valueAt, end, line: 0 }, undefined)
    }
    const newestFirst = this.duplicates === "first" ? runs : [...runs].reverse()
    await mergeRows({ runs: newestFirst, upTo: undefined, lower: [] }, writer, undefined, dropped)
    for (const { table } of runs.flat()) {
      await table.close()
      await this.disk.remove(table.path)
    }
  }

  private runWriter(): TableWriter {
    const takeNumber = (): number => (this.nextNumber += 1) - 1
    return this.writer({ seedsOf: runSeeds, run: 0, takeNumber })
  }

  private tableWriter(): TableWriter {
    const run = runOfRows(this.sum)
    let isTaken = false
    const takeNumber = (): number => {
      if (isTaken) throw tooLarge(this.path)
      isTaken = true
      return (this.nextNumber += 1) - 1
    }
    return this.writer({ seedsOf: () => userSeeds(run), run, takeNumber })
  }

  private writer(target: Pick<TableTarget, "seedsOf" | "run" | "takeNumber">): TableWriter {
    const pathOf = (number: number): string => this.pathOf(number)
    const writer = new TableWriter({ disk: this.disk, pathOf, cipher: undefined, level: 0, ...target }, FILE_LIMITS)
    this.writers.push(writer)
    return writer
  }

  private pathOf(number: number): string {
    return newName(this.path) + String(number).padStart(NUMBER_LETTERS, "0")
  }

  /** The finished run of a writer, open for a merge. */
  private opened(writer: TableWriter): Promise<readonly StreamedTable[]> {
    return mapBounded(writer.finished, 1, async entry => {
      const { number } = entry
      const seeds = runSeeds(number)
      const at = { disk: this.disk, path: this.pathOf(number), number, endSeed: seeds.end, seedsOf: () => seeds }
      const { endBytesMax } = TABLE_FILE_LIMITS
      return { entry, table: await Table.openAt({ ...at, endBytesMax }, uncachedReads(undefined)) }
    })
  }

  /** Removes whatever was written. */
  async abandon(): Promise<void> {
    for (const { table } of this.runs.flat()) await table.close().catch(() => undefined)
    for (const writer of this.writers) await writer.abandon()
  }
}

function runSeeds(number: number): TableSeeds {
  const seed = fileSeed("users", number)
  return { blocks: seed, end: seed }
}

const isSameKey = (a: SortedRow, b: SortedRow): boolean =>
  compareBytes(a.bytes, a.keyAt, a.valueAt, b.bytes, b.keyAt, b.valueAt) === 0

function isTwice({ bytes, keyAt, valueAt, line }: SortedRow, other: number | undefined): Failure {
  const where = other === undefined ? "" : `, in the rows that begin on lines ${other} and ${line}`
  const key = keyText(bytes.subarray(keyAt + 1, valueAt))
  return fail("invalidArgument", {
    message: `the key ${key} occurs twice${where}; choose one of its rows with --duplicates first or last`,
  })
}

function checkRow(key: Uint8Array, value: Uint8Array, line: number): void {
  const { keyBytesMax, valueBytesMax } = TABLE_FILE_LIMITS
  if (key.length > keyBytesMax)
    throw fail("invalidArgument", {
      message: `line ${line}: the key has ${key.length} bytes; a key has up to ${keyBytesMax}`,
    })
  if (value.length > valueBytesMax)
    throw fail("invalidArgument", {
      message: `line ${line}: the value has ${value.length} bytes; a value has up to ${valueBytesMax}: store larger ones as objects`,
    })
}

function checkNotes(notes: Readonly<Record<string, string>>): void {
  const { notesMax, noteBytesMax } = TABLE_FILE_LIMITS
  const isTooLong = (text: string): boolean => Buffer.byteLength(text, "utf8") > noteBytesMax
  const entries = Object.entries(notes)
  if (entries.length > notesMax || entries.flat().some(isTooLong))
    throw fail("invalidArgument", { message: `a table has up to ${notesMax} notes of up to ${noteBytesMax} bytes` })
}

const tooLarge = (path: string): Failure =>
  fail("invalidArgument", {
    message: `${path} would have more than ${TABLE_FILE_LIMITS.fileBytesMax / GIB} GiB, or too many long keys: build several tables`,
  })

/** The end of a file must not be longer than readers expect. */
async function checkEnds(disk: Disk, from: string, path: string, dataBytes: number): Promise<void> {
  const file = await disk.open(from, "read")
  try {
    if ((await file.sizeBytes()) - dataBytes > TABLE_FILE_LIMITS.endBytesMax) throw tooLarge(path)
  } finally {
    await file.close()
  }
}
