/**
 * Remote entries: what the store knows of an object of a remote bucket, as the body of an object of the system bucket. The bytes of
 * the object are cached in blocks, which are further objects there.
 *
 * MessagePack, positional: format (1), id of the entry, kind (0: changing, 1: cached, 2: changed). Of a cached object then its size, the bytes of
 * a block, ETag, whether that is the MD5 of the bytes (0, 1), time of modification, time of the last comparison, content headers and
 * user metadata. Both are lists of texts: name, value, name, value …
 */
import { FLAG, flat, FLAT_PAIRS, NUMBER, record, TEXT, union, type ValueOf } from "../encoding/fields.js"

const ENTRY = record("remote entry", {
  /** Random, so that no two entries have the same bytes; names of blocks begin with it. */
  id: TEXT,
  what: flat(
    union({
      /**
       * A write of the object is under way, or was when its process died or the remote did not say how it ended: what a
       * reader gets meanwhile must not be cached.
       */
      changing: {},
      cached: {
        sizeBytes: NUMBER,
        /** The bytes of each block but the last one. */
        blockBytes: NUMBER,
        /** The ETag that the remote shows, without quotes; "" if it shows none. */
        etag: TEXT,
        etagIsMd5: FLAG,
        lastModifiedMs: NUMBER,
        /** When the remote said last that the object is still this one. */
        checkedMs: NUMBER,
        headers: FLAT_PAIRS,
        userMetadata: FLAT_PAIRS,
      },
      /** The write is over, and nothing is cached yet. */
      changed: {},
    }),
  ),
})
export type RemoteEntry = ValueOf<typeof ENTRY>
export type CachedEntry = Extract<RemoteEntry, { kind: "cached" }>
/** Decoding throws `corruptRecord`. */
export const { encode: encodeRemoteEntry, decode: decodeRemoteEntry } = ENTRY
