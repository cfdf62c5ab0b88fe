/**
 * Manifest files: each generation of the manifest is written twice, to files named for the generation. The second copy
 * is begun when the first is durable, so a generation with two copies has been durable.
 *
 * Promises  After a crash at any moment the folder shows the generation before or this one. An older generation is
 *           shown in place of a newer one only if the newer one was never finished.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import {
  decodeManifest,
  EMPTY_MANIFEST,
  isSealedManifest,
  MANIFEST_HEAD_BYTES,
  manifestHash,
  manifestIn,
  type Manifest,
} from "../format/tables/table-manifest.js"
import { dataBytesOf } from "../format/tables/table-file.js"
import { RowSum } from "../format/tables/row-sum.js"
import type { TableEntry } from "../format/tables/table-manifest.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { StoreHost } from "@hayloft/base/seams/store/contract.js"
import { MANIFEST_BYTES_MAX } from "./limits.js"
import { uncachedReads, Table } from "./table.js"

const COPIES = ["manifest", "manifest-copy"] as const
const MANIFEST_NAME = /^(\d+)\.manifest(-copy)?$/
const TABLE_NAME = /^(\d+)\.table$/
/** File that releases before tables left in the folder of the metadata store. */
const OLD_STORE_NAME = "data.mdb"

/** The writer may replace generations while a reader searches for the newest one; the reader tries so many times. */
const ATTEMPTS_MAX = 5

type ManifestHost = Pick<StoreHost, "disk" | "deviceId" | "cipher">

interface WholeCopy {
  readonly manifest: Manifest
  readonly hash: string
}

interface StoredManifest extends WholeCopy {
  /** One of the two copies is damaged or missing. */
  readonly isSingle: boolean
}

const manifestName = (generation: number, copy: (typeof COPIES)[number]): string =>
  `${String(generation).padStart(10, "0")}.${copy}`

export const tableNumberOf = (name: string): number | undefined => {
  const number = TABLE_NAME.exec(name)?.[1]
  return number === undefined ? undefined : Number(number)
}

const generationOf = (name: string): number | undefined => {
  const generation = MANIFEST_NAME.exec(name)?.[1]
  return generation === undefined ? undefined : Number(generation)
}

const generationsIn = (names: readonly string[]): readonly number[] =>
  [...new Set(names.flatMap(name => generationOf(name) ?? []))].sort((a, b) => b - a)

/** The newest manifest of a folder; an empty one if the folder has none. Throws `corruptRow`, `deviceFailed`. */
export async function readManifest(host: ManifestHost, folder: string): Promise<StoredManifest> {
  const { disk } = host
  let names = await disk.list(folder)
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await newestOf(names, host, folder)
    } catch (error) {
      const before = generationsIn(names).join()
      names = await disk.list(folder)
      if (attempt === ATTEMPTS_MAX || generationsIn(names).join() === before) throw error
    }
  }
}

async function newestOf(names: readonly string[], host: ManifestHost, folder: string): Promise<StoredManifest> {
  if (names.includes(OLD_STORE_NAME)) {
    const message = `${folder} holds a metadata store of an earlier development version, which is no longer read`
    throw fail("invalidConfig", { message })
  }
  const generations = generationsIn(names)
  for (const generation of generations) {
    const stored = await readGeneration(host, folder, generation)
    if (stored !== undefined) return stored
    if (COPIES.every(copy => names.includes(manifestName(generation, copy)))) {
      throw damaged(folder, `both copies of its manifest ${generation} are damaged`)
    }
  }
  // The first generation is made from an empty folder, and may be unfinished.
  const isNew = generations.every(generation => generation === 1)
  const hasTables = names.some(name => tableNumberOf(name) !== undefined)
  if (!isNew || hasTables) throw damaged(folder, "its manifest is missing or damaged")
  return { manifest: EMPTY_MANIFEST, hash: "", isSingle: false }
}

const damaged = (folder: string, reason: string): Failure =>
  fail("corruptRow", { path: folder, message: `the metadata store in ${folder} cannot be read: ${reason}`, reason })

/**
 * Returns undefined if no copy is whole. A copy that the device cannot read counts as damaged if the other is whole.
 */
async function readGeneration(
  host: ManifestHost,
  folder: string,
  generation: number,
): Promise<StoredManifest | undefined> {
  const errors: unknown[] = []
  const copies: (WholeCopy | undefined)[] = []
  for (const name of COPIES) {
    const reading = readCopy(host, `${folder}/${manifestName(generation, name)}`)
    const copy = await reading.catch((error: unknown) => void errors.push(error))
    copies.push(copy?.manifest.generation === generation ? copy : undefined)
  }
  const whole = copies.find(copy => copy !== undefined)
  if (whole !== undefined) return { ...whole, isSingle: copies.some(copy => copy?.hash !== whole.hash) }
  if (errors.length > 0) throw errors[0]
  return undefined
}

