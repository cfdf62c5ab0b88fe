/** The content of a version of an object, and what its metadata say about it. */
import { join } from "node:path"
import type { HeaderFields } from "@hayloft/base/http/request-headers.js"
import { ChecksumCheck, parseChecksums } from "./checksums.js"
import { damaged, DiskFailure } from "./failure.js"
import { XL_META } from "./listing.js"
import type { MergedVersion, ShardHolder } from "./merged.js"
import { partBytes, type ShardSource } from "./shards.js"
import { decompressed } from "./snappy.js"
import type { StoredObject, StoredPart } from "./stored-version.js"

type MergedContent = Extract<MergedVersion, { readonly kind: "object" }>

const COMPRESSIONS = ["klauspost/compress/s2", "golang/snappy/LZ77"]
const ATTRIBUTE = /^(cache-control|content-(disposition|encoding|language|type)|expires|x-amz-meta-.*)$/
const LOCK = /^x-amz-object-lock-/
/** The most special one first: each is also the end of the next one's name. */
const SEALS = [
  ["server-side-encryption-s3-sealed-key", "SSE-S3: its key is in MinIO's KMS"],
  ["server-side-encryption-kms-sealed-key", "SSE-KMS: its key is in a KMS"],
  ["server-side-encryption-sealed-key", "SSE-C: only its owner has the key"],
] as const

interface ObjectFacts {
  /** The number of plain bytes. */
  readonly sizeBytes: number
  /** Without quotes. */
  readonly etag: string
  readonly attributes: HeaderFields
  readonly locks: HeaderFields
  /** They have the form of the header; empty: none. */
  readonly tags: string
  /** The number of plain bytes of each part, in order; an object that was not uploaded in parts has one. */
  readonly partBytes: readonly number[]
}

export function factsOf({ stored: { user, parts } }: MergedContent): ObjectFacts {
  const like = (wanted: RegExp): HeaderFields => [...user].filter(([name]) => wanted.test(name))
  return {
    sizeBytes: parts.reduce((sum, { plainBytes }) => sum + plainBytes, 0),
    etag: user.get("etag") ?? "",
    attributes: like(ATTRIBUTE),
    locks: like(LOCK),
    tags: user.get("x-amz-tagging") ?? "",
    partBytes: parts.map(({ plainBytes }) => plainBytes),
  }
}

const textOf = ({ system }: StoredObject, name: string): string => Buffer.from(system.get(name) ?? []).toString("utf8")

/** Returns why the bytes cannot be read from the disks, whatever they are; undefined: they can. */
export function refusalOf({ stored }: MergedContent): DiskFailure | undefined {
  const seal = SEALS.find(([name]) => stored.system.has(name))
  if (seal !== undefined) return new DiskFailure("sealed", `it is encrypted with ${seal[1]}`)
  if (textOf(stored, "transition-status") === "complete" && !stored.user.has("x-amz-restore"))
    return new DiskFailure(
      "tiered",
      `its bytes are in the remote tier ${textOf(stored, "transition-tier") || "of MinIO"}`,
    )
  const compression = textOf(stored, "compression")
  if (compression !== "" && !COMPRESSIONS.includes(compression))
    return new DiskFailure("unknownForm", `it is compressed with ${compression.slice(0, 60)}`)
  return undefined
}

/**
 * The plain bytes. `path`: of the object, below the folder of a disk. `onDamage` is told each file that could not be used.
 * Throws what `refusalOf` returns, `lost`, and `damaged` if the bytes are not those of the sizes and checksums in the metadata.
 */
export async function* contentOf(
  object: MergedContent,
  path: string,
  onDamage: (file: string) => void,
): AsyncGenerator<Uint8Array, void, void> {
  const refusal = refusalOf(object)
  if (refusal !== undefined) throw refusal
  const { stored } = object
  const isCompressed = stored.system.has("compression")
  const check = new ChecksumCheck(parseChecksums(stored.system.get("crc") ?? new Uint8Array()))
  for (const part of stored.parts) {
    const shards = object.holders.map(holder => placeOf(holder, stored, part, path))
    const bytes = partBytes({ part, code: stored.code, shards }, onDamage)
    let plainBytes = 0
    for await (const plain of isCompressed ? decompressed(bytes) : bytes) {
      plainBytes += plain.length
      if (plainBytes > part.plainBytes) break
      check.update(plain)
      yield plain
    }
    if (plainBytes !== part.plainBytes)
      throw damaged(`part ${part.number} has not the ${part.plainBytes} bytes it should`)
    check.endPart()
  }
  check.end()
}

function placeOf(holder: ShardHolder, { dataFolder }: StoredObject, part: StoredPart, path: string): ShardSource {
  const { drive, slot, inline, wholeSums } = holder
  const folder = join(drive, path)
  const file = inline === undefined ? join(folder, dataFolder, `part.${part.number}`) : join(folder, XL_META)
  return { slot, path: file, range: inline, wholeSum: wholeSums?.get(part.number) }
}
