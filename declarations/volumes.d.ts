/**
 * `hayloft/volumes`: values by their keys in append-only files, verified when they are read (docs/guide/volumes.md).
 *
 * The public types of packages/engine/src/volume-store/library.ts, as programs see them; a test has the compiler compare the two.
 */

/** A key: bytes, which may change once the call has returned, or the UTF-8 of a text without lone surrogates. */
export type VolumeKey = string | Uint8Array

export interface OpenVolumesOptions {
  /** A new volume is begun before one grows beyond this; 1 GiB if absent, and less on a small disk. */
  readonly volumeBytesMax?: number | undefined
  /** Bytes of the index that are kept in memory: a whole number, 0 or more; 64 MiB if absent. */
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
  /** The number of all findings, of which `findings` lists the first 1,000. */
  readonly damages: number
  readonly findings: readonly VolumeFinding[]
}

/** An open store. One process has a folder at a time. */
export interface VolumeStore {
  /**
   * The value is durable when it resolves; its bytes must not change until then. Appends and removals of a key follow
   * each other in the order of their calls. Throws `exists`.
   */
  append(key: VolumeKey, value: Uint8Array): Promise<void>
  /**
   * Reads and verifies the value, or a range of it; returns undefined if the key has no value. Throws `damaged`, and
   * `invalid` for an offset or a length that is no whole number of bytes, and for a range that ends behind the value.
   */
  read(key: VolumeKey, options?: ReadOptions): Promise<Uint8Array | undefined>
  has(key: VolumeKey): Promise<boolean>
  /** The removal is durable when it resolves. False if there was no value. */
  remove(key: VolumeKey): Promise<boolean>
  /**
   * All keys, in no useful order. Those that are added or removed meanwhile may be among them or not. Throws `damaged`
   * after the last one if some cannot be read, and at once where the index is damaged.
   */
  keys(): AsyncGenerator<Uint8Array, void>
  /** Throws `closed`. */
  stat(): VolumesStat
  /** Gives back the space of removed values, beside reads, appends and removals. */
  compact(options?: { readonly signal?: AbortSignal | undefined }): Promise<Compacted>
  /** Waits for what is on its way. */
  close(): Promise<void>
}

export type VolumeErrorCode =
  | "invalid"
  | "exists"
  | "damaged"
  | "full"
  | "busy"
  | "failed"
  | "inUse"
  | "notAStore"
  | "closed"
  | "aborted"

export class VolumeError extends Error {
  readonly code: VolumeErrorCode
  constructor(code: VolumeErrorCode, message: string, cause?: unknown)
}

/** Opens a folder, which is made if the one above exists; if that does not exist, it throws `notAStore`. */
export function openVolumes(path: string, options?: OpenVolumesOptions): Promise<VolumeStore>

/** Verifies a store that no process has open, and changes nothing. It needs some 300 bytes of memory a value. */
export function fsckVolumes(path: string, options?: FsckOptions): Promise<FsckReport>

/**
 * Removes the index of a store that no process has open, and makes another from the volumes. Throws `notAStore` if there
 * is no store, and `aborted` if the signal fires; then the next open makes what the index lacks.
 */
export function rebuildIndex(path: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
