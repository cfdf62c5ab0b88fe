/**
 * Rot in metadata stores, beyond what `rotOnce` does to one file: pages and whole blocks of rows in each other's
 * place, and files that are another's, older, cut short or gone. Pure: from the content of files to what changes.
 */
import type { DeviceId } from "../../src/base/ids.js"
import { Block, fileSeed } from "../../src/format/table-block.js"
import { decodeEnd } from "../../src/format/table-file.js"
import { ROT_KINDS, rotOnce } from "../../src/seams/disk/index.js"
import type { Random } from "../../src/seams/random/contract.js"

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
/** Those that a store can be made to meet while it has its files open. */
export const OPEN_ROT_KINDS: readonly MetadataStoreRotKind[] = [...ROT_KINDS, "pages", "blocks", "older", "foreign"]

/** Files of metadata stores by their names in one folder. */
export type MetadataStoreFiles = ReadonlyMap<string, Buffer>

export interface RotScene {
  readonly deviceId: DeviceId
  readonly files: MetadataStoreFiles
  /** The same store at an earlier time. */
  readonly older: MetadataStoreFiles
  /** The store of another device. */
  readonly other: { readonly deviceId: DeviceId; readonly files: MetadataStoreFiles } | undefined
}

export interface MetadataStoreRot {
  readonly what: string
  /** What becomes of files; undefined: they are gone. */
  readonly changed: ReadonlyMap<string, Buffer | undefined>
}

const PAGE_BYTES = 4096

/** Undefined where what was drawn changes nothing. */
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
      return { what: `${name} is gone`, changed: new Map([[name, undefined]]) }
    case "older store": {
      const gone = [...files.keys()].map(each => [each, undefined] as const)
      return { what: "all files are older ones", changed: new Map<string, Buffer | undefined>([...gone, ...older]) }
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
      ...{ name, at: page * PAGE_BYTES, bytes: bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES) },
    })),
  )

/** Two places get each other's bytes, as far as both reach. */
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

/** Two whole blocks of one length, where there are two; of this store, its past, or another device's. */
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
