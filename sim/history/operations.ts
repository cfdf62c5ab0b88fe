/**
 * The lines of a history: requests of clients for keys, their times, and their answers.
 *
 * Every write has an id of its own (in its body or metadata), so a read identifies the write that it returned. An
 * operation without an answer is `unknown`: it may have happened at any time between its
 * start and its end (the moment its server was killed, or Infinity), or never. An operation that certainly did not
 * happen is not part of a history.
 */

/** A bucket that was never versioned, or one with versioning enabled from its first object on. */
export type Mode = "never" | "enabled"

export interface Value {
  /** Unique among all writes. */
  readonly write: string
  /** Without quotes; undefined if no answer contained it. */
  readonly etag: string | undefined
}

export type Condition =
  /** If-None-Match: * */
  | { readonly kind: "absent" }
  /** If-Match: an ETag, without quotes. */
  | { readonly kind: "etag"; readonly etag: string }

export type Action =
  /** PUT, a copy's target, the completion of a multipart upload. */
  | { readonly kind: "write"; readonly value: Value; readonly condition?: Condition }
  /** DELETE; with a version id, removes that version permanently. */
  | { readonly kind: "remove"; readonly versionId?: string; readonly condition?: Condition }
  /** GET, HEAD, a copy's source, an entry (or its absence) in a listing. */
  | { readonly kind: "read"; readonly versionId?: string }
  /** All versions and markers of the key, newest first. */
  | { readonly kind: "stack" }

export interface StackEntry {
  readonly versionId: string
  readonly marker: boolean
  readonly etag?: string
}

export type Outcome =
  | { readonly kind: "unknown" }
  /** The write or removal took effect; in a versioned bucket with the id of the version or marker that it made. */
  | { readonly kind: "done"; readonly versionId?: string }
  /** 412: the condition was false. */
  | { readonly kind: "refused" }
  /** 404: the key, or the version to match, does not exist. */
  | { readonly kind: "absent" }
  | { readonly kind: "found"; readonly write?: string; readonly etag?: string; readonly versionId?: string }
  | { readonly kind: "stack"; readonly entries: readonly StackEntry[] }

export interface Operation {
  readonly key: string
  /** Monotonic times of one clock; an operation takes effect somewhere between them. */
  readonly startMs: number
  readonly endMs: number
  readonly action: Action
  readonly outcome: Outcome
  /** Shown with a verdict. */
  readonly note?: string
}
