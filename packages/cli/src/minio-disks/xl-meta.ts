/**
 * `xl.meta`: the metadata of all versions of one object on one disk of MinIO. Pure.
 *
 * A file is `XL2 `, two numbers of the form, the metadata in MessagePack, and the bytes of small objects:
 *
 *   1.0   the metadata as a map, to the end of the file
 *   1.1   the metadata as a byte string, then the bytes of objects
 *   1.2   the same, with the lower half of the XXH64 of the metadata between them
 *   1.3   the same, the metadata as a list: two numbers of its form, the count, then of each version a header and a map
 *
 * The bytes of objects follow a byte 1, as a map from the id of a version to what its shard would be in a file.
 *
 * Refuses   Throws `damaged` for bytes that are not such a file, `unknownForm` for later forms.
 * Leaves    out versions that are no longer visible: those that only remember bytes in another store, and those whose deletion
 *           still waits for a replica.
 */
import { hexOf } from "@hayloft/base/bytes.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { damaged, DiskFailure } from "./failure.js"
import { bytesField, countField, countOf, isMap, listField, mapField, textsField, timeField } from "./fields.js"
import { MessageReader, type MessageMap } from "./message-pack.js"
import { checkedCode, legacyObject } from "./legacy-object.js"
import {
  isSystemName,
  NULL_VERSION,
  systemName,
  type StoredObject,
  type StoredPart,
  type StoredVersion,
} from "./stored-version.js"

const MAGIC = "XL2 "
const HEADER_BYTES = 8
const FORM_MAX = 3
const [TYPE_OBJECT, TYPE_MARKER, TYPE_LEGACY] = [1, 2, 3]
const FREE_VERSION = "tier-free-marker"
const PURGED = "purgestatus"

type Inline = StoredObject["inline"]
type InlineBytes = ReadonlyMap<string, Inline>

/** The versions in the order of the file. Throws `damaged` and `unknownForm`. */
export function parseXlMeta(bytes: Uint8Array): readonly StoredVersion[] {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, HEADER_BYTES))
  if (header.length < HEADER_BYTES || header.toString("latin1", 0, 4) !== MAGIC)
    throw damaged("xl.meta does not begin as such a file does")
  const minor = minorOf(header)
  const reader = new MessageReader(bytes, HEADER_BYTES)
  if (minor === 0) return versionsOfMap(reader.map(), new Map())
  const metadata = reader.byteString()
  if (minor >= 2) {
    const sum = reader.count()
    if (sum !== Number(xxh64(metadata) & 0xffff_ffffn)) throw damaged("the checksum of xl.meta is wrong")
  }
  const inline = inlineOf(reader, bytes)
  return minor === FORM_MAX
    ? versionsOfList(metadata, inline)
    : versionsOfMap(new MessageReader(metadata).map(), inline)
}

/** The second number of the form. The first files had text in its place. */
function minorOf(header: Buffer): number {
  if (header.toString("latin1", 4) === "1   ") return 0
  const [major, minor] = [header.readUInt16LE(4), header.readUInt16LE(6)]
  if (major !== 1 || minor > FORM_MAX)
    throw new DiskFailure("unknownForm", `xl.meta has the form ${major}.${minor}; those up to 1.${FORM_MAX} are read`)
  return minor
}

function inlineOf(reader: MessageReader, bytes: Uint8Array): InlineBytes {
  if (reader.isAtEnd) return new Map()
  if (reader.count() !== 1)
    throw new DiskFailure("unknownForm", "the bytes of small objects in xl.meta have a later form")
  return new Map(
    [...reader.map()].map(([id, value]) => {
      if (!(value instanceof Uint8Array)) throw damaged("the bytes of a small object are missing")
      return [id, { offset: value.byteOffset - bytes.byteOffset, lengthBytes: value.length }]
    }),
  )
}

function versionsOfMap(metadata: MessageMap, inline: InlineBytes): readonly StoredVersion[] {
  return listField(metadata, "Versions").flatMap(version => {
    if (!isMap(version)) throw damaged("a version is no map")
    return versionOf(version, inline)
  })
}

