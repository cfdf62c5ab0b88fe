/** A version of an object as one disk of MinIO has it. */
interface VersionBase {
  /** `null` for the version without an id. */
  readonly id: string
  /** Nanoseconds since 1970. */
  readonly modifiedNs: bigint
}

interface StoredMarker extends VersionBase {
  readonly kind: "marker"
}

export interface StoredPart {
  readonly number: number
  /** The length of what was stored, which may be compressed. */
  readonly sizeBytes: number
  readonly plainBytes: number
}

/** Reed–Solomon over blocks of `blockBytes`. */
export interface StoredCode {
  readonly dataShards: number
  readonly parityShards: number
  readonly blockBytes: number
  /** Which shard this disk has, from 1 on. */
  readonly shard: number
  /** The shard of each disk of the set. */
  readonly distribution: readonly number[]
}

export type WholeHash = "sha256" | "blake2b" | "highwayhash256"

/** One hash of the whole shard, as old versions of MinIO stored it. */
export interface WholeSum {
  readonly algorithm: WholeHash
  readonly hash: Uint8Array
}

export interface StoredObject extends VersionBase {
  readonly kind: "object"
  /** Below the folder of the object; empty: that folder itself. */
  readonly dataFolder: string
  readonly code: StoredCode
  readonly parts: readonly StoredPart[]
  /** By the number of the part. Undefined: each block follows its hash. */
  readonly wholeSums: ReadonlyMap<number, WholeSum> | undefined
  /** Headers and user metadata, with names in lower case. */
  readonly user: ReadonlyMap<string, string>
  /** MinIO's own facts, with names in lower case, without their common prefix. */
  readonly system: ReadonlyMap<string, Uint8Array>
  /** The place where the only part is in the file of metadata, if it is there. */
  readonly inline: { readonly offset: number; readonly lengthBytes: number } | undefined
}

export type StoredVersion = StoredMarker | StoredObject

export const NULL_VERSION = "null"
const SYSTEM_PREFIX = "x-minio-internal-"

export const isSystemName = (name: string): boolean => name.toLowerCase().startsWith(SYSTEM_PREFIX)

export const systemName = (name: string): string => name.toLowerCase().slice(SYSTEM_PREFIX.length)
