/** The volume store as programs see it. declarations/volumes.d.ts says the same for their compilers. */

/** A key: bytes, which may change once the call has returned, or the UTF-8 of a text without lone surrogates. */
export type VolumeKey = string | Uint8Array

export interface OpenVolumesOptions {
  /** A new volume is begun before one grows beyond this. */
  readonly volumeBytesMax?: number | undefined
  /** Bytes of the index that are kept in memory: a whole number, 0 or more. */
  readonly indexCacheBytes?: number | undefined
  /** Closes the store when it fires. If that is during the open, the open throws `aborted`. */
  readonly signal?: AbortSignal | undefined
}

export interface ReadOptions {
  /** The place where the range begins; 0 if absent. */
  readonly offset?: number | undefined
  /** Bytes of the range; up to the end of the value if absent. */
  readonly length?: number | undefined
}

export interface VolumesStat {
  readonly volumes: number
  readonly writtenBytes: number
  /** Share of the written bytes that belongs to no value: 0 to 1. It is undefined until a compaction has counted. */
  readonly deadShare: number | undefined
  /** Sentences on what is wrong: damage that the open has found, and failed writes. */
  readonly problems: readonly string[]
}

export interface Compacted {
  readonly freedBytes: number
  readonly copiedBytes: number
  /** Values that this and earlier compactions have found damaged; their volumes stay. */
  readonly damagedValues: number
}

export interface FsckOptions {
  /** Called with the bytes that have been read, and all. */
  readonly onProgress?: ((progress: { readonly bytesDone: number; readonly bytes: number }) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface VolumeFinding {
  /** A damaged value, a stretch of a volume, a volume that the disk cannot read, or an index that differs. */
  readonly kind: "value" | "volume" | "unreadable" | "index"
  /** The key is undefined if it is unknown. */
  readonly key?: Uint8Array | undefined
  readonly message: string
}

export interface FsckReport {
  readonly volumes: number
  readonly bytes: number
  /** Values in the volumes, removed ones included. */
  readonly values: number
  /** The number of all findings, of which `findings` lists the first. */
  readonly damages: number
  readonly findings: readonly VolumeFinding[]
}