function versionsOfList(metadata: Uint8Array, inline: InlineBytes): readonly StoredVersion[] {
  const reader = new MessageReader(metadata)
  const forms = [reader.count(), reader.count()]
  if (forms.some(form => form > FORM_MAX))
    throw new DiskFailure("unknownForm", `versions in xl.meta have the form ${forms.join(".")}`)
  const versions: StoredVersion[] = []
  for (let left = reader.count(); left > 0; left -= 1) {
    // Everything in the header is in the version, too.
    reader.byteString()
    versions.push(...versionOf(new MessageReader(reader.byteString()).map(), inline))
  }
  return versions
}

function versionOf(version: MessageMap, inline: InlineBytes): readonly StoredVersion[] {
  switch (countField(version, "Type")) {
    case TYPE_OBJECT:
      return objectOf(mapField(version, "V2Obj"), inline)
    case TYPE_MARKER:
      return markerOf(mapField(version, "DelObj"))
    case TYPE_LEGACY:
      return [legacyObject(mapField(version, "V1Obj"))]
    default:
      throw new DiskFailure("unknownForm", "xl.meta has a version of an unknown kind")
  }
}

function markerOf(fields: MessageMap): readonly StoredVersion[] {
  const system = systemOf(fields)
  if (system.has(FREE_VERSION) || isPurged(system)) return []
  return [{ kind: "marker", id: idOf(fields), modifiedNs: timeField(fields, "MTime") }]
}

function objectOf(fields: MessageMap, inline: InlineBytes): readonly StoredVersion[] {
  const system = systemOf(fields)
  if (isPurged(system)) return []
  if (countField(fields, "EcAlgo") !== 1 || countField(fields, "CSumAlgo") !== 1)
    throw new DiskFailure("unknownForm", "a version has an unknown code or checksum")
  const id = idOf(fields)
  const code = checkedCode({
    dataShards: countField(fields, "EcM"),
    parityShards: countField(fields, "EcN"),
    blockBytes: countField(fields, "EcBSize"),
    shard: countField(fields, "EcIndex"),
    distribution: listField(fields, "EcDist").map(shard => countOf(shard, "EcDist")),
  })
  return [
    {
      kind: "object",
      id,
      modifiedNs: timeField(fields, "MTime"),
      dataFolder: uuidOf(bytesField(fields, "DDir")),
      code,
      parts: partsOf(fields),
      wholeSums: undefined,
      user: new Map(textsField(fields, "MetaUsr").map(([name, value]) => [name.toLowerCase(), value])),
      system,
      inline: inline.get(id),
    },
  ]
}

function partsOf(fields: MessageMap): readonly StoredPart[] {
  const sizes = listField(fields, "PartSizes")
  const plain = listField(fields, "PartASizes")
  const numbers = listField(fields, "PartNums")
  if (numbers.length !== sizes.length) throw damaged("a version has not as many sizes as parts")
  return numbers.map((number, i) => {
    const sizeBytes = countOf(sizes[i], "PartSizes")
    const plainBytes = plain[i]
    const isKnown = typeof plainBytes === "number" && plainBytes >= 0
    return { number: countOf(number, "PartNums"), sizeBytes, plainBytes: isKnown ? plainBytes : sizeBytes }
  })
}

function systemOf(fields: MessageMap): ReadonlyMap<string, Uint8Array> {
  const system = new Map<string, Uint8Array>()
  for (const [name, value] of mapField(fields, "MetaSys"))
    if (isSystemName(name) && value instanceof Uint8Array) system.set(systemName(name), value)
  return system
}

const isPurged = (system: ReadonlyMap<string, Uint8Array>): boolean => (system.get(PURGED)?.length ?? 0) > 0

function idOf(fields: MessageMap): string {
  const id = bytesField(fields, "ID")
  return id.every(byte => byte === 0) ? NULL_VERSION : uuidOf(id)
}

function uuidOf(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw damaged("an id has not 16 bytes")
  return hexOf(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
}
