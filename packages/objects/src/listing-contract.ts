/** Pages of listings of objects and versions. */
import type { Bucket } from "./buckets/bucket-contract.js"
import type { AccountId, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import type { VersionRestore } from "@hayloft/engine/format/objects/restore.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { ChecksumAlgorithm } from "@hayloft/base/http/checksum-algorithms.js"

export interface ListRequest {
  readonly bucket: Bucket
  /** Byte strings, like keys; "" = none. */
  readonly prefix: string
  readonly delimiter: string
  /**
   * Entries and common prefixes after this key (exclusive). If the marker is inside a common prefix of this listing (it
   * begins with the prefix and has the delimiter after it), that whole common prefix is skipped.
   */
  readonly after: string
  /** The page begins behind the key itself, also inside a common prefix: for pages that `isMidway` precedes. */
  readonly afterExactly?: boolean
  readonly max: number
  /** The listing includes the owners of objects, which takes longer. */
  readonly withOwners?: boolean
  /** The listing includes their content types and symbolic links, likewise. */
  readonly withTypes?: boolean
  /** The listing includes the restores of objects, likewise. */
  readonly withRestores?: boolean
  /** The listing includes the places of objects in the order of writes, likewise. */
  readonly withOrders?: boolean
}

export interface ListVersionsRequest extends Omit<ListRequest, "after" | "afterExactly"> {
  readonly keyMarker: string
  /** With a key marker: entries of that key older than this version. */
  readonly versionIdMarker: VersionId | undefined
}

/** A version, and its place in the order of the store's writes, to which moments belong. */
export interface WrittenVersion {
  readonly versionId: VersionId
  readonly orderUs: number
}

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
  /** Likewise; undefined: it is no symbolic link. */
  readonly symlink?: string | undefined
  /** Set if restores were requested; it may be over. Undefined: there was none. */
  readonly restore?: VersionRestore | undefined
  /** Set if orders were requested; undefined: another store has the object. */
  readonly written?: WrittenVersion | undefined
}

export type ListEntry =
  | { readonly kind: "object"; readonly object: ListedObject }
  | { readonly kind: "prefix"; readonly prefix: string }

export interface ListPage {
  /** Objects and common prefixes in one byte order, at most `max`. */
  readonly entries: readonly ListEntry[]
  /** It is undefined at the end. Otherwise it is the `after` of the next page (the last entry's key or prefix). */
  readonly next: string | undefined
  /** `next` may be inside a common prefix that the page does not have: the next page needs `afterExactly`. */
  readonly isMidway?: true
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
      /** Set if orders were requested. */
      readonly written?: WrittenVersion | undefined
    }

export interface VersionsPage {
  readonly entries: readonly VersionEntry[]
  readonly next: { readonly keyMarker: string; readonly versionIdMarker: VersionId | undefined } | undefined
}