/** Returns undefined if the copy is damaged or missing. */
async function readCopy({ disk, deviceId, cipher }: ManifestHost, path: string): Promise<WholeCopy | undefined> {
  if (!(await disk.exists(path))) return undefined
  const file = await disk.open(path, "read")
  try {
    const sizeBytes = await file.sizeBytes()
    if (sizeBytes > MANIFEST_BYTES_MAX) return undefined
    const stored = Buffer.alloc(sizeBytes)
    await file.read(stored, 0)
    const bytes = manifestIn(stored)
    return { manifest: decodeManifest(bytes, deviceId, cipher), hash: manifestHash(bytes) }
  } catch (error) {
    if (isFailure(error, "corruptRecord")) return undefined
    throw error
  } finally {
    await file.close()
  }
}

/** Makes an encoded manifest durable. The tables that it names, and their names, are durable already. */
export async function writeManifest(
  disk: Disk,
  folder: string,
  generation: number,
  encoded: Uint8Array,
): Promise<void> {
  for (const copy of COPIES) await writeFile(disk, `${folder}/${manifestName(generation, copy)}`, encoded)
  await disk.syncFolder(folder)
}

async function writeFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, "create")
  try {
    await file.write([bytes], 0)
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * The manifest rebuilt from the table files, if no manifest can be read: files that can be opened, level by level as
 * they were written, in each level the newest first. Files that were merged and not yet removed count as well.
 */
export async function manifestOfFiles(host: ManifestHost, folder: string): Promise<Manifest> {
  const tables: TableEntry[] = []
  for (const name of await host.disk.list(folder)) {
    const number = tableNumberOf(name)
    const table = number === undefined ? undefined : await openUncached(host, folder, number)
    if (number === undefined || table === undefined) continue
    const { footer, footerHash } = table
    const { level, rows, tombstones, replacing, firstKey, lastKey } = footer
    // Each file is a run of its own, above all that were written before: files of one level may overlap here.
    const run = (LEVELS_MAX - level) * RUNS_MAX + number
    const merged = { rows: 0, sum: new RowSum() }
    tables.push({
      number,
      level: 0,
      run,
      sizeBytes: dataBytesOf(footer),
      rows,
      tombstones,
      replacing,
      footerHash,
      firstKey,
      lastKey,
      from: undefined,
      merged,
    })
    await table.close()
  }
  return { ...EMPTY_MANIFEST, tables }
}

const LEVELS_MAX = 64
const RUNS_MAX = 2 ** 40

/** Returns undefined if the file is damaged. */
async function openUncached(
  { disk, deviceId, cipher }: ManifestHost,
  folder: string,
  number: number,
): Promise<Table | undefined> {
  try {
    return await Table.open(disk, folder, number, deviceId, uncachedReads(cipher))
  } catch (error) {
    if (!isFailure(error, "corruptRow")) throw error
    return undefined
  }
}

/** Returns true if a file of the store is not encrypted; one that cannot be read may be plain. */
export async function holdsPlain(host: ManifestHost, folder: string): Promise<boolean> {
  const { disk } = host
  for (const name of (await disk.exists(folder)) ? await disk.list(folder) : []) {
    const number = tableNumberOf(name)
    if (generationOf(name) !== undefined && !(await isSealedCopy(disk, `${folder}/${name}`))) return true
    if (number === undefined) continue
    const table = await openUncached(host, folder, number)
    await table?.close()
    if (table?.isPlain !== false) return true
  }
  return false
}

async function isSealedCopy(disk: Disk, path: string): Promise<boolean> {
  const file = await disk.open(path, "read")
  try {
    const head = Buffer.alloc(MANIFEST_HEAD_BYTES)
    return isSealedManifest(head.subarray(0, await file.read(head, 0)))
  } finally {
    await file.close()
  }
}

/** Removes a generation that could not be finished. Throws if a later start may still find it. */
export async function removeGeneration(disk: Disk, folder: string, generation: number): Promise<void> {
  for (const copy of COPIES) {
    const path = `${folder}/${manifestName(generation, copy)}`
    if (await disk.exists(path)) await disk.remove(path)
  }
  await disk.syncFolder(folder)
}

/** Removes the files of all generations but this one. */
export async function removeOthers(disk: Disk, folder: string, generation: number): Promise<void> {
  for (const name of await disk.list(folder)) {
    const found = generationOf(name)
    if (found !== undefined && found !== generation) await disk.remove(`${folder}/${name}`)
  }
}

/** The highest numbers among the names in the folder: of a table, and of a manifest. */
export async function highestNumbers(disk: Disk, folder: string): Promise<{ table: number; generation: number }> {
  const names = await disk.list(folder)
  const highest = (numbers: readonly number[]): number => numbers.reduce((max, number) => Math.max(max, number), 0)
  return {
    table: highest(names.flatMap(name => tableNumberOf(name) ?? [])),
    generation: highest(generationsIn(names)),
  }
}
