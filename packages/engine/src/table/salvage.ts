/**
 * Salvage: gives up the rows of a metadata store that cannot be read, so that the ranges of keys around them can be
 * read and written again. The last resort of a store with one copy of its metadata.
 *
 * Promises  Every row that can be read stays. Keys of a damaged place are missing afterwards, or show the version of an
 *           older table. After a crash at any moment all of those rows have been given up, or none.
 * Refuses   A store whose manifest cannot be read (`corruptRow`): which rows are the newest is not known then.
 */
import { assert } from "@hayloft/base/assert.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { Block, compareBytes } from "../format/tables/table-block.js"
import { storeSeeds } from "../format/tables/table-file.js"
import { encodeManifest, manifestHash, type Manifest, type TableEntry } from "../format/tables/table-manifest.js"
import type { LostRows, StoreHost } from "@hayloft/base/seams/store/contract.js"
import type { TableLimits } from "./limits.js"
import { highestNumbers, readManifest, removeOthers, tableNumberOf, writeManifest } from "./manifest-files.js"
import { uncachedReads, Table, tablePath } from "./table.js"
import { TableWriter } from "./table-writer.js"

/** The unreadable rows of the store, by file. The store must not be open. Throws `deviceFailed`. */
export async function findLostRows(host: StoreHost, folder: string): Promise<readonly LostRows[]> {
  const { manifest } = await readManifest(host, folder)
  const lost: LostRows[] = []
  for (const entry of manifest.tables) {
    const { lostRows } = await readable(host, folder, entry)
    if (lostRows !== undefined) lost.push(lostRows)
  }
  return lost
}

/** Finds the same rows as `findLostRows`, and gives them up: files with such rows are rewritten without them. */
export async function giveUpLostRows(
  host: StoreHost,
  folder: string,
  limits: TableLimits,
): Promise<readonly LostRows[]> {
  const lost = await findLostRows(host, folder)
  if (lost.length === 0) return lost
  const { disk, deviceId, cipher } = host
  const stored = await readManifest(host, folder)
  const highest = await highestNumbers(disk, folder)
  const numbers = { next: Math.max(stored.manifest.nextNumber, highest.table + 1), end: 0 }
  numbers.end = numbers.next + lost.length * FILES_PER_LOST_FILE_MAX
  // Numbers are reserved durably before a file uses one.
  const aside = await install(host, folder, highest.generation, stored, { nextNumber: numbers.end })
  const takeNumber = (): number => {
    assert(numbers.next < numbers.end, "numbers are reserved before they are used")
    return (numbers.next += 1) - 1
  }
  const paths = new Set(lost.map(({ path }) => path))
  const tables: TableEntry[] = []
  for (const entry of stored.manifest.tables) {
    if (!paths.has(tablePath(folder, entry.number))) {
      tables.push(entry)
      continue
    }
    const { blocks } = await readable(host, folder, entry)
    const { level, run } = entry
    const pathOf = (number: number) => tablePath(folder, number)
    const seedsOf = (number: number) => storeSeeds(deviceId, number)
    const writer = new TableWriter({ disk, pathOf, seedsOf, cipher, level, run, takeNumber }, limits)
    tables.push(...(await copyRows(entry, blocks, writer)))
  }
  await disk.syncFolder(folder)
  await install(host, folder, aside.manifest.generation, aside, { tables, damaged: [] })
  const kept = new Set(tables.map(({ number }) => number))
  for (const name of await disk.list(folder)) {
    const number = tableNumberOf(name)
    if (number !== undefined && !kept.has(number)) await disk.remove(`${folder}/${name}`)
  }
  return lost
}

/** Rewritten rows of a file use no more space than before; limits may differ. */
const FILES_PER_LOST_FILE_MAX = 64

interface Installed {
  readonly manifest: Manifest
  readonly hash: string
}

/** Makes a manifest durable as the newest one. */
async function install(
  { disk, deviceId, cipher }: StoreHost,
  folder: string,
  highest: number,
  before: Installed,
  change: Partial<Manifest>,
): Promise<Installed> {
  const generation = Math.max(before.manifest.generation, highest) + 1
  const manifest = { ...before.manifest, ...change, generation, previousHash: before.hash }
  const encoded = encodeManifest(manifest, deviceId, cipher)
  await writeManifest(disk, folder, generation, encoded)
  await removeOthers(disk, folder, generation)
  return { manifest, hash: manifestHash(encoded) }
}

interface Readable {
  readonly blocks: readonly Block[]
  readonly lostRows: LostRows | undefined
}

async function readable(host: StoreHost, folder: string, entry: TableEntry): Promise<Readable> {
  const path = tablePath(folder, entry.number)
  const table = await openTable(host, folder, entry)
  if (table === undefined) {
    const range = { fromKey: entry.firstKey.toString("hex"), toKey: entry.lastKey.toString("hex") }
    return { blocks: [], lostRows: { path, ranges: [range], rows: entry.rows } }
  }
  try {
    const found = await table.readAround()
    const blocks = found.filter(each => each instanceof Block)
    const failures = found.filter((each): each is Failure => !(each instanceof Block))
    const rows = entry.rows - blocks.reduce((sum, block) => sum + block.rows, 0)
    return { blocks, lostRows: failures.length === 0 ? undefined : { path, ranges: rangesOf(failures), rows } }
  } finally {
    await table.close()
  }
}

/** Returns undefined if neither end of the file can be read, or the file is not the one that the manifest names. */
async function openTable(host: StoreHost, folder: string, entry: TableEntry): Promise<Table | undefined> {
  try {
    const table = await Table.open(host.disk, folder, entry.number, host.deviceId, uncachedReads(host.cipher))
    if (table.footerHash === entry.footerHash) return table
    await table.close()
  } catch (error) {
    if (!isFailure(error, "corruptRow")) throw error
  }
  return undefined
}

/** Blocks name the range of their partition: each range once. */
function rangesOf(failures: readonly Failure[]): LostRows["ranges"] {
  const ranges = failures.map(({ details }) => ({
    fromKey: String(details["fromKey"] ?? ""),
    toKey: String(details["toKey"] ?? ""),
  }))
  return ranges.filter(({ fromKey }, i) => ranges.findIndex(other => other.fromKey === fromKey) === i)
}

async function copyRows(
  { from }: TableEntry,
  blocks: readonly Block[],
  writer: TableWriter,
): Promise<readonly TableEntry[]> {
  for (const block of blocks) {
    for (let row = 0; row < block.rows; row += 1) {
      const keyAt = block.keyAt(row)
      const valueAt = block.valueAt(keyAt)
      const { bytes } = block
      // Rows below `from` belong to another table by now.
      if (from !== undefined && compareBytes(bytes, keyAt, valueAt, from, 0, from.length) < 0) continue
      const end = valueAt + block.valueBytes(keyAt)
      if (writer.add(bytes, keyAt, valueAt, end, block.flags(keyAt), false)) await writer.flush()
    }
  }
  return writer.finish()
}
