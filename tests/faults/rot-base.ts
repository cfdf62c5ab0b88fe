/**
 * Rot in metadata stores beyond that of `rotOnce` in one file: swapped pages and blocks of rows, and files that
 * belong to another store, are older, truncated or missing. Pure: computes the changes from the content of the
 * files.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import { Block, fileSeed } from "@hayloft/engine/format/tables/table-block.js"
import { decodeEnd } from "@hayloft/engine/format/tables/table-file.js"
import { ROT_KINDS, rotOnce } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"

export const BASE_ROT_KINDS = [
  ...ROT_KINDS,
  "pages",
  "blocks",
  "older",
  "foreign",
  "cut",
  "gone",
  "older store",
] as const
export type MetadataStoreRotKind = (typeof BASE_ROT_KINDS)[number]
/** The kinds of damage that a store can encounter while its files are open. */
export const OPEN_ROT_KINDS: readonly MetadataStoreRotKind[] = [...ROT_KINDS, "pages", "blocks", "older", "foreign"]

/** Files of metadata stores by their names in one folder. */
export type MetadataStoreFiles = ReadonlyMap<string, Buffer>

export interface RotScene {
  readonly deviceId: DeviceId
  readonly files: MetadataStoreFiles
  /** The same store at an earlier moment. */
  readonly older: MetadataStoreFiles
  /** The store of another device. */
  readonly other: { readonly deviceId: DeviceId; readonly files: MetadataStoreFiles } | undefined
}

export interface MetadataStoreRot {
  readonly what: string
  /** The new content of files; undefined for a removed file. */
  readonly changed: ReadonlyMap<string, Buffer | undefined>
}

const PAGE_BYTES = 4096

/** Returns undefined if the chosen damage changes nothing. */
export function rotMetadataStore(
  scene: RotScene,
  kind: MetadataStoreRotKind,
  random: Random,
): MetadataStoreRot | undefined {
  const { files, older, other } = scene
  const name = pick([...files.keys()].sort(), random)
  const content = name === undefined ? undefined : files.get(name)
  if (name === undefined || content === undefined) return undefined
  switch (kind) {
    case "pages":
      return exchange(files, pagesOf(files), "page", random)
    case "blocks":
      return exchangeBlocks(scene, random)
    case "older":
    case "foreign": {
      const from = kind === "older" ? older : other?.files
      const alike = [...(from ?? [])].filter(
        ([each, bytes]) => isTable(each) === isTable(name) && !bytes.equals(content),
      )
      const [source, bytes] = pick(alike, random) ?? []
      return bytes && { what: `${name} is the ${kind} ${source}`, changed: new Map([[name, bytes]]) }
    }
    case "cut": {
      const lengthBytes = random.below(content.length)
      return {
        what: `${name} cut to ${lengthBytes} bytes`,
        changed: new Map([[name, content.subarray(0, lengthBytes)]]),
      }
    }
    case "gone":
      return { what: `${name} is missing`, changed: new Map([[name, undefined]]) }
    case "older store": {
      const gone = [...files.keys()].map(each => [each, undefined] as const)
      return { what: "all files are older versions", changed: new Map<string, Buffer | undefined>([...gone, ...older]) }
    }
    default: {
      const damaged = Buffer.from(content)
      const what = rotOnce(damaged, kind, random, older.get(name) ?? [...older.values()].at(-1))
      return what === undefined ? undefined : { what: `${name}: ${what}`, changed: new Map([[name, damaged]]) }
    }
  }
}

const pick = <T>(among: readonly T[], random: Random): T | undefined => among[random.below(Math.max(1, among.length))]
const isTable = (name: string): boolean => name.endsWith(".table")

interface Place {
  readonly name: string
  readonly at: number
  readonly bytes: Buffer
}

const pagesOf = (files: MetadataStoreFiles): readonly Place[] =>
  [...files].flatMap(([name, bytes]) =>
    Array.from({ length: Math.ceil(bytes.length / PAGE_BYTES) }, (_, page) => ({
      name,
      at: page * PAGE_BYTES,
      bytes: bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES),
    })),
  )

/** Swaps the bytes of two places, up to the end of the shorter one. */
function exchange(
  files: MetadataStoreFiles,
  places: readonly Place[],
  what: string,
  random: Random,
): MetadataStoreRot | undefined {
  const [a, b] = [pick(places, random), pick(places, random)]
  if (a === undefined || b === undefined || a.bytes.equals(b.bytes)) return undefined
  const changed = new Map<string, Buffer>()
  put(files, changed, a, b.bytes)
  put(files, changed, b, a.bytes)
  return { what: `${what}s ${a.name}@${a.at} and ${b.name}@${b.at} exchanged`, changed }
}

function put(files: MetadataStoreFiles, changed: Map<string, Buffer>, { name, at, bytes }: Place, by: Buffer): void {
  const content = changed.get(name) ?? Buffer.from(files.get(name) ?? "")
  changed.set(name, content)
  by.copy(content, at, 0, Math.min(by.length, bytes.length))
}

/** Swaps two whole blocks of equal length, if there are two: of this store, its past, or another device. */
function exchangeBlocks({ deviceId, files, older, other }: RotScene, random: Random): MetadataStoreRot | undefined {
  const own = blocksOf(files, deviceId)
  const mine = pick(own, random)
  if (mine === undefined) return undefined
  const foreign = [...blocksOf(older, deviceId), ...(other ? blocksOf(other.files, other.deviceId) : [])]
  const isOther = (place: Place): boolean => !place.bytes.equals(mine.bytes)
  const isAlike = (place: Place): boolean => place.bytes.length === mine.bytes.length && isOther(place)
  const alike = own.filter(isAlike)
  const theirs = pick(foreign.filter(isAlike), random)
  if (random.below(3) === 0 && theirs !== undefined) {
    const changed = new Map<string, Buffer>()
    put(files, changed, mine, theirs.bytes)
    return {
      what: `block ${mine.name}@${mine.at} has the bytes of another store's ${theirs.name}@${theirs.at}`,
      changed,
    }
  }
  return exchange(files, [mine, pick(alike.length > 0 ? alike : own, random) ?? mine], "block", random)
}

/** Data blocks and directory blocks. */
function blocksOf(files: MetadataStoreFiles, deviceId: DeviceId): readonly Place[] {
  return [...files].flatMap(([name, bytes]) => (isTable(name) ? blocksIn(name, bytes, deviceId) : []))
}

function blocksIn(name: string, bytes: Buffer, deviceId: DeviceId): readonly Place[] {
  const footer = decodeEnd(bytes, fileSeed(deviceId, Number.parseInt(name, 10)), name)
  const placeOf = (at: number, lengthBytes: number): Place => ({
    name,
    at,
    bytes: bytes.subarray(at, at + lengthBytes),
  })
  return footer.partitions.flatMap(({ directoryAt, directoryBytes }) => {
    const directory = new Block(bytes.subarray(directoryAt, directoryAt + directoryBytes))
    const data = Array.from({ length: directory.rows }, (_, row) => {
      const valueAt = directory.valueAt(directory.keyAt(row))
      return placeOf(directory.bytes.readUInt32LE(valueAt), directory.bytes.readUInt32LE(valueAt + 4))
    })
    return [...data, placeOf(directoryAt, directoryBytes)]
  })
}
