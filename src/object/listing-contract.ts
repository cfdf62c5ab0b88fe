/** Pages of listings of objects and versions. */
import type { AccountId, ObjectKey, VersionId } from "../base/ids.js"
import type { StorageClass } from "../base/storage-class.js"
import type { ChecksumAlgorithm } from "../seams/compute/contract.js"

export interface ListedObject {
  readonly key: ObjectKey
  readonly sizeBytes: number
  readonly etag: string
  readonly lastModifiedMs: number
  readonly storageClass: StorageClass
  readonly checksumAlgorithm: ChecksumAlgorithm | undefined
  readonly checksumType: "COMPOSITE" | "FULL_OBJECT" | undefined
  /** Set if owners were requested; undefined: the bucket's owner. */
  readonly owner?: AccountId | undefined
  /** Set if content types were requested; undefined: the object has none. */
  readonly contentType?: string | undefined
  /** Set if restores were requested: until when an archived object can be read. */
  readonly restoredUntilMs?: number | undefined
}

export type ListEntry =
  | { readonly kind: "object"; readonly object: ListedObject }
  | { readonly kind: "prefix"; readonly prefix: string }

export interface ListPage {
  /** Objects and common prefixes in one byte order, at most `max`. */
  readonly entries: readonly ListEntry[]
  /** Undefined: the end. Otherwise the `after` of the next page (the last entry's key or prefix). */
  readonly next: string | undefined
}

export type VersionEntry =
  | { readonly kind: "prefix"; readonly prefix: string }
  | {
      readonly kind: "version"
      readonly versionId: VersionId
      readonly isLatest: boolean
      readonly object: ListedObject
      /** When it became the latest version. It may have been modified since: only its attributes change. */
      readonly writtenMs: number
    }
  | {
      readonly kind: "marker"
      readonly versionId: VersionId
      readonly isLatest: boolean
      readonly key: ObjectKey
      readonly lastModifiedMs: number
    }

export interface VersionsPage {
  readonly entries: readonly VersionEntry[]
  readonly next: { readonly keyMarker: string; readonly versionIdMarker: VersionId | undefined } | undefined
}
